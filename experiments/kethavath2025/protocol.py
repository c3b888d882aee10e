"""What the tables of Kethavath et al. (2025) share. Where the paper is silent, the value is ours and said so."""

from experiments.choices import Adam, Steps
from experiments.settings import Settings
from experiments.table import Row, Table
from keras_uq import losses, models
from keras_uq.preprocessing import Preprocessing

# Rows as printed. The paper gives no parameter of Tversky and Focal Tversky; these are those of the code it cites.
LOSSES = {
    "Log Cosh Loss": losses.LogCosh(),
    "Dice Loss": losses.Dice(over="batch"),
    "Focal Tversky Loss": losses.FocalTversky(alpha=0.3, beta=0.7, exponent=0.75, over="batch"),
    "Tversky Loss": losses.Tversky(alpha=0.3, beta=0.7, over="batch"),
    "BCE Loss": losses.BinaryCrossentropy(),
    "Log Dice Loss": losses.LogDice(over="batch"),
    "Hybrid Loss": losses.Hybrid(over="batch"),
}

# Section 3.2 and 4: Adam at 0.01, times 0.1 every 4 epochs, 20 epochs, best validation Dice, T = 20.
# Not printed: slice size, batch and patience.
SETTINGS = Settings(
    # Figure 2: width 300, level 150. Printed for CT; MRI has no Hounsfield units.
    {
        "CT": Preprocessing(window=(300, 150), median=3, size=(256, 256)),
        "other": Preprocessing(percentiles=(0.5, 99.5), median=3, size=(256, 256)),
    },
    optimizer=Adam(0.01),
    schedule=Steps(0.1, every=4),
    filters=16,
    batch=16,
    epochs=20,
    patience=10,
    samples=20,
)

DEPARTURES = (
    "not printed in the paper, chosen here: slice size, batch, dropout rate of each stage, patience, the split (by "
    "patient unless said otherwise)",
)


def table(name, title, dataset, synthetic, departures=(), names=(), **changes):
    """One of the paper's tables.

    Args:
        name, title, dataset, synthetic: As in `Table`.
        departures: Of this table alone.
        names: Rows that this table calls otherwise, `{name above: name there}`.
        **changes: Fields of `SETTINGS` that this table changes.
    """
    names = dict(names)
    return Table(
        paper="kethavath2025",
        name=name,
        title=title,
        dataset=dataset,
        synthetic=synthetic,
        # Organ and tumour together, wherever a label has both.
        foreground="all",
        model=models.kethavath2025,
        rows=tuple(Row(names.get(row, row), loss) for row, loss in LOSSES.items()),
        settings=SETTINGS.replace(**changes),
        reference="Dice Loss",
        departures=(*departures, *DEPARTURES),
    )
