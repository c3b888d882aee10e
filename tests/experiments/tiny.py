"""A table small enough for a test, run as users run one: `python -m tests.experiments.tiny --dataset ...`."""

import sys

from experiments.runner import main
from experiments.table import Row, Settings, Table
from keras_uq import losses, models
from keras_uq.inference import Ensemble, MCDropout
from keras_uq.preprocessing import Preprocessing

STEPS = Preprocessing(window=(300, 150), median=3)


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
    model=models.kethavath2025,
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
