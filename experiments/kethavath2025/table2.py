"""Kethavath et al. (2025), Table 2: seven losses on the pancreas.

One cell: python -m experiments.kethavath2025.table2 --row "Dice Loss" --seed 0
"""

import sys

from experiments.command import main
from experiments.kethavath2025.protocol import table

TABLE = table(
    name="table2",
    title="Seven losses with Monte Carlo dropout on the pancreas: Dice and uncertainty",
    dataset="msd/Task07_Pancreas",
    synthetic="pancreas",
)

if __name__ == "__main__":
    sys.exit(main(TABLE))
