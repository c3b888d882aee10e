"""Cells: skipped when recorded, resumed when killed, the same whatever happened on the way."""

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import record, runner
from experiments.report import build_table, cells
from experiments.slices import Slices
from experiments.table import PROFILES, Row, Settings, apply_profile, departures, scale_epochs
from keras_uq.inference import load_model, read_preprocessing
from tests.data_prep.conftest import make_task  # noqa: F401
from tests.experiments.tiny import TABLE

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def options(make_task, tmp_path, monkeypatch):  # noqa: F811
    """Arguments of a run on a folder in Decathlon layout, with caches in the test's folder."""
    monkeypatch.setenv("KERAS_UQ_CACHE", str(tmp_path / "cache"))
    folder = make_task(name="mine", cases=10, labels=("background", "organ"))

    def make(*arguments):
        parsed = runner._parser(TABLE).parse_args(
            [
                *("--profile", "paper", "--data", str(folder.parent), "--dataset", "mine", "--seeds", "1"),
                *("--results", str(tmp_path / "runs"), *arguments),
            ]
        )
        assert isinstance(parsed, argparse.Namespace)
        return parsed

    return make


def test_a_table_runs_and_recorded_cells_are_not_run_again(options, capsys):
    folder = runner.run(TABLE, options("--seeds", "2", "--epochs", "1"))
    table = pd.read_csv(folder / "table.csv")
    assert list(table["row"]) == [row.name for row in TABLE.rows]
    assert list(table["seeds"]) == [2] * 4
    assert np.isfinite(table[["dice", "dice_low", "dice_high", "uncertainty_mean", "uncertainty_std"]]).all(axis=None)
    assert table["dice_published"].tolist() == [0.6270, 0.6838, 0.5680, 0.6681]
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/provenance.json")}
    assert len(before) == 8
    runner.run(TABLE, options("--seeds", "2", "--epochs", "1"))
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*/provenance.json")} == before
    assert capsys.readouterr().out.count("recorded in") == 8


