"""Kethavath et al. (2025), Table 5: the spleen with a learning rate of 0.1, 40 epochs.

One cell: python -m experiments.kethavath2025.table5 --row "Dice Loss" --seed 0
"""

import sys

from experiments.choices import Adam
from experiments.command import main
from experiments.kethavath2025.protocol import table

TABLE = table(
    name="table5",
    title="Seven losses on the spleen with a learning rate of 0.1 for 40 epochs",
    dataset="msd/Task09_Spleen",
    synthetic="spleen",
    optimizer=Adam(0.1),
    epochs=40,
)

if __name__ == "__main__":
    sys.exit(main(TABLE))
