"""Kethavath et al. (2025), Table 4: seven losses on the liver in MRI.

The printed counts suggest a split over slices, which leaks; --split slices measures what that does.

One cell: python -m experiments.kethavath2025.table4 --row "Dice Loss" --seed 0
"""

import sys

from experiments.command import main
from experiments.kethavath2025.protocol import table

TABLE = table(
    name="table4",
    title="Seven losses with Monte Carlo dropout on the liver in MRI: Dice and uncertainty",
    dataset="atlas23",
    synthetic="liver",
    departures=("epochs and learning rate are not printed for this table: those of Tables 2 and 3",),
)

if __name__ == "__main__":
    sys.exit(main(TABLE))
