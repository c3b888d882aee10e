"""Zhang et al. (2025), Tables 1 and 2: the same networks, F2 and DSC in one, specificity and the like in the other.

One cell: python -m experiments.zhang2025.table1 --data archives --row "UNet-3D, Tversky 0.7/0.3" --seed 0
"""

import sys

from experiments.command import main
from experiments.zhang2025.protocol import TABLE

if __name__ == "__main__":
    sys.exit(main(TABLE))