def test_a_cell_leaves_a_whole_record(options):
    folder = runner.run(TABLE, options("--row", "Dice Loss", "--no-report"))
    cell = folder / "dice-loss-seed0"
    assert sorted(path.name for path in cell.iterdir()) == sorted(
        (
            *("config.json", "provenance.json", "history.csv", "cases.csv", "panel.npz", "model.keras"),
            *("best_val_dice.weights.h5", "best_val_loss.weights.h5"),
        )
    )
    config = json.loads((cell / "config.json").read_text())
    assert (config["row"], config["seed"], config["epochs"]) == ("Dice Loss", 0, 4)
    assert config["loss"]["config"]["over"] == "batch"
    assert config["model"]["builder"] == "keras_uq.models.kethavath2025"
    provenance = json.loads((cell / "provenance.json").read_text())
    assert provenance["config_sha256"] == record.digest(config)
    assert provenance["packages"]["keras"]
    assert provenance["hardware"]["cores"] == os.cpu_count()
    assert len(pd.read_csv(cell / "history.csv")) == 4
    cases = pd.read_csv(cell / "cases.csv")
    assert len(cases) == 2
    model = load_model(cell / "model.keras")
    assert read_preprocessing(cell / "model.keras").window == (300, 150)
    best = load_model(cell / "model.keras")
    best.load_weights(cell / "best_val_dice.weights.h5")
    for a, b in zip(model.get_weights(), best.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_measures_of_a_cell_are_those_of_its_maps(options, tmp_path):
    from experiments import datasets
    from keras_uq.inference import MCDropout

    folder = runner.run(TABLE, options("--row", "Dice Loss", "--no-report"))
    line = cells(folder).iloc[0]
    arguments = options()
    data, *_ = datasets.prepared(TABLE, TABLE.settings, PROFILES["paper"], arguments.data, arguments.dataset)
    predictor = MCDropout(load_model(folder / "dice-loss-seed0" / "model.keras"), samples=3, seed=0)
    maps = [predictor.predict(np.asarray(data.image(case)), case=n) for n, case in enumerate(data.split["test"])]
    p = np.concatenate([each.mean[..., 0] for each in maps]).astype("float64")
    u = np.concatenate([each.entropy for each in maps]).astype("float64")
    g = np.concatenate([data.mask(case)[..., 0] for case in data.split["test"]])
    assert line["dice"] == pytest.approx(2 * (p * g).sum() / (p.sum() + g.sum()), rel=1e-5)
    assert line["uncertainty_mean"] == pytest.approx(u.mean(), rel=1e-5)
    assert line["uncertainty_std_pixel"] == pytest.approx(u.std(), rel=1e-5)
    assert line["uncertainty_std_slice"] == pytest.approx(u.mean(axis=(1, 2)).std(), rel=1e-4)


def test_overrides_are_in_the_record_and_make_another_cell(options):
    folder = runner.run(TABLE, options("--row", "BCE Loss", "--epochs", "2", "--no-report"))
    config = json.loads((folder / "bce-loss-seed0" / "config.json").read_text())
    assert (config["epochs"], config["decay_every"]) == (2, 2)
    assert any("epochs 2 for 4" in text for text in json.loads((folder / "run.json").read_text())["departures"])
    runner.run(TABLE, options("--row", "BCE Loss", "--no-report"))
    assert json.loads((folder / "bce-loss-seed0" / "config.json").read_text())["epochs"] == 4


def test_a_row_of_other_cells_runs_them_first_and_follows_them(options):
    folder = runner.run(TABLE, options("--row", "Hybrid Loss", "--seed", "1", "--epochs", "1", "--no-report"))
    assert {path.name for path in folder.iterdir()} >= {"bce-loss-seed1", "dice-loss-seed1", "hybrid-loss-seed1"}
    config = json.loads((folder / "hybrid-loss-seed1" / "config.json").read_text())
    inputs = [json.loads((folder / f"{n}-loss-seed1" / "provenance.json").read_text()) for n in ("dice", "bce")]
    assert config["inputs"] == [entry["config_sha256"] for entry in inputs]
    circle = dataclasses.replace(TABLE, rows=(Row("a", inputs=("b",)), Row("b", inputs=("a",))))
    with pytest.raises(ValueError, match="needs itself"):
        runner.run(circle, options("--row", "a"))


def test_unknown_rows_and_datasets_are_explained(options, capsys):
    with pytest.raises(ValueError, match="no row 'Lovasz'.*Dice Loss"):
        runner.run(TABLE, options("--row", "Lovasz"))
    with pytest.raises(ValueError, match="Expected a folder in Decathlon layout"):
        runner.run(TABLE, options("--dataset", "other"))
    with pytest.raises(ValueError, match=r"data_prep\.download Task09_Spleen"):
        runner.run(TABLE, options("--dataset", "msd/Task09_Spleen"))
    assert runner.main(TABLE, ["--profile", "paper"]) == 2
    assert "needs DATA" in capsys.readouterr().out


def test_epochs_scale_schedule_and_patience():
    settings = Settings()
    half = scale_epochs(settings, 10)
    assert (half.epochs, half.decay_every, half.patience) == (10, 2, 6)
    assert scale_epochs(settings, 50) == settings
    small = apply_profile(settings, PROFILES["small"])
    assert (small.epochs, small.max_cases, small.filters, small.size) == (10, 80, 8, None)
    said = departures(TABLE, apply_profile(TABLE.settings, PROFILES["small"]), "msd/Task04_Hippocampus", "MRI", {})
    assert said[0] == "data: msd/Task04_Hippocampus, not msd/Task07_Pancreas"
    assert departures(TABLE, TABLE.settings, TABLE.dataset, "CT", {"official_archive": True}) == []
    other = departures(TABLE, TABLE.settings, TABLE.dataset, "CT", {"official_archive": False, "archive_md5": "0a"})
    assert other == ["the archive is not the official one (md5 0a)"]


def test_the_order_of_slices_is_a_function_of_seed_and_epoch():
    class Fake:
        def image(self, case):
            return np.arange(6 * 4, dtype="float32").reshape(6, 2, 2, 1) + 100 * case

        def mask(self, case):
            return np.zeros((6, 2, 2, 1), "uint8")

    def seen(epoch, seed=0, steps=None):
        slices = Slices(Fake(), [0, 1], batch=5, seed=seed, steps=steps)
        slices.epoch = epoch
        return np.concatenate([slices[number][0][:, 0, 0, 0] for number in range(len(slices))])

    assert len(seen(0)) == 12
    np.testing.assert_array_equal(seen(3), seen(3))
    np.testing.assert_array_equal(np.sort(seen(3)), np.sort(seen(4)))
    assert not np.array_equal(seen(3), seen(4))
    assert not np.array_equal(seen(3), seen(3, seed=1))
    assert len(seen(0, steps=1)) == 5
    np.testing.assert_array_equal(seen(0, seed=None), np.sort(seen(0)))


@pytest.mark.slow
def test_killed_at_any_moment_a_cell_ends_like_an_uninterrupted_one(options, tmp_path):
    """SIGKILL during training, twice at other moments, then once during sampling or later."""
    arguments = options()
    command = [sys.executable, "-m", "tests.experiments.tiny", "--profile", "paper", "--data", arguments.data]
    command += ["--dataset", "mine", "--row", "Dice Loss", "--seed", "0", "--no-report", "--results"]
    environment = {**os.environ, "TF_NUM_INTEROP_THREADS": "1", "KERAS_BACKEND": "tensorflow"}

    def start(results):
        with open(tmp_path / "log", "w") as log:  # The child keeps its own copy of the handle.
            return subprocess.Popen([*command, str(results)], cwd=ROOT, env=environment, stdout=log, stderr=log)

    whole = start(tmp_path / "whole")
    assert whole.wait(timeout=300) == 0, (tmp_path / "log").read_text()[-2000:]
    (expected,) = (tmp_path / "whole").glob("*/*/dice-loss-seed0")
    cell = tmp_path / "cut" / expected.relative_to(tmp_path / "whole")
    state = cell / "training" / "resume" / "state.json"
    kills = 0
    for epoch, delay in ((1, 0.0), (2, 0.15), (4, 0.05)):
        process = start(tmp_path / "cut")
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if json.loads(state.read_text())["epoch"] >= epoch:
                    break
            except (OSError, json.JSONDecodeError):
                pass
            time.sleep(0.01)
        time.sleep(delay)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 2
    assert start(tmp_path / "cut").wait(timeout=300) == 0, (tmp_path / "log").read_text()[-2000:]
    for name in ("history.csv", "cases.csv", "config.json"):
        assert (cell / name).read_bytes() == (expected / name).read_bytes(), name
    for a, b in zip(
        load_model(cell / "model.keras").get_weights(), load_model(expected / "model.keras").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_a_record_without_provenance_is_no_record(options):
    folder = runner.run(TABLE, options("--row", "Dice Loss", "--epochs", "1", "--no-report"))
    (folder / "dice-loss-seed0" / "provenance.json").unlink()
    assert cells(folder).empty
    runner.run(TABLE, options("--row", "Dice Loss", "--epochs", "1", "--no-report"))
    _, table = build_table(folder)
    assert table.set_index("row").loc["Dice Loss", "seeds"] == 1
    assert np.isnan(table.set_index("row").loc["BCE Loss", "dice"])
