"""Mehrtash et al. (2020), Table S2: Hausdorff distances; a part of the report of Table II."""

import sys

from experiments.command import main
from experiments.mehrtash2020.table2 import TABLES

if __name__ == "__main__":
    sys.exit(main(TABLES, every=True))
