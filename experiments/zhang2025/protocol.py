"""What both tables of Zhang et al. (2025) share. Where the paper is silent, a value was chosen here and is named."""

from experiments.choices import Adam, Channels, FirstSeeds, Patches, Plateau
from experiments.recorded import recorded
from experiments.settings import Settings
from experiments.table import PROFILES, Profile, Row, Table
from keras_uq import losses, models
from keras_uq.inference import SlidingWindow
from keras_uq.preprocessing import Preprocessing

# Section 4: Adam at 0.005, "an adaptive decay schedule", batches of 10, 150 epochs. Not printed: the rest.
SETTINGS = Settings(
    {
        # A usual window for this collection: [-100, 240] HU.
        "CT": Preprocessing(window=(340, 70), spacing=(1.0, 1.0, 1.0)),
        "other": Preprocessing(percentiles=(0.5, 99.5), spacing=(1.0, 1.0, 1.0)),
    },
    optimizer=Adam(0.005),
    schedule=Plateau(0.5, epochs=10, min_delta=1e-3),
    input=Patches((96, 96, 96)),
    filters=32,
    batch=10,
    epochs=150,
    steps=100,
    patience=150,
    hard_dice=True,
)

TABLE_PROFILES = {
    "demo": Profile(
        seeds=1,
        changes={
            "size": (64, 64),
            "spacing": None,
            "input": Patches((16, 32, 32)),
            "filters": 8,
            "norm_momentum": 0.9,
            "batch": 4,
            "steps": 40,
        },
        max_epochs=8,
        synthetic=30,
    ),
    "small": Profile(
        seeds=3,
        changes={"spacing": None, "input": Patches((32, 32, 32)), "filters": 8, "norm_momentum": 0.9, "steps": 40},
        max_epochs=20,
    ),
    "paper": PROFILES["paper"],
}

DEPARTURES = (
    "not printed in the paper, chosen here: patches, half of them centred on foreground, and sliding windows with "
    "half overlap and Gaussian blending; batches per epoch; HU window; 1 mm voxels; filters and batch normalisation "
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


@recorded("experiments.zhang2025.protocol.windows")
def windows(job, model, inputs):
    """The network over whole volumes."""
    return SlidingWindow(model, job.settings.input.sides)


def rows():
    """The six configurations as printed, [12] as printed, and DiceCE, which the paper mentions and does not report."""
    options = {"over": "batch", "include_background": False}
    rows = {}
    for network in NETWORKS:
        by_name = {tversky(network, *PRICES[0]): losses.Tversky(*PRICES[0], **options)}
        for prices in PRICES:
            by_name[adaptive(network, *prices)] = losses.TverskyCE(*prices, adaptive="epoch", **options)
        rows[network] = [_row(name, loss, network) for name, loss in by_name.items()]
    printed = [row for pair in zip(*rows.values()) for row in pair]
    elsewhere = Row(ELSEWHERE, channels=Channels.SOFTMAX, seeds=FirstSeeds(0))
    return (*printed, elsewhere, _row(DICE_CE, losses.DiceCE(**options)))


def _row(name, loss, network=NETWORKS[0]):
    changes = {"dilated": True} if network.startswith("Dilated") else {}
    return Row(name, loss, predictor=windows, network=changes, channels=Channels.SOFTMAX)


TABLE = Table(
    paper="zhang2025",
    name="table1",
    title="Fixed and adaptive losses on 3D U-Nets, with and without dilation",
    dataset="pancreas_ct",
    synthetic="pancreas",
    foreground="all",
    model=models.zhang2025,
    rows=rows(),
    settings=SETTINGS,
    reference=tversky(NETWORKS[0], *PRICES[0]),
    departures=DEPARTURES,
    profiles=TABLE_PROFILES,
)


def published_name(line):
    """Row of a line of the printed tables. One is printed without "adaptive", which the text puts right (Z-LABEL)."""
    if line["model"] == ELSEWHERE:
        return ELSEWHERE
    loss = adaptive if "TverskyCE" in line["loss"] else tversky
    return loss(line["model"], line["alpha"], line["beta"])
