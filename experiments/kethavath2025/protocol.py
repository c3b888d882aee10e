"""What the tables of Kethavath et al. (2025) share. Where the paper is silent, the value is ours and said so."""

from experiments.table import Settings
from keras_uq import losses
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

# Figure 2: width 300, level 150. Printed for CT; MRI has no Hounsfield units.
PREPROCESSING_CT = Preprocessing(window=(300, 150), median=3)
PREPROCESSING_MRI = Preprocessing(percentiles=(0.5, 99.5), median=3)

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
    "not printed in the paper, chosen here: slice size, batch, dropout rate of each stage, patience, split by patient",
)
