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

import keras
import numpy as np
import pandas as pd
import pytest
from experiments.batches import Batches, SliceSplit
from experiments.measures import build_table, cases_of, cells

from experiments import record, runner
from experiments.kethavath2025.scoring import cell_measures
from experiments.table import PROFILES, Row, Settings, apply_profile, departures, scale_epochs
from keras_uq import losses
from keras_uq.inference import load_model, read_preprocessing
from keras_uq.preprocessing import Preprocessing
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
    folder, _ = runner.run(TABLE, options("--seeds", "2", "--epochs", "1"))
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
    folder, _ = runner.run(TABLE, options("--row", "Dice Loss", "--no-report"))
    cell = folder / "dice-loss-seed0"
    assert sorted(path.name for path in cell.iterdir()) == sorted(
        (
            *("config.json", "provenance.json", "training.json", "history.csv", "cases.csv", "slices.csv"),
            *("panels.npz", "model.keras", "best_val_dice.weights.h5", "best_val_loss.weights.h5"),
        )
    )
    config = json.loads((cell / "config.json").read_text())
    training = config["training"]
    assert (config["row"], training["seed"], training["epochs"]) == ("Dice Loss", 0, 4)
    assert training["loss"]["config"]["over"] == "batch"
    assert training["model"]["builder"] == "tests.experiments.tiny.small_unet"
    assert json.loads((cell / "training.json").read_text())["training_sha256"] == record.digest(training)
    provenance = json.loads((cell / "provenance.json").read_text())
    assert provenance["config_sha256"] == record.digest(config)
    assert provenance["packages"]["keras"]
    assert provenance["hardware"]["cores"] == os.cpu_count()
    assert len(pd.read_csv(cell / "history.csv")) == 4
    assert list(pd.read_csv(cell / "cases.csv")["set"]) == ["test", "test", "validation"]
    assert pd.read_csv(cell / "slices.csv").groupby("case").size().tolist() == [6, 6, 6]
    model = load_model(cell / "model.keras")
    assert read_preprocessing(cell / "model.keras").window == (300, 150)
    best = load_model(cell / "model.keras")
    best.load_weights(cell / "best_val_dice.weights.h5")
    for a, b in zip(model.get_weights(), best.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_measures_of_a_cell_are_those_of_its_maps(options, tmp_path):
    from experiments import datasets
    from keras_uq.inference import MCDropout

    folder, _ = runner.run(TABLE, options("--row", "Dice Loss", "--no-report"))
    line = cell_measures(cases_of(cells(folder)["folder"].iloc[0]))
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


def test_changes_are_in_the_record_and_have_a_folder_of_their_own(options):
    arguments = ("--row", "BCE Loss", "--epochs", "1", "--filters", "3", "--foreground", "1", "--split", "slices")
    folder, _ = runner.run(TABLE, options(*arguments))
    assert folder.name == "paper-mine-epochs1-filters3-foreground1-splitslices"
    training = json.loads((folder / "bce-loss-seed0" / "config.json").read_text())["training"]
    assert (training["epochs"], training["decay_every"]) == (1, 1)
    assert training["model"]["arguments"]["filters"] == 3
    said = "; ".join(json.loads((folder / "run.json").read_text())["departures"])
    for words in ("epochs 1 for 4", "filters of the first stage 3 for 2", "label 1 alone", "THE SPLIT LEAKS"):
        assert words in said
    assert "epochs1-filters3" in (folder / "table.md").read_text().splitlines()[0]


def test_cells_of_one_configuration_are_trained_once(options, monkeypatch):
    first, _ = runner.run(TABLE, options("--row", "Dice Loss", "--epochs", "1", "--no-report"))

    def refuse(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(runner, "train", refuse)
    same = dataclasses.replace(
        TABLE, name="table7", rows=(Row("Focal Tversky", TABLE.row("Dice Loss").loss), *TABLE.rows[:1])
    )
    second, _ = runner.run(same, options("--row", "Focal Tversky", "--epochs", "1", "--no-report"))
    cells_ = first / "dice-loss-seed0", second / "focal-tversky-seed0"
    for name in ("cases.csv", "slices.csv", "history.csv", "training.json"):
        assert (cells_[0] / name).read_bytes() == (cells_[1] / name).read_bytes()
    assert json.loads((cells_[1] / "config.json").read_text())["row"] == "Focal Tversky"
    assert json.loads((cells_[1] / "provenance.json").read_text())["shared_with"] == record.name_of(cells_[0])
    # Another epoch of the same training, and other samples: scored anew, not trained.
    for name, change in (("table5", {"keep": "val_loss"}), ("table7", {"samples": 2})):
        changed = dataclasses.replace(same, name=name, settings=dataclasses.replace(TABLE.settings, **change))
        third, _ = runner.run(changed, options("--row", "Focal Tversky", "--epochs", "1", "--no-report"))
        cell = third / "focal-tversky-seed0"
        assert "shared_with" not in json.loads((cell / "provenance.json").read_text())
        assert (cell / "training.json").read_bytes() == (cells_[0] / "training.json").read_bytes()
        model = load_model(cell / "model.keras")
        model.load_weights(cell / f"best_{changed.settings.keep}.weights.h5")
    # Without weights there is nothing to share.
    for path in first.parent.parent.rglob("*.weights.h5"):
        path.unlink()
    changed = dataclasses.replace(same, settings=dataclasses.replace(TABLE.settings, samples=4))
    with pytest.raises(AssertionError, match="trained again"):
        runner.run(changed, options("--row", "Focal Tversky", "--epochs", "1", "--no-report"))


def test_a_loss_of_your_own_is_a_row_beside_the_others(options, tmp_path, monkeypatch):
    own = tmp_path / "my_losses.py"
    own.write_text(
        "import keras\n\nclass Squared(keras.losses.Loss):\n    def call(self, y_true, y_pred):\n"
        "        return keras.ops.mean((y_true - y_pred) ** 2, axis=(1, 2, 3))\n\n\n"
        "def plain(y_true, y_pred):\n    return y_pred\n\n\nbroken = Squared(name='broken')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    runner.run(TABLE, options("--row", "Dice Loss", "--epochs", "1", "--no-report"))
    arguments = ("--loss", "my_losses:Squared", "--row", "Squared", "--epochs", "1")
    folder, _ = runner.run(TABLE, options(*arguments))
    table = pd.read_csv(folder / "table.csv").set_index("row")
    assert list(table.index) == [*(row.name for row in TABLE.rows), "Squared"]
    assert np.isfinite(table.loc[["Dice Loss", "Squared"], "dice"]).all()
    assert np.isnan(table.loc["Squared", "dice_published"])
    runner.run(TABLE, options("--row", "Dice Loss", "--epochs", "1", "--no-report"))
    assert "Squared" in json.loads((folder / "run.json").read_text())["rows"]  # Its cell stays in the table.
    digest = json.loads((folder / "squared-seed0" / "config.json").read_text())["training"]["loss_code"]
    own.write_text(own.read_text() + "\n# Changed.\n")
    runner.run(TABLE, options(*arguments, "--no-report"))
    assert json.loads((folder / "squared-seed0" / "config.json").read_text())["training"]["loss_code"] != digest
    for name, said in (
        ("my_losses:plain", "function.*Expected a keras.losses.Loss"),
        ("my_losses:Missing", "no attribute"),
        ("no_such_module:Loss", "my_losses:MyLoss"),
        ("my_losses", "module:Class"),
    ):
        with pytest.raises(ValueError, match=said):
            runner.run(TABLE, options("--loss", name))


class NoNumber(keras.losses.Loss):
    """Diverges in the first batch."""

    def call(self, y_true, y_pred):
        return keras.ops.mean(y_pred, axis=(1, 2, 3)) * float("nan")


def test_a_diverged_training_is_named_and_the_others_go_on(options, capsys):
    rows = (Row("BCE Loss", NoNumber()), TABLE.row("Dice Loss"), TABLE.row("Hybrid Loss"))
    profiles = {**PROFILES, "paper": dataclasses.replace(PROFILES["paper"], seeds=1)}
    table = dataclasses.replace(TABLE, rows=rows, profiles=profiles)
    arguments = vars(options("--epochs", "1"))
    status = runner.main(
        table,
        [f"--{key.replace('_', '-')}={arguments[key]}" for key in ("profile", "data", "dataset", "epochs", "results")],
    )
    assert status == 1
    said = capsys.readouterr().out.replace("\n", " ")
    assert "BCE Loss, seed 0: val_dice was never finite" in said
    assert "Hybrid Loss, seed 0: its input bce-loss-seed0 has no result" in said
    (table_csv,) = Path(arguments["results"]).glob("*/*/table.csv")
    seeds = pd.read_csv(table_csv).set_index("row")["seeds"]
    assert seeds.to_dict() == {"BCE Loss": 0, "Dice Loss": 1, "Hybrid Loss": 0}


@pytest.mark.parametrize("volumes", [False, True], ids=["2D", "3D"])
def test_several_classes_in_slices_and_volumes(options, make_task, volumes):  # noqa: F811
    folder = make_task("two", cases=6, shape=(32, 32, 6), labels=("background", "organ", "tumour"))
    settings = dataclasses.replace(TABLE.settings, size=None, epochs=1, steps=2, batch=2, volumes=volumes)
    rows = (Row("Dice Loss", losses.Dice(include_background=False)),)
    table = dataclasses.replace(TABLE, foreground=None, settings=settings, rows=rows)
    run, _ = runner.run(table, options("--data", str(folder.parent), "--dataset", "two"))
    cell = run / "dice-loss-seed0"
    assert load_model(cell / "model.keras").output_shape == (None,) * (4 if volumes else 3) + (3,)
    cases = pd.read_csv(cell / "cases.csv")
    np.testing.assert_allclose(cases["dice"], cases[["dice_1", "dice_2"]].mean(axis=1))
    assert set(cases["soft_labelled_1"] - 4 * 8 * 6) == {-2 * 2 * 2.0}
    assert set(cases["soft_labelled_2"]) == {8.0}
    soft = [
        2 * cases[f"soft_overlap_{k}"] / (cases[f"soft_predicted_{k}"] + cases[f"soft_labelled_{k}"]) for k in (1, 2)
    ]
    assert 0 < np.mean(soft) < 1
    table_csv = pd.read_csv(run / "table.csv").set_index("row").loc["Dice Loss"]
    pooled = [
        2 * part[f"soft_overlap_{k}"].sum() / (part[f"soft_predicted_{k}"].sum() + part[f"soft_labelled_{k}"].sum())
        for part in [cases[cases["set"] == "test"]]
        for k in (1, 2)
    ]
    assert table_csv["dice"] == pytest.approx(np.mean(pooled), rel=1e-5)
    assert table_csv["dice_hard"] == pytest.approx(cases[cases["set"] == "test"]["dice"].mean(), rel=1e-5)
    slices = pd.read_csv(cell / "slices.csv")
    assert slices.groupby("case").size().unique().tolist() == [6]  # Without the padding of volumes.


@pytest.mark.data
def test_the_two_parts_of_real_hippocampi_in_3d(real_data, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_UQ_CACHE", str(tmp_path / "cache"))
    settings = dataclasses.replace(
        TABLE.settings, size=None, epochs=2, steps=6, batch=2, filters=4, max_cases=12, volumes=True, learning_rate=0.01
    )
    rows = (Row("Dice Loss", losses.Dice(include_background=False)),)
    steps = Preprocessing(percentiles=(0.5, 99.5))
    table = dataclasses.replace(TABLE, foreground=None, settings=settings, rows=rows, mri=steps)
    arguments = ["--profile", "paper", "--data", str(real_data), "--dataset", "msd/Task04_Hippocampus", "--seeds", "1"]
    run, diverged = runner.run(table, runner._parser(table).parse_args([*arguments, "--results", str(tmp_path)]))
    assert not diverged
    cell = run / "dice-loss-seed0"
    cases = pd.read_csv(cell / "cases.csv")
    assert (cases[["soft_labelled_1", "soft_labelled_2"]] > 500).all(axis=None)
    assert (cases["uncertainty_slices"] > 20).all()
    history = pd.read_csv(cell / "history.csv")
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    model = load_model(cell / "model.keras")
    assert model.input_shape == (None, None, None, None, 1)
    assert model.output_shape[-1] == 3


def test_a_split_over_slices_has_the_printed_counts_and_leaks():
    class Fake:
        fingerprint, description, classes = "f", {"preprocessing": {}}, 1
        split = {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}

        def image(self, case):
            return np.full((1186, 1, 1, 1), ord(case), "float32") + np.linspace(0, 0.5, 1186)[:, None, None, None]

        mask = image

    split = SliceSplit(Fake())
    count = {part: sum(len(split.image(case)) for case in cases) for part, cases in split.split.items()}
    assert (sum(count.values()), count["test"]) == (4744, 949)  # 3,795 of 4,744 for training, as printed.
    assert set(split.split["test"]) == {f"{case}/test" for case in "abcd"}  # Everybody is everywhere.
    seen = np.concatenate([np.asarray(split.image(case)).ravel() for cases in split.split.values() for case in cases])
    assert len(np.unique(seen)) == 4744
    assert split.image("a/test")[3] == np.asarray(split.image("a/test"))[3]
    assert split.fingerprint != Fake.fingerprint
    assert len(Batches(split, "train", batch=100)) == -(-count["train"] // 100)


def test_a_row_of_other_cells_runs_them_first_and_follows_them(options):
    folder, _ = runner.run(TABLE, options("--row", "Hybrid Loss", "--seed", "1", "--epochs", "1", "--no-report"))
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
    with pytest.raises(ValueError, match=r"no other\.tar or \.zip.*dataset\.json, imagesTr"):
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
    long = dataclasses.replace(settings, epochs=40)  # Its last 20 epochs have rates below 1e-6.
    assert scale_epochs(long, 10) == half
    assert (scale_epochs(long, 30).epochs, scale_epochs(long, 30).decay_every) == (30, 4)
    small = apply_profile(settings, PROFILES["small"])
    assert (small.epochs, small.max_cases, small.filters, small.size) == (10, 80, 8, None)
    said = departures(TABLE, apply_profile(TABLE.settings, PROFILES["small"]), "msd/Task04_Hippocampus", "MRI", {})
    assert said[0] == "data: msd/Task04_Hippocampus, not msd/Task07_Pancreas"
    assert departures(TABLE, TABLE.settings, TABLE.dataset, "CT", {"official_archive": True}) == []
    other = departures(TABLE, TABLE.settings, TABLE.dataset, "CT", {"official_archive": False, "archive_md5": "0a"})
    assert other == ["the archive is not the official one (md5 0a)"]


def test_the_order_of_batches_is_a_function_of_seed_and_epoch():
    class Fake:
        split = {"train": [0, 1]}
        classes = 1

        def image(self, case):
            return np.arange(6 * 4, dtype="float32").reshape(6, 2, 2, 1) + 100 * case

        def mask(self, case):
            return np.zeros((6, 2, 2, 1), "uint8")

    def seen(epoch, seed=0, steps=None):
        batches = Batches(Fake(), "train", batch=5, seed=seed, steps=steps)
        batches.epoch = epoch
        return np.concatenate([batches[number][0][:, 0, 0, 0] for number in range(len(batches))])

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
    folder, _ = runner.run(TABLE, options("--row", "Dice Loss", "--epochs", "1", "--no-report"))
    (folder / "dice-loss-seed0" / "provenance.json").unlink()
    assert cells(folder).empty
    runner.run(TABLE, options("--row", "Dice Loss", "--epochs", "1", "--no-report"))
    _, table = build_table(folder)
    assert table.set_index("row").loc["Dice Loss", "seeds"] == 1
    assert np.isnan(table.set_index("row").loc["BCE Loss", "dice"])
