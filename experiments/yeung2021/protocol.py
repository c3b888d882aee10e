"""What the tables of Yeung et al. (2021) share. Where the paper is silent, the value is that of its published code."""

import dataclasses

from experiments.choices import Nesterov, Plateau
from experiments.described import setting
from experiments.recorded import recorded
from experiments.settings import Settings, any_modality
from experiments.table import PROFILES, Profile, Row, Table
from experiments.yeung2021.augmentation import augment
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


@dataclasses.dataclass(frozen=True)
class ReleasedPlateau(Plateau):
    """The plateau of the published code, which also waits and has a least rate."""

    min_delta: float = setting(None, 1e-7)

    def details(self):
        return {"min_delta": self.min_delta, "cooldown": 1, "min_lr": 1e-4}


# Section III: SGD at 0.1, batch 1, plateau 25, early stopping 50; Nesterov, momentum and 1000 epochs from the code.
SETTINGS = Settings(
    any_modality(Preprocessing(orientation=None, zscore=True, resampling="spline")),
    optimizer=Nesterov(0.1, momentum=0.9),
    schedule=ReleasedPlateau(0.1, epochs=25),
    filters=32,
    batch=1,
    epochs=1000,
    patience=50,
    monitor="val_loss",
    keep="val_loss",
    augmentation=augment,
    samples=1,
    split=None,
)

TABLE_PROFILES = {
    "demo": Profile(seeds=1, changes={"size": (80, 80), "batch": 4, "filters": 8}, max_epochs=8, synthetic=240),
    "small": Profile(seeds=1, changes={"size": (128, 128), "batch": 4, "filters": 8}, max_epochs=20),
    "paper": PROFILES["paper"],
}

DEPARTURES = ("the split is a seeded one of the printed sizes, not the authors' lists",)


@recorded("experiments.yeung2021.protocol.deterministic")
def deterministic(job, model, inputs):
    """One prediction per picture: the network has no dropout."""
    return Ensemble([model])


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
    """One of the paper's tables on one of its datasets, a key of `SIZES`.

    Args:
        name, title, dataset, reference: As in `Table`.
        rows: `{row as printed: loss}`.
        seeds: Of the profile `small`, if not one.
    """
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
        model=models.yeung2021,
        rows=tuple(Row(row, loss, predictor=deterministic) for row, loss in rows.items()),
        settings=SETTINGS.replace(size=SIZES[dataset]),
        reference=reference,
        departures=() if dataset == "drive" else DEPARTURES,
        profiles=profiles,
    )
