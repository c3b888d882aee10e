"""Every recorded cell is claimed by today's code: its configuration, rebuilt from today's tables, has its digest.

And the recorded tables' data, prepared by today's code, have the recorded fingerprint.
"""

import dataclasses
import importlib
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from experiments import datasets, record, runner
from experiments.table import apply_profile

ROOT = Path(__file__).parent.parent.parent
RUNS = sorted((ROOT / "results" / "runs").glob("*/small-*/run.json"))
RECORDED = 223


def recorded_table(run):
    """The table and the settings of a recorded run."""
    module = importlib.import_module(f"experiments.{run['paper']}.{run['table']}")
    tables = getattr(module, "TABLES", None) or [module.TABLE]
    table = next((table for table in tables if table.dataset == run["dataset"]), tables[0])
    profile = table.profiles[run["profile"]]
    return table, apply_profile(table.settings, profile), profile


def claimed_cells(path):
    """`(folder, configuration)` of every recorded cell of a run, the configuration rebuilt from today's table."""
    run, folder = json.loads(path.read_text()), path.parent
    table, settings, _ = recorded_table(run)
    classes = run.get("classes") or (1 if table.foreground else 2)
    data = SimpleNamespace(
        fingerprint=run["data"].removeprefix("sha256:"),
        classes=classes,
        shifted=None,
        split={"train": ["a"]},
        image=lambda case: np.zeros((1, 16, 16, 1)),
    )
    recorded = [json.loads(file.read_text()) for file in sorted(folder.glob("*/config.json"))]
    for config in recorded:
        row = table.row(config["row"])
        if row.loss_of:  # Its weights depend on the data: take those of the record.
            loss = keras.saving.deserialize_keras_object(config["training"]["loss"])
            row = dataclasses.replace(row, loss=loss, loss_of=None)
        seeds = [config["seed"]]
        if row.over_seeds:
            seeds = sorted({other["seed"] for other in recorded if other["row"] in row.inputs})
        inputs = [runner.cell_folder(folder, name, seed) for name in row.inputs for seed in seeds]
        cell = runner.cell_folder(folder, row.name, config["seed"])
        yield cell, runner.cell_config(table, row, config["seed"], settings, data, inputs)


@pytest.mark.parametrize("path", RUNS, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_recorded_cells_are_claimed_by_todays_code(path):
    cells = list(claimed_cells(path))
    assert cells
    for cell, config in cells:
        assert record.is_finished(cell, config), cell


def test_no_recorded_cell_is_forgotten():
    folders = Counter(path.parents[1] for path in (ROOT / "results" / "runs").glob("*/*/*/provenance.json"))
    small = {folder: count for folder, count in folders.items() if folder.name.startswith("small-")}
    assert sum(small.values()) >= RECORDED
    assert set(small) == {path.parent for path in RUNS}
    for path in RUNS:
        assert len(list(claimed_cells(path))) == small[path.parent]


@pytest.mark.slow
@pytest.mark.data
def test_real_data_are_prepared_as_they_were(real_data, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_UQ_CACHE", str(tmp_path))
    for path in RUNS:
        run = json.loads(path.read_text())
        table, settings, profile = recorded_table(run)
        data, *_ = datasets.prepared(table, settings, profile, real_data, run["dataset"])
        assert f"sha256:{data.fingerprint}" == run["data"], path
