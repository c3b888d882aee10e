"""Mehrtash et al. (2020), Table II: two losses, each with Monte Carlo dropout, as an ensemble and at a temperature.

One cell: python -m experiments.mehrtash2020.table2 --data archives --dataset acdc --row CE --seed 0
"""

import sys

from experiments.command import main
from experiments.mehrtash2020.protocol import APPLICATIONS, table

TABLES = [
    table("table2", "Cross-entropy and Dice: calibration, ensembles and segmentation", application)
    for application in APPLICATIONS
]

if __name__ == "__main__":
    sys.exit(main(TABLES, every=True))
