"""What the thesis of Hiroike (2026) proposes, as a table: it has the method and no experiment, so all of it is ours."""

import functools

from experiments.choices import Adam, Steps
from experiments.hiroike2026.controls import Adaptive, Refreshes, Replayed, Shuffled
from experiments.settings import Settings, any_modality
from experiments.table import PROFILES, Profile, Row, Table
from keras_uq import losses, models
from keras_uq.preprocessing import Preprocessing

# Nothing is printed: Adam at 0.001, batches of 8, 100 epochs, best validation Dice; refreshes from a fifth of the
# epochs on, each 5, by 20 samples.
SETTINGS = functools.partial(
    Settings,
    optimizer=Adam(1e-3),
    schedule=Steps(1.0, every=100),
    filters=16,
    batch=8,
    epochs=100,
    patience=100,
    hard_dice=True,
    samples=20,
    split=None,
    extra=Refreshes(start=20, every=5, samples=20, subset=1.0),
)

SMALL = {"filters": 8, "norm_momentum": 0.9, "extra": Refreshes(start=20, every=5, samples=10, subset=0.25)}
DEMO = {
    **{"filters": 8, "norm_momentum": 0.9, "steps": 60, "samples": 5},
    "extra": Refreshes(start=20, every=5, samples=5, subset=0.1),
}

DEPARTURES = (
    "the thesis names no data, network, schedule or parameter and prints no result: every one was chosen here",
    "1 voxel is added above and below the line of the Dice loss and of scale and cosine, so that slices without organ "
    "are learnt",
)

DICE = "Dice (Eq. 2)"
ADAPTIVE = "PolyDice-1, adaptive"
SHUFFLED = "PolyDice-1, adaptive, shuffled"
REPLAYED = "PolyDice-1, mean epsilon of adaptive"
FIXED = (-0.25, 0.0, 0.5, 1.0)
# Voxels. A slice without organ costs 1 - smooth / (|p|^2 + smooth): with the losses' own 1e-6 that is flat, nothing is
# learnt of such slices, and the network finds organs in them.
SMOOTH = 1.0


def fixed(epsilon):
    """Name of a row with one epsilon for all images."""
    return f"PolyDice-1, epsilon {epsilon:g}"


def rows():
    """The Dice loss, fixed epsilon, adaptive, and two controls: another image's epsilon, and the schedule alone."""
    per_image = losses.PolyDice(epsilon="per_image", smooth=SMOOTH)
    return (
        Row(DICE, losses.Dice(squared=True, smooth=SMOOTH)),
        *(Row(fixed(epsilon), losses.PolyDice(epsilon=epsilon, smooth=SMOOTH)) for epsilon in FIXED),
        Row(ADAPTIVE, per_image, control=Adaptive()),
        Row(SHUFFLED, per_image, control=Shuffled()),
        Row(REPLAYED, per_image, control=Replayed(), inputs=(ADAPTIVE,)),
    )


# Yeung's network has no dropout: 0.5 in the three inner stages, as Mehrtash et al. put it into theirs.
yeung2021_with_dropout = functools.partial(
    models.yeung2021,
    encoder_dropout=(0, 0, 0.5, 0.5),
    bottleneck_dropout=0.5,
    decoder_dropout=(0, 0.5, 0.5, 0.5),
    dropout_at="block",
)


def table(dataset, synthetic, patients, model, settings, demo, small):
    """The table on one kind of data. `demo` and `small` change the settings in the profiles of these names."""
    profiles = {
        "demo": Profile(seeds=1, changes={**DEMO, **demo}, max_epochs=6, synthetic=patients),
        "small": Profile(seeds=3, changes={**SMALL, **small}, max_epochs=20),
        "paper": PROFILES["paper"],
    }
    return Table(
        paper="hiroike2026",
        name="table1",
        title="An epsilon for each image that follows its uncertainty, and what it is compared with",
        dataset=dataset,
        synthetic=synthetic,
        foreground="all",
        model=model,
        rows=rows(),
        settings=settings,
        reference=fixed(0.0),
        departures=DEPARTURES,
        profiles=profiles,
    )


SCANS = table(
    "msd/Task07_Pancreas",
    "pancreas",
    40,
    models.kethavath2025,
    SETTINGS(
        {
            "CT": Preprocessing(window=(300, 150), median=3, size=(256, 256)),
            "other": Preprocessing(percentiles=(0.5, 99.5), median=3, size=(256, 256)),
        },
        split="patients",
    ),
    demo={"size": (64, 64)},
    small={"size": None, "max_cases": 80, "steps": 160},
)
PICTURES = table(
    "dsb2018",
    "nuclei",
    120,
    yeung2021_with_dropout,
    SETTINGS(any_modality(Preprocessing(orientation=None, zscore=True, resampling="spline", size=(256, 256)))),
    demo={"size": (64, 64)},
    small={"size": (128, 128), "steps": 40},
)
