"""Zhang et al. (2025), Table 2: the report of Table 1 holds both, they are of the same networks."""

import sys

from experiments.command import main
from experiments.zhang2025.table1 import TABLE

if __name__ == "__main__":
    sys.exit(main(TABLE))
