"""What the tables of Yeung et al. (2021) share. Where the paper is silent, the value is that of its published code."""

import dataclasses

from experiments.table import PROFILES, Profile, Row, Settings, Table
from keras_uq import losses, models
from keras_uq.inference import Ensemble
from keras_uq.preprocessing import Preprocessing

# Network input of each dataset, Table I: key of the data folder -> (height, width).
SIZES = {
    "drive": (512, 512),
    "bus2017": (128, 128),
    "dsb2018": (256, 256),
    "isic2018": (512, 512),
    "cvc": (288, 384),
}

# Section III: SGD at 0.1, batch 1, plateau 25, early stopping 50; Nesterov, momentum and 1000 epochs from the code.
SETTINGS = Settings(
    filters=32,
    batch=1,
    epochs=1000,
    learning_rate=0.1,
    momentum=0.9,
    decay_factor=0.1,
    decay_every=None,
    plateau=25,
    patience=50,
    monitor="val_loss",
    keep="val_loss",
    augmentation="yeung2021",
    samples=1,
    split=None,
)

TABLE_PROFILES = {
    "demo": Profile(
        seeds=1, changes={"size": (80, 80), "batch": 4, "filters": 8}, max_epochs=8, synthetic=True, patients=240
    ),
    "small": Profile(seeds=1, changes={"size": (128, 128), "batch": 4, "filters": 8}, max_epochs=20),
    "paper": PROFILES["paper"],
}

DEPARTURES = ("the split is a seeded one of the printed sizes, not the authors' lists",)


def deterministic(cell):
    """One prediction a picture: the network has no dropout."""
    return Ensemble([cell.model])


# Dice-type losses by name, without and with ++. Parameters: Table II.
DICE = losses.Dice(smooth=1e-5)
CROSSENTROPY = losses.CategoricalCrossentropy()
TVERSKY = {"alpha": 0.3, "beta": 0.7, "smooth": 1e-7}


def plus_plus(gamma):
    """DSC++; the code clips labels, which matters below 1 alone."""
    if gamma == 1:
        return DICE
    return losses.DicePlusPlus(gamma=gamma, variant="released" if gamma < 1 else "recommended")


def table(name, title, rows, dataset="drive", reference="DSC", seeds=None):
    """One of the paper's tables on one of its datasets.

    Args:
        name: Such as `table3`.
        title: What it shows.
        rows: `{row as printed: loss}`.
        dataset: Key of `SIZES`.
        reference: Row that the others are compared with.
        seeds: Of the profile `small`, if not one.
    """
    steps = Preprocessing(orientation=None, zscore=True, resampling="spline")
    profiles = dict(TABLE_PROFILES)
    if seeds:
        profiles["small"] = dataclasses.replace(profiles["small"], seeds=seeds)
    return Table(
        paper="yeung2021",
        name=name,
        title=title,
        dataset=dataset,
        synthetic="nuclei",
        foreground=None,
        ct=steps,
        mri=steps,
        model=models.yeung2021,
        rows=tuple(Row(row, loss, predictor=deterministic) for row, loss in rows.items()),
        settings=dataclasses.replace(SETTINGS, size=SIZES[dataset]),
        reference=reference,
        departures=() if dataset == "drive" else DEPARTURES,
        profiles=profiles,
    )
