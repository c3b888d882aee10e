"""A table small enough for a test, run as users run one: `python -m tests.experiments.tiny --dataset ...`."""

import functools
import sys

import numpy as np

from experiments.choices import Adam, Steps
from experiments.command import main
from experiments.settings import Settings, any_modality
from experiments.table import Row, Table
from keras_uq import losses, models
from keras_uq.inference import Ensemble, MCDropout
from keras_uq.inference.maps import MapSum
from keras_uq.preprocessing import Preprocessing


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


def both(job, model, inputs):
    """A predictor made of other cells alone."""
    return Ensemble([folder / "model.keras" for folder in inputs])


def two_samples(job, model, inputs):
    """Monte Carlo dropout with two samples."""
    return MCDropout(model, 2, job.seed)


class Thresholded:
    """Stands in for a network where a test is not about predictions: bright voxels are likely foreground."""

    def predict(self, images, batch_size=8, case=0):
        """The maps of one sample."""
        maps = MapSum()
        maps.add(np.clip(np.asarray(images)[..., :1], 0.1, 0.9).astype("float32"))
        return maps.maps()


def thresholded(job, model, inputs):
    """A predictor that needs no network."""
    return Thresholded()


TABLE = Table(
    paper="kethavath2025",
    name="table2",
    title="A test",
    dataset="msd/Task07_Pancreas",
    synthetic="pancreas",
    foreground=frozenset({1}),
    model=functools.partial(small_unet, dropout=0.2),
    rows=(
        Row("BCE Loss", losses.BinaryCrossentropy()),
        Row("Dice Loss", losses.Dice(over="batch")),
        Row("Hybrid Loss", inputs=("Dice Loss", "BCE Loss"), predictor=both),
        Row("Log Dice Loss", losses.LogDice(over="batch"), predictor=two_samples),
    ),
    reference="Dice Loss",
    settings=Settings(
        any_modality(Preprocessing(window=(300, 150), median=3, size=(16, 16))),
        optimizer=Adam(0.01),
        schedule=Steps(0.1, every=4),
        filters=2,
        batch=4,
        epochs=4,
        steps=8,
        patience=10,
        samples=3,
        norm_momentum=0.9,
    ),
)

if __name__ == "__main__":
    sys.exit(main(TABLE))
