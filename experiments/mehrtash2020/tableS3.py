"""Mehrtash et al. (2020), Table S3: 3D networks on the prostate.

One cell: python -m experiments.mehrtash2020.tableS3 --data archives --dataset prostatex --row CE --seed 0
"""

import dataclasses
import sys

from experiments.mehrtash2020.protocol import TABLE_PROFILES, table
from experiments.runner import main

# Ten models a loss, volumes of 112 voxels a side at 1 mm (supplement, Appendix F); the batch is not printed.
TABLE = dataclasses.replace(
    table("tableS3", "3D networks: calibration, ensembles and segmentation", "Prostate", volumes=True),
    profiles={
        "demo": dataclasses.replace(
            TABLE_PROFILES["demo"],
            changes={**TABLE_PROFILES["demo"].changes, "size": (48, 48), "batch": 2, "steps": 20},
            seeds=2,
        ),
        "small": dataclasses.replace(
            TABLE_PROFILES["small"],
            changes={**TABLE_PROFILES["small"].changes, "batch": 4, "steps": 30},
            max_epochs=8,
            seeds=1,
        ),
        "paper": dataclasses.replace(TABLE_PROFILES["paper"], seeds=10),
    },
)
TABLE = dataclasses.replace(
    TABLE, settings=dataclasses.replace(TABLE.settings, spacing=(1.0, 1.0, 1.0), crop=(112, 112), batch=4)
)

if __name__ == "__main__":
    sys.exit(main(TABLE))
