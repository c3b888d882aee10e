"""Mehrtash et al. (2020), Table S3: 3D networks on the prostate.

One cell: python -m experiments.mehrtash2020.tableS3 --data archives --dataset prostatex --row CE --seed 0
"""

import dataclasses
import sys

from experiments.command import main
from experiments.mehrtash2020.protocol import TABLE_PROFILES, table


def _profile(name, **changes):
    """A profile of the other tables, changed for volumes."""
    profile = TABLE_PROFILES[name]
    return dataclasses.replace(profile, changes={**profile.changes, **changes})


# Ten models a loss, volumes of 112 voxels a side at 1 mm (supplement, Appendix F); the batch is not printed.
TABLE = dataclasses.replace(
    table(
        "tableS3",
        "3D networks: calibration, ensembles and segmentation",
        "Prostate",
        volumes=True,
        spacing=(1.0, 1.0, 1.0),
        crop=(112, 112),
        batch=4,
    ),
    profiles={
        "demo": _profile("demo", size=(48, 48), batch=2, steps=20),
        "small": dataclasses.replace(_profile("small", batch=4, steps=30), max_epochs=8, seeds=1),
        "paper": dataclasses.replace(TABLE_PROFILES["paper"], seeds=10),
    },
)

if __name__ == "__main__":
    sys.exit(main(TABLE))
