"""Hiroike (2026): PolyDice-1 with fixed and adaptive epsilon on scans and on pictures. The thesis prints no table.

One cell: python -m experiments.hiroike2026.table1 --data archives --dataset dsb2018 --row "Dice (Eq. 2)" --seed 0
"""

import sys

from experiments.command import main
from experiments.hiroike2026.protocol import PICTURES, SCANS

TABLES = [SCANS, PICTURES]

if __name__ == "__main__":
    sys.exit(main(TABLES, every=True))
