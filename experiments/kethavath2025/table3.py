"""Kethavath et al. (2025), Table 3: seven losses on the spleen.

One cell: python -m experiments.kethavath2025.table3 --row "Dice Loss" --seed 0
"""

import sys

from experiments.command import main
from experiments.kethavath2025.protocol import table

TABLE = table(
    name="table3",
    title="Seven losses with Monte Carlo dropout on the spleen: Dice and uncertainty",
    dataset="msd/Task09_Spleen",
    synthetic="spleen",
)

if __name__ == "__main__":
    sys.exit(main(TABLE))
