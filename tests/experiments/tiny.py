"""A table small enough for a test, run as users run one: `python -m tests.experiments.tiny --dataset ...`."""

import functools
import sys

from experiments.runner import main

from experiments.table import Row, Settings, Table
from keras_uq import losses, models
from keras_uq.inference import Ensemble, MCDropout
from keras_uq.preprocessing import Preprocessing

STEPS = Preprocessing(window=(300, 150), median=3)


def small_unet(input_shape, filters, norm_momentum, mc_dropout=False, dropout=0.0, **changes):
    """A U-Net that pools once: a third of a published network's time, which goes into tracing.

    `test_tables` builds the published ones.
    """
    rate = 0.5 if mc_dropout else dropout
    return models.unet(
        input_shape,
        filters=(filters, 2 * filters),
        norm_momentum=norm_momentum,
        encoder_dropout=rate,
        bottleneck_dropout=rate,
        **changes,
    )


def both(cell):
    """A predictor made of other cells alone."""
    return Ensemble([folder / "model.keras" for folder in cell.inputs])


TABLE = Table(
    paper="kethavath2025",
    name="table2",
    title="A test",
    dataset="msd/Task07_Pancreas",
    synthetic="pancreas",
    foreground=frozenset({1}),
    ct=STEPS,
    mri=STEPS,
    model=functools.partial(small_unet, dropout=0.2),
    rows=(
        Row("BCE Loss", losses.BinaryCrossentropy()),
        Row("Dice Loss", losses.Dice(over="batch")),
        Row("Hybrid Loss", inputs=("Dice Loss", "BCE Loss"), predictor=both),
        Row("Log Dice Loss", losses.LogDice(over="batch"), predictor=lambda cell: MCDropout(cell.model, 2, cell.seed)),
    ),
    reference="Dice Loss",
    settings=Settings(size=(16, 16), filters=2, batch=4, epochs=4, steps=8, patience=10, samples=3, norm_momentum=0.9),
)

if __name__ == "__main__":
    sys.exit(main(TABLE))
