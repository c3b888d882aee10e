"""`python -m experiments.benchmarks` measures speed; see `experiments.benchmarks.speed`."""

import sys

from experiments.benchmarks.speed import main

if __name__ == "__main__":
    sys.exit(main())
