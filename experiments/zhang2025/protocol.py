"""What both tables of Zhang et al. (2025) share. Where the paper is silent, a value was chosen here and is named."""

from experiments.table import PROFILES, Profile, Row, Settings, Table
from keras_uq import losses, models
from keras_uq.inference import SlidingWindow
from keras_uq.preprocessing import Preprocessing

# Section 4: Adam at 0.005, "an adaptive decay schedule", batches of 10, 150 epochs. Not printed: the rest.
SETTINGS = Settings(
    size=None,
    filters=32,
    batch=10,
    epochs=150,
    steps=100,
    learning_rate=0.005,
    decay_factor=0.5,
    decay_every=None,
    plateau=10,
    plateau_delta=1e-3,
    patience=150,
    monitor="val_dice",
    keep="val_dice",
    hard_dice=True,
    split="patients",
    spacing=(1.0, 1.0, 1.0),
    patch=(96, 96, 96),
)

TABLE_PROFILES = {
    "demo": Profile(
        seeds=1,
        changes={
            "size": (64, 64),
            "spacing": None,
            "patch": (16, 32, 32),
            "filters": 8,
            "norm_momentum": 0.9,
            "batch": 4,
            "steps": 40,
        },
        max_epochs=8,
        synthetic=True,
        patients=30,
    ),
    "small": Profile(
        seeds=3,
        changes={"spacing": None, "patch": (32, 32, 32), "filters": 8, "norm_momentum": 0.9, "steps": 40},
        max_epochs=20,
    ),
    "paper": PROFILES["paper"],
}

DEPARTURES = (
    "not printed in the paper, chosen here: patches, half of them centred on foreground, and sliding windows with "
    "half overlap and Gaussian blending; batches an epoch; HU window; 1 mm voxels; filters and batch normalisation "
    "(those of the cited 3D U-Net); dilations 1, 2, 4; the rate halves when the validation Dice has not risen by 0.001 "
    "in 10 epochs (the loss of adaptive rows changes its scale); first weights 0.5",
)

NETWORKS = ("UNet-3D", "Dilated UNet-3D")
PRICES = ((0.7, 0.3), (0.5, 0.5))
DICE_CE = "UNet-3D, DiceCE 0.5/0.5"
ELSEWHERE = "Dilated VNet-3D [12]"


def tversky(network, alpha, beta):
    """Name of a row with the Tversky loss alone."""
    return f"{network}, Tversky {alpha}/{beta}"


def adaptive(network, alpha, beta):
    """Name of a row with adaptive weights."""
    return f"{network}, adaptive TverskyCE {alpha}/{beta}"


def windows(cell):
    """The network over whole volumes."""
    return SlidingWindow(cell.model, cell.settings.patch)


def rows():
    """The six configurations as printed, [12] as printed, and DiceCE, which the paper mentions and does not report."""
    like = {"over": "batch", "include_background": False}
    found = []
    for network in NETWORKS:
        changes = {"dilated": True} if network.startswith("Dilated") else {}
        each = {tversky(network, *PRICES[0]): losses.Tversky(*PRICES[0], **like)}
        each |= {adaptive(network, *prices): losses.TverskyCE(*prices, adaptive="epoch", **like) for prices in PRICES}
        found += [Row(name, loss, predictor=windows, network=changes) for name, loss in each.items()]
    plain, dilated = found[:3], found[3:]
    printed = [row for pair in zip(plain, dilated) for row in pair]
    elsewhere = Row(ELSEWHERE, published_only=True)
    return (*printed, elsewhere, Row(DICE_CE, losses.DiceCE(**like), predictor=windows))


TABLE = Table(
    paper="zhang2025",
    name="table1",
    title="Fixed and adaptive losses on 3D U-Nets, with and without dilation",
    dataset="pancreas_ct",
    synthetic="pancreas",
    foreground="all",
    # A usual window for this collection: [-100, 240] HU.
    ct=Preprocessing(window=(340, 70)),
    mri=Preprocessing(percentiles=(0.5, 99.5)),
    model=models.zhang2025,
    rows=rows(),
    settings=SETTINGS,
    reference=tversky(NETWORKS[0], *PRICES[0]),
    departures=DEPARTURES,
    softmax=True,
    profiles=TABLE_PROFILES,
)


def published_name(line):
    """Row of a line of the printed tables. One is printed without "adaptive", which the text puts right (Z-LABEL)."""
    if line["model"] == ELSEWHERE:
        return ELSEWHERE
    loss = adaptive if "TverskyCE" in line["loss"] else tversky
    return loss(line["model"], line["alpha"], line["beta"])
