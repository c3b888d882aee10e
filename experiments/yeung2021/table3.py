"""Yeung et al. (2021), Table III: DSC++ for ten values of gamma.

One cell: python -m experiments.yeung2021.table3 --row 2.0 --seed 0
"""

import sys

from experiments.command import main
from experiments.yeung2021.protocol import SIZES, plus_plus, table

TABLES = [
    table(
        name="table3",
        title="DSC++ against gamma, the price of confident errors; 1.0 is the Dice loss",
        rows={f"{gamma / 2:.1f}": plus_plus(gamma / 2) for gamma in range(1, 11)},
        dataset=dataset,
        reference="1.0",
    )
    for dataset in SIZES
]

if __name__ == "__main__":
    sys.exit(main(TABLES))
