"""Records of cells that were never run, written as those that were."""

from experiments.recorded import digest
from experiments.records import sums, write_json

MACHINE = {"commit": "abc", "backend": "tensorflow", "packages": {}, "hardware": {}}


def write_record(cell, row, seed, training=2.0, **facts):
    """Make a record of the files in a cell's folder; the training took so many seconds."""
    trained = {"row of the training": row, "seed": seed}
    config = {"row": row, "seed": seed, "training": trained, "inputs": []}
    write_json(cell / "config.json", config)
    write_json(cell / "training.json", {"training_sha256": digest(trained), "seconds": training})
    record_again(cell, {"config_sha256": digest(config), "seconds": 1.0, **MACHINE, **facts})


def record_again(cell, provenance):
    """Write the provenance of a cell whose files were changed on purpose."""
    write_json(cell / "provenance.json", {**provenance, "files": sums(cell)})


def run_facts(**changes):
    """What `run.json` must hold."""
    facts = {"paper": "kethavath2025", "table": "table3", "title": "T", "profile": "demo", "changes": ""}
    facts |= {"dataset": "synthetic CT", "modality": "CT", "data": "sha256:0", "reference": "Dice Loss"}
    facts |= {"cases": {"train": 5, "validation": 3, "test": 3}, "departures": [], "rows": ["Dice Loss"]}
    return {**facts, **changes}
