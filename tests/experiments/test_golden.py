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
import pytest

from experiments.choices import FirstSeeds
from experiments.inputs.datasets import open_cases
from experiments.plan import plan
from experiments.records import Record

ROOT = Path(__file__).parent.parent.parent
RUNS = sorted((ROOT / "results" / "runs").glob("*/small-*/run.json"))
RECORDED = 223


def recorded_table(run):
    """The table and the settings of a recorded run."""
    module = importlib.import_module(f"experiments.{run['paper']}.{run['table']}")
    tables = getattr(module, "TABLES", None) or [module.TABLE]
    table = next((table for table in tables if table.dataset == run["dataset"]), tables[0])
    profile = table.profiles[run["profile"]]
    return table, profile.apply(table.settings), profile


def claimed_cells(path):
    """`(record, job)` of every recorded cell of a run, the job planned from today's table."""
    run, folder = json.loads(path.read_text()), path.parent
    table, settings, _ = recorded_table(run)
    records = {(record.row, record.seed): record for record in map(Record, cell_folders(folder))}
    data = SimpleNamespace(
        fingerprint=run["data"].removeprefix("sha256:"),
        classes=run.get("classes") or (1 if table.foreground else 2),
        shifted=None,
        channels=1,
    )
    configs = {row: record.config for (row, _), record in records.items()}
    table = dataclasses.replace(table, rows=tuple(as_recorded(row, configs.get(row.name)) for row in table.rows))
    jobs = plan(table, settings, data, sorted({seed for _, seed in records}))
    jobs = {(job.row.name, job.seed): job for job in jobs}
    return [(record, jobs[key]) for key, record in records.items()]


def as_recorded(row, config):
    """The row, a loss that depends on the data taken from its record; not run if it has none."""
    if row.loss is None or isinstance(row.loss, keras.losses.Loss):
        return row
    if config is None:
        return dataclasses.replace(row, loss=None, seeds=FirstSeeds(0))
    return dataclasses.replace(row, loss=keras.saving.deserialize_keras_object(config["training"]["loss"]))


def cell_folders(folder):
    return sorted(path.parent for path in folder.glob("*/provenance.json"))


@pytest.mark.parametrize("path", RUNS, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_recorded_cells_are_claimed_by_todays_code(path):
    cells = list(claimed_cells(path))
    assert cells
    for record, job in cells:
        assert record.check().provenance["files"]
        assert record.digest == job.digest, record.folder
        assert record.folder.name == job.name
        if record.training:
            assert record.training["training_sha256"] == job.training_digest, record.folder


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
        data = open_cases(table, settings, profile, real_data, run["dataset"])
        assert f"sha256:{data.fingerprint}" == run["data"], path
