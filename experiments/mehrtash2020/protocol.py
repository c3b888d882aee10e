"""What the tables of Mehrtash et al. (2020) share. Where the paper is silent, a value was chosen here and is named."""

import dataclasses

import numpy as np

from experiments.mehrtash2020 import predictors
from experiments.table import PROFILES, Profile, Row, Settings, Table
from keras_uq import losses, models
from keras_uq.preprocessing import Preprocessing

# Section VI-A: Adam at 0.005, reduced when the validation Dice does not rise by 0.001 in 10 epochs, 1000 epochs, best
# validation Dice; VI-C: 50 samples. Not printed: the factor of the rate ("0.5 - 0.8") and the patience.
SETTINGS = Settings(
    size=None,
    crop=(224, 224),
    filters=8,
    batch=32,
    epochs=1000,
    learning_rate=0.005,
    decay_factor=0.5,
    decay_every=None,
    plateau=10,
    plateau_delta=1e-3,
    patience=50,
    monitor="val_dice",
    keep="val_dice",
    hard_dice=True,
    samples=50,
    split=None,
    margin=8.0,
)

UNPADDED = {"crop": None, "spacing": None, "norm_momentum": 0.9}
TABLE_PROFILES = {
    "demo": Profile(
        seeds=2,
        changes={**UNPADDED, "size": (64, 64), "batch": 4, "steps": 60, "samples": 5},
        max_epochs=6,
        synthetic=True,
        patients=50,
    ),
    "small": Profile(seeds=10, changes={**UNPADDED, "steps": 60, "samples": 20, "margin": 2.0}, max_epochs=20),
    "paper": dataclasses.replace(PROFILES["paper"], seeds=100),
}

DEPARTURES = (
    "not printed in the paper, chosen here: class weights of cross-entropy N / (K N_k), factor of the rate 0.5, "
    "patience, the foreground's channels alone for Dice, where dropout stands",
)

# Networks with dropout are trained anew; so many of them will do.
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
    """Both losses, each by itself, with Monte Carlo dropout, as an ensemble and at a temperature of its own.

    The last row is a `control` that the paper lacks: weighted cross-entropy is no proper score of the true frequencies,
    so what it costs in calibration need not be the fault of cross-entropy.

    Args:
        class_weights: Of the foreground classes in the Dice loss.
        control: Whether it is there.
    """
    dice = losses.Dice(over="batch", smooth=1e-6, smooth_numerator=0, multilabel=True, class_weights=class_weights)
    unweighted = Row(UNWEIGHTED, losses.CategoricalCrossentropy(), predictor=predictors.single, max_seeds=CONTROL_SEEDS)
    both = (
        ("CE", None, lambda data: balanced_crossentropy(data, max(data.classes, 2)), {}),
        ("Dice", dice, None, {"multilabel": True}),
    )
    return (*(row for about in both for row in _of_loss(*about)), *([unweighted] if control else []))


def _of_loss(name, loss, loss_of, network):
    """The baseline is what ensemble and temperature are made of."""
    train = {"loss": loss, "loss_of": loss_of}
    sampled = {**network, "mc_dropout": True}
    return (
        Row(name, predictor=predictors.single, network=network, **train),
        Row(
            f"{name}, MC dropout",
            predictor=predictors.sampled,
            network=sampled,
            max_seeds=MC_SEEDS,
            **train,
        ),
        Row(f"{name}, ensemble", inputs=(name,), predictor=predictors.ensemble, over_seeds=True),
        Row(f"{name}, temperature", inputs=(name,), predictor=predictors.tempered),
    )


# Segments by label, Table II; the heart's labels are those of ACDC.
APPLICATIONS = {
    "Prostate": {
        "dataset": "prostatex",
        "spacing": (None, 0.5, 0.5),
        "batch": 16,
        "class_weights": None,
        "classes": 2,
        "shifted": "promise12",
    },
    "Heart": {"dataset": "acdc", "spacing": (None, 2.0, 2.0), "batch": 32, "class_weights": (1, 3, 1), "classes": 4},
    "Brain": {"dataset": "brats2017", "spacing": (2.0, 1.0, 1.0), "batch": 32, "class_weights": None, "classes": 4},
}


def table(name, title, application, volumes=False, **changes):
    """One of the paper's tables for one of its applications.

    Args:
        name: Such as `table2`.
        title: What it shows.
        application: Key of `APPLICATIONS`.
        volumes: 3D networks.
        **changes: Fields of `SETTINGS` that this table changes.
    """
    about = APPLICATIONS[application]
    # Each volume and channel to [0, 1] by its least and greatest value.
    steps = Preprocessing(percentiles=(0, 100))
    settings = dataclasses.replace(SETTINGS, batch=about["batch"], spacing=about["spacing"], volumes=volumes, **changes)
    return Table(
        paper="mehrtash2020",
        name=name,
        title=title,
        dataset=about["dataset"],
        synthetic="spleen",
        foreground=None,
        ct=steps,
        mri=steps,
        model=models.mehrtash2020,
        rows=rows(about["class_weights"], control=not volumes),
        settings=settings,
        reference="CE",
        departures=DEPARTURES,
        softmax=True,
        shifted=about.get("shifted"),
        profiles=TABLE_PROFILES,
    )
