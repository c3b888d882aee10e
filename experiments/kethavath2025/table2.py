"""Kethavath et al. (2025), Table 2: seven losses on the pancreas.

One cell: python -m experiments.kethavath2025.table2 --row "Dice Loss" --seed 0
"""

import sys

from experiments.kethavath2025.protocol import DEPARTURES, LOSSES, PREPROCESSING_CT, PREPROCESSING_MRI, SETTINGS
from experiments.runner import main
from experiments.table import Row, Table
from keras_uq import models

TABLE = Table(
    paper="kethavath2025",
    name="table2",
    title="Seven losses with Monte Carlo dropout on the pancreas: Dice and uncertainty",
    dataset="msd/Task07_Pancreas",
    synthetic="pancreas",
    foreground=frozenset({1, 2}),
    ct=PREPROCESSING_CT,
    mri=PREPROCESSING_MRI,
    model=models.kethavath2025,
    rows=tuple(Row(name, loss) for name, loss in LOSSES.items()),
    settings=SETTINGS,
    reference="Dice Loss",
    spread="slice",
    departures=DEPARTURES,
)

if __name__ == "__main__":
    sys.exit(main(TABLE))
