"""Kethavath et al. (2025), Table 7: Table 3 with the epoch of lowest validation loss. Costs no training of its own.

One cell: python -m experiments.kethavath2025.table7 --row "Dice Loss" --seed 0
"""

import sys

from experiments.command import main
from experiments.kethavath2025.protocol import table

TABLE = table(
    name="table7",
    title="Seven losses on the spleen, tested at the epoch of lowest validation loss",
    dataset="msd/Task09_Spleen",
    synthetic="spleen",
    names={"Focal Tversky Loss": "Focal Tversky"},
    keep="val_loss",
)

if __name__ == "__main__":
    sys.exit(main(TABLE))
