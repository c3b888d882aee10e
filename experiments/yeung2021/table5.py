"""Yeung et al. (2021), Table V: four losses with and without the "++" of DSC++.

One cell: python -m experiments.yeung2021.table5 --row "Combo++" --seed 0
"""

import sys

from experiments.command import main
from experiments.yeung2021.protocol import SIZES, TVERSKY, table
from keras_uq import losses

PAIRS = {
    "Tversky": (losses.Tversky, TVERSKY),
    "Focal Tversky": (losses.FocalTversky, {**TVERSKY, "exponent": 0.75}),
    "Combo": (losses.Combo, {"alpha": 0.5, "beta": 0.5}),
    "Unified Focal": (losses.UnifiedFocal, {"weight": 0.5, "delta": 0.6, "gamma": 0.1}),
}
ROWS = {
    f"{name}{mark}": loss(**arguments, penalty_gamma=power)
    for name, (loss, arguments) in PAIRS.items()
    for mark, power in (("", 1.0), ("++", 2.0))
}

TABLES = [
    table(
        name="table5",
        title="Four losses with a Dice-type part, and with its ++ form",
        rows=ROWS,
        dataset=dataset,
        reference="Tversky",
    )
    for dataset in SIZES
]

if __name__ == "__main__":
    sys.exit(main(TABLES))
