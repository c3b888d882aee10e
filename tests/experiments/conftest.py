"""Runs for the tests of experiments: one that trains, and a way to run cells without training."""

import dataclasses

import pytest

from experiments import cell, report
from experiments.command import parser
from experiments.training import build, trained_files
from tests.data_prep.conftest import make_task  # noqa: F401
from tests.experiments.tiny import TABLE, thresholded


@pytest.fixture(autouse=True, scope="session")
def few_dots():
    """Figures are looked at by people; tests need them fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "DPI", 40)
        yield


@pytest.fixture
def options(make_task, tmp_path, monkeypatch):  # noqa: F811
    """Arguments of a run on a folder in Decathlon layout, with caches in the test's folder."""
    monkeypatch.setenv("KERAS_UQ_CACHE", str(tmp_path / "cache"))
    folder = make_task(name="mine", cases=10, labels=("background", "organ"))

    def make(*arguments):
        given = ["--profile", "paper", "--data", str(folder.parent), "--dataset", "mine"]
        seeds = [] if "--seed" in arguments else ["--seeds", "1"]
        return parser(TABLE).parse_args([*given, *seeds, "--results", str(tmp_path / "runs"), *arguments])

    return make


@pytest.fixture
def untrained(monkeypatch):
    """Cells keep the first weights of their networks; returns the jobs that were "trained", in order."""
    jobs = []

    def fake(job, folder, inputs=(), verbose=2, tensorboard=None):
        jobs.append(job)
        model = build(job)
        for name in trained_files(job):
            if name.endswith(".weights.h5"):
                model.save_weights(folder / name)
        return [{"epoch": 0, "loss": 1.0, "val_dice": 0.5, "val_loss": 1.0}]

    monkeypatch.setattr(cell, "train", fake)
    return jobs


@pytest.fixture
def fast(untrained):
    """The tiny table with predictions that need no network."""
    rows = tuple(dataclasses.replace(row, predictor=thresholded) for row in TABLE.rows)
    return dataclasses.replace(TABLE, rows=rows)
