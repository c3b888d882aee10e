"""What the tables of Kethavath et al. (2025) share. Where the paper is silent, the value is ours and said so."""

import dataclasses

from experiments.table import Row, Settings, Table
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
    size=(256, 256),
    filters=16,
    batch=16,
    epochs=20,
    learning_rate=0.01,
    decay_factor=0.1,
    decay_every=4,
    patience=10,
    keep="val_dice",
    samples=20,
)

DEPARTURES = (
    "not printed in the paper, chosen here: slice size, batch, dropout rate of each stage, patience, the split (by "
    "patient unless said otherwise)",
)

# A test works these two numbers out from the printed table.
TESTS_NOTE = (
    "The paper reports F = 2.14e8 for the mean uncertainty of the seven losses on validation data (Section 4.3); with "
    "the means and standard deviations that it prints in Table 3, F is about 12,500 times the number of values a loss, "
    "so some 17,000 must have been counted as independent where there is a handful of patients. F grows with the "
    "number of values, however few patients they are of; the effect does not."
)


def table(name, title, dataset, synthetic, spread="slice", departures=(), names=(), **changes):
    """One of the paper's tables.

    Args:
        name: Such as `table3`.
        title: What it shows.
        dataset: Path of the paper's data below the data folder.
        synthetic: Organ of the phantom that stands in for it.
        spread: Over what the printed standard deviations are taken.
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
        # Figure 2: width 300, level 150. Printed for CT; MRI has no Hounsfield units.
        ct=Preprocessing(window=(300, 150), median=3),
        mri=Preprocessing(percentiles=(0.5, 99.5), median=3),
        model=models.kethavath2025,
        rows=tuple(Row(names.get(row, row), loss) for row, loss in LOSSES.items()),
        settings=dataclasses.replace(SETTINGS, **changes),
        reference="Dice Loss",
        spread=spread,
        departures=(*departures, *DEPARTURES),
        tests_note=TESTS_NOTE,
    )
