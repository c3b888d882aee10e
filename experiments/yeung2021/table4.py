"""Yeung et al. (2021), Table IV: Dice, cross-entropy and DSC++ on five datasets.

One cell: python -m experiments.yeung2021.table4 --data archives --dataset dsb2018 --row DSC++ --seed 0
"""

import sys

from experiments.command import main
from experiments.yeung2021.protocol import CROSSENTROPY, DICE, SIZES, plus_plus, table

TABLES = [
    table(
        name="table4",
        title="Dice loss, cross-entropy and DSC++: calibration and overlap",
        rows={"DSC": DICE, "CE": CROSSENTROPY, "DSC++": plus_plus(2.0)},
        dataset=dataset,
        seeds=3,
    )
    for dataset in SIZES
]

if __name__ == "__main__":
    sys.exit(main(TABLES, every=True))
