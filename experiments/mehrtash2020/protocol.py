"""What the tables of Mehrtash et al. (2020) share. Where the paper is silent, a value was chosen here and is named."""

import dataclasses

import numpy as np

from experiments.choices import Adam, AllSeeds, Channels, FirstSeeds, Plateau, Volumes
from experiments.described import Described, setting
from experiments.mehrtash2020 import predictors
from experiments.settings import Settings, any_modality
from experiments.table import PROFILES, Profile, Row, Table
from keras_uq import losses, models
from keras_uq.preprocessing import Preprocessing


@dataclasses.dataclass(frozen=True)
class Box(Described):
    """Calibration is measured in the bounding box of the foreground and a margin around it, and in the whole volume."""

    margin: float = setting("margin of the bounding box in mm", 8.0)

    def tested(self):
        return {"margin": self.margin}


# Each volume and channel to [0, 1] by its least and greatest value.
STEPS = Preprocessing(percentiles=(0, 100), crop=(224, 224))
# Section VI-A: Adam at 0.005, reduced when the validation Dice does not rise by 0.001 in 10 epochs, 1000 epochs, best
# validation Dice; VI-C: 50 samples. Not printed: the factor of the rate ("0.5 - 0.8") and the patience.
SETTINGS = Settings(
    any_modality(STEPS),
    optimizer=Adam(0.005),
    schedule=Plateau(0.5, epochs=10, min_delta=1e-3),
    filters=8,
    batch=32,
    epochs=1000,
    patience=50,
    hard_dice=True,
    samples=50,
    split=None,
    extra=Box(8.0),
)

UNPADDED = {"crop": None, "spacing": None, "norm_momentum": 0.9}
TABLE_PROFILES = {
    "demo": Profile(
        seeds=2,
        changes={**UNPADDED, "size": (64, 64), "batch": 4, "steps": 60, "samples": 5},
        max_epochs=6,
        synthetic=50,
    ),
    "small": Profile(seeds=10, changes={**UNPADDED, "steps": 60, "samples": 20, "extra": Box(2.0)}, max_epochs=20),
    "paper": dataclasses.replace(PROFILES["paper"], seeds=100),
}

DEPARTURES = (
    "not printed in the paper, chosen here: class weights of cross-entropy N / (K N_k), factor of the rate 0.5, "
    "patience, the foreground's channels alone for Dice, where dropout stands",
)

# Seeds of the rows with dropout, whose networks are trained for these rows alone.
MC_SEEDS = 2
UNWEIGHTED = "CE without weights"
CONTROL_SEEDS = 3


def balanced_crossentropy(data, classes):
    """Cross-entropy with `N / (K N_k)` for class k, over the voxels of training and validation (Section VI-A)."""
    counts = np.zeros(classes, dtype=np.int64)
    for case in (*data.split["train"], *data.split["validation"]):
        counts += np.bincount(np.asarray(data.mask(case)).ravel(), minlength=classes)
    weights = counts.sum() / (classes * np.maximum(counts, 1))
    return losses.CategoricalCrossentropy(class_weights=[float(f"{weight:.6g}") for weight in weights])


def rows(class_weights=None, control=True):
    """Both losses, each as a single network, with Monte Carlo dropout, as an ensemble and at a fitted temperature.

    The last row is a `control` that the paper lacks: weighted cross-entropy is no proper score of the true frequencies,
    so what it costs in calibration need not be the fault of cross-entropy. `class_weights` are those of the foreground
    classes in the Dice loss.
    """
    dice = losses.Dice(over="batch", smooth=1e-6, smooth_numerator=0, multilabel=True, class_weights=class_weights)
    crossentropy = losses.CategoricalCrossentropy()
    unweighted = Row(
        UNWEIGHTED,
        crossentropy,
        predictor=predictors.single,
        channels=Channels.SOFTMAX,
        seeds=FirstSeeds(CONTROL_SEEDS),
    )
    return (
        *_rows_of("CE", lambda data: balanced_crossentropy(data, max(data.classes, 2)), Channels.SOFTMAX),
        *_rows_of("Dice", dice, Channels.INDEPENDENT),
        *([unweighted] if control else []),
    )


def _rows_of(name, loss, channels):
    """The rows of one loss: ensemble and temperature are made from the cells of the baseline."""
    return (
        Row(name, loss, predictor=predictors.single, channels=channels),
        Row(
            f"{name}, MC dropout",
            loss,
            predictor=predictors.sampled,
            network={"mc_dropout": True},
            channels=channels,
            seeds=FirstSeeds(MC_SEEDS),
        ),
        Row(f"{name}, ensemble", inputs=(name,), predictor=predictors.ensemble, channels=channels, seeds=AllSeeds()),
        Row(f"{name}, temperature", inputs=(name,), predictor=predictors.tempered, channels=channels),
    )


# Segments by label, Table II; the heart's labels are those of ACDC.
APPLICATIONS = {
    "Prostate": {
        "dataset": "prostatex",
        "spacing": (None, 0.5, 0.5),
        "batch": 16,
        "classes": 2,
        "shifted": "promise12",
    },
    "Heart": {"dataset": "acdc", "spacing": (None, 2.0, 2.0), "batch": 32, "class_weights": (1, 3, 1), "classes": 4},
    "Brain": {"dataset": "brats2017", "spacing": (2.0, 1.0, 1.0), "batch": 32, "classes": 4},
}


def table(name, title, application, volumes=False, **changes):
    """One of the paper's tables for a key of `APPLICATIONS`; `changes` are fields of `SETTINGS`."""
    chosen = APPLICATIONS[application]
    settings = SETTINGS.replace(batch=chosen["batch"], spacing=chosen["spacing"])
    return Table(
        paper="mehrtash2020",
        name=name,
        title=title,
        dataset=chosen["dataset"],
        synthetic="spleen",
        foreground=None,
        model=models.mehrtash2020,
        rows=rows(chosen.get("class_weights"), control=not volumes),
        settings=settings.replace(input=Volumes(), **changes) if volumes else settings.replace(**changes),
        reference="CE",
        departures=DEPARTURES,
        shifted=chosen.get("shifted"),
        profiles=TABLE_PROFILES,
    )
