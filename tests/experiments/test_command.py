"""The command of a table, run as users run it."""

import argparse
import dataclasses
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import command
from experiments.choices import Volumes
from experiments.hiroike2026.protocol import PICTURES, SCANS
from experiments.inputs.datasets import open_cases
from experiments.kethavath2025.scoring import cell_measures
from experiments.mehrtash2020.protocol import UNPADDED, Box
from experiments.mehrtash2020.table2 import TABLES as MEHRTASH
from experiments.mehrtash2020.tableS3 import TABLE as VOLUMES
from experiments.plan import digest
from experiments.records import Record
from experiments.run import Run
from experiments.settings import any_modality
from experiments.table import PROFILES, Profile, Row
from experiments.yeung2021.table4 import TABLES as YEUNG
from experiments.zhang2025.protocol import TABLE as ZHANG
from keras_uq import losses
from keras_uq.inference import MCDropout, load_model, read_preprocessing
from keras_uq.preprocessing import Preprocessing
from tests.data_prep.test_pictures import make_dsb2018
from tests.experiments.test_mehrtash import write_task
from tests.experiments.tiny import TABLE, small_unet, thresholded

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One real run of the tiny table: trained, sampled, reported."""
    place = tmp_path_factory.mktemp("whole")
    write_task(place / "data" / "mine", cases=10)
    arguments = ["--profile", "paper", "--data", str(place / "data"), "--dataset", "mine", "--seeds", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_UQ_CACHE", str(place / "cache"))
        assert command.main(TABLE, [*arguments, "--results", str(place / "runs")]) == 0
        data = open_cases(TABLE, TABLE.settings, PROFILES["paper"], place / "data", "mine")
    return place / "runs" / "kethavath2025_table2" / "paper-mine", data


def test_a_whole_run(whole):
    folder, _ = whole
    table = pd.read_csv(folder / "table.csv")
    assert list(table["row"]) == [row.name for row in TABLE.rows]
    assert list(table["seeds"]) == [1] * 4
    assert np.isfinite(table[["dice", "uncertainty_mean", "uncertainty_std"]]).all(axis=None)
    assert table["dice_published"].tolist() == [0.6270, 0.6838, 0.5680, 0.6681]
    cell = folder / "dice-loss-seed0"
    config = Record(cell).config
    training = config["training"]
    assert (config["row"], training["seed"], training["epochs"]) == ("Dice Loss", 0, 4)
    assert training["loss"]["config"]["over"] == "batch"
    assert training["model"]["builder"] == "tests.experiments.tiny.small_unet"
    assert Record(cell).training["training_sha256"] == digest(training)
    provenance = Record(cell).provenance
    assert provenance["config_sha256"] == digest(config)
    assert provenance["packages"]["keras"]
    assert provenance["hardware"]["cores"] == os.cpu_count()
    assert len(pd.read_csv(cell / "history.csv")) == 4
    assert list(pd.read_csv(cell / "cases.csv")["set"]) == ["test", "test", "validation"]
    assert pd.read_csv(cell / "slices.csv").groupby("case").size().tolist() == [6, 6, 6]
    model, best = load_model(cell / "model.keras"), load_model(cell / "model.keras")
    assert read_preprocessing(cell / "model.keras").window == (300, 150)
    best.load_weights(cell / "best_val_dice.weights.h5")
    for a, b in zip(model.get_weights(), best.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    inputs = [Record(folder / f"{name}-loss-seed0").digest for name in ("dice", "bce")]
    assert Record(folder / "hybrid-loss-seed0").config["inputs"] == inputs


def test_measures_of_a_cell_are_those_of_its_maps(whole):
    folder, data = whole
    line = cell_measures(Run(folder).by_seed["Dice Loss", 0].cases())
    predictor = MCDropout(load_model(folder / "dice-loss-seed0" / "model.keras"), samples=3, seed=0)
    maps = [predictor.predict(np.asarray(data.image(case)), case=n) for n, case in enumerate(data.split["test"])]
    p = np.concatenate([case.mean[..., 0] for case in maps]).astype("float64")
    u = np.concatenate([case.entropy for case in maps]).astype("float64")
    g = np.concatenate([data.mask(case)[..., 0] for case in data.split["test"]])
    assert line["dice"] == pytest.approx(2 * (p * g).sum() / (p.sum() + g.sum()), rel=1e-5)
    assert line["uncertainty_mean"] == pytest.approx(u.mean(), rel=1e-5)
    assert line["uncertainty_std_pixel"] == pytest.approx(u.std(), rel=1e-5)
    assert line["uncertainty_std_slice"] == pytest.approx(u.mean(axis=(1, 2)).std(), rel=1e-4)


def test_each_file_of_a_run_is_read_once(whole, tmp_path):
    """In a process of its own: an audit hook counts what is opened."""
    copy = tmp_path / "kethavath2025_table2" / "paper-mine"
    shutil.copytree(whole[0], copy)
    code = (
        "import sys, collections\nfrom experiments import report\nfrom experiments.run import Run\n"
        "opened = collections.Counter()\n"
        "def count(event, arguments):\n"
        "    if event == 'open' and str(arguments[0]).endswith(('.csv', '.json')) and arguments[1] != 'w':\n"
        "        opened[str(arguments[0])] += 1\n"
        "sys.addaudithook(count)\nreport.write(Run(sys.argv[1]), figures=False)\n"
        "print(max((n, path) for path, n in opened.items() if path.startswith(sys.argv[1]) and 'seed' in path))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(copy)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("(1, "), done.stdout


def test_a_page_made_by_the_report_alone_has_its_case_pictures(whole, tmp_path):
    from experiments import report

    copy = tmp_path / "kethavath2025_table2" / "paper-mine"
    shutil.copytree(whole[0], copy)
    page = (copy / "report.html").read_text()
    assert "qualitative_best.png" in page
    for path in (copy / "panels.npz", copy / "report.html", *(copy / "figures").iterdir()):
        path.unlink()
    assert report.main([str(copy), "--figures"]) == 0
    assert (copy / "report.html").read_text() == page
    # Where the pictures are gone, the page keeps the figures that it has.
    for path in (copy / "panels.npz", *copy.glob("*/panels.npz")):
        path.unlink()
    assert report.main([str(copy), "--figures"]) == 0
    assert (copy / "report.html").read_text() == page
    assert (copy / "figures" / "qualitative_best.png").exists()


def test_changes_are_in_the_record_and_have_a_folder_of_their_own(fast, options):
    arguments = ("--row", "BCE Loss", "--epochs", "1", "--filters", "3", "--foreground", "1", "--split", "slices")
    folder, failed = command.run(fast, options(*arguments))
    assert not failed
    assert folder.name == "paper-mine-epochs1-filters3-foreground1-splitslices"
    training = Record(folder / "bce-loss-seed0").config["training"]
    assert (training["epochs"], training["decay_every"]) == (1, 1)
    assert training["model"]["arguments"]["filters"] == 3
    departures = "; ".join(json.loads((folder / "run.json").read_text())["departures"])
    for words in ("epochs 1 for 4", "filters of the first stage 3 for 2", "label 1 alone", "THE SPLIT LEAKS"):
        assert words in departures
    assert "epochs1-filters3" in (folder / "table.md").read_text().splitlines()[0]


TINY = {"batch": 4, "filters": 2, "samples": 2, "size": (16, 16)}
SPLIT_BY_SLICES = {
    "kethavath2025": (TABLE, {}, "BCE Loss"),
    "mehrtash2020": (MEHRTASH[0], {**UNPADDED, "extra": Box(2.0)}, "CE"),
    "hiroike2026": (SCANS, {}, "Dice (Eq. 2)"),
}


@pytest.mark.parametrize("paper", SPLIT_BY_SLICES)
def test_a_split_over_slices_goes_through_a_whole_cell(paper, untrained, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_UQ_CACHE", str(tmp_path / "cache"))
    write_task(tmp_path / "data" / "mine", cases=10)
    table, changes, row = SPLIT_BY_SLICES[paper]
    profiles = {**table.profiles, "small": Profile(seeds=1, changes={**TINY, **changes})}
    network = functools.partial(small_unet, dropout=0.2)
    table = dataclasses.replace(table, model=network, profiles=profiles)
    arguments = ["--profile", "small", "--data", str(tmp_path / "data"), "--dataset", "mine", "--split", "slices"]
    assert command.main(table, [*arguments, "--row", row, "--results", str(tmp_path / "runs"), "--no-report"]) == 0
    (cases,) = (tmp_path / "runs").glob(f"{paper}*/small-mine-splitslices/*/cases.csv")
    assert pd.read_csv(cases)["case"].str.endswith(("/test", "/validation")).all()


REFUSED = {
    "yeung2021": (next(table for table in YEUNG if table.dataset == "dsb2018"), "is one picture"),
    "hiroike2026": (PICTURES, "is one picture"),
    "mehrtash2020": (VOLUMES, "take volumes, not slices"),
    "zhang2025": (ZHANG, "take volumes, not slices"),
}


@pytest.mark.parametrize("paper", REFUSED)
def test_a_split_over_slices_is_refused_where_there_are_none(paper, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_UQ_CACHE", str(tmp_path / "cache"))
    table, reason = REFUSED[paper]
    if "picture" in reason:
        make_dsb2018(tmp_path / "data" / "dsb2018", count=15)
    else:
        write_task(tmp_path / "data" / "mine", cases=10)
    dataset = "dsb2018" if "picture" in reason else "mine"
    arguments = ["--profile", "small", "--data", str(tmp_path / "data"), "--dataset", dataset, "--split", "slices"]
    assert command.main(table, [*arguments, "--results", str(tmp_path / "runs")]) == 2
    message = capsys.readouterr().out.replace("\n", " ")
    assert "--split slices puts slices of one case into several sets, but" in message
    assert reason in message
    assert not (tmp_path / "runs").exists()


def test_data_can_be_prepared_and_listed_alone(options, tmp_path, capsys):
    assert command.main(TABLE, [*_given(options()), "--prepare-only"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (prepared,) = (tmp_path / "cache" / "prepared").glob("*/dataset.json")
    assert f"mine: sha256:{json.loads(prepared.read_text())['fingerprint']}" in lines
    cases = [line for line in lines if line.startswith(("train ", "validation ", "test "))]
    assert len(cases) == 10
    assert all(": 6 x 16 x 16 x 1, labels 0 1, foreground " in line for line in cases)
    assert not (tmp_path / "runs").exists()


def _given(options):
    return [f"--{name}={getattr(options, name)}" for name in ("profile", "data", "dataset", "seeds", "results")]


def test_a_loss_of_your_own_is_a_row_beside_the_others(fast, options, tmp_path, monkeypatch, untrained):
    own = tmp_path / "my_losses.py"
    own.write_text(
        "import keras\n\nclass Squared(keras.losses.Loss):\n    def call(self, y_true, y_pred):\n"
        "        return keras.ops.mean((y_true - y_pred) ** 2, axis=(1, 2, 3))\n\n\n"
        "def plain(y_true, y_pred):\n    return y_pred\n\n\nbroken = Squared(name='broken')\n\n\n"
        "class Needs(Squared):\n    def __init__(self, x):\n        super().__init__()\n\n\n"
        "class Unrecorded(Squared):\n    def get_config(self):\n        return {'x': object()}\n\n\n"
        "unrecorded = Unrecorded()\n"
    )
    for name, line in (("raises", "raise RuntimeError('[/x]')"), ("leaves", "raise SystemExit(0)"), ("wrong", "def (")):
        (tmp_path / f"{name}.py").write_text(f"{line}\n")
    monkeypatch.syspath_prepend(tmp_path)
    command.run(fast, options("--row", "Dice Loss", "--no-report"))
    arguments = ("--loss", "my_losses:Squared", "--row", "Squared")
    folder, failed = command.run(fast, options(*arguments))
    assert not failed
    table = pd.read_csv(folder / "table.csv").set_index("row")
    assert list(table.index) == [*(row.name for row in TABLE.rows), "Squared"]
    assert np.isfinite(table.loc[["Dice Loss", "Squared"], "dice"]).all()
    assert np.isnan(table.loc["Squared", "dice_published"])
    command.run(fast, options("--row", "Dice Loss", "--no-report"))
    assert "Squared" in json.loads((folder / "run.json").read_text())["rows"]  # Its cell stays in the table.
    before = len(untrained)
    own.write_text(own.read_text() + "\n# Changed.\n")
    command.run(fast, options(*arguments, "--no-report"))
    assert len(untrained) == before + 1
    for name, words in (
        ("my_losses:plain", "function.*Expected a keras.losses.Loss"),
        ("my_losses:Missing", "no attribute"),
        ("no_such_module:Loss", "my_losses:MyLoss"),
        ("my_losses", "module:Class"),
        ("my_losses:Needs", r"TypeError: .*missing 1 required positional argument: 'x'\. Expected module:Class"),
        ("my_losses:unrecorded", r"cannot be recorded: TypeError.*Expected a `get_config` of plain numbers"),
        ("raises:X", r"RuntimeError: \[/x\] in .*raises\.py, line 1\. Expected module:Class"),
        ("leaves:X", r"SystemExit: 0 in .*leaves\.py, line 1"),
        ("wrong:X", r"SyntaxError: .* in .*wrong\.py, line 1"),
    ):
        with pytest.raises(ValueError, match=words):
            command.run(fast, options("--loss", name))


def test_a_diverged_training_is_named_and_has_no_result(options, tmp_path, capsys):
    from tests.experiments.test_cell import NoNumber

    table = dataclasses.replace(TABLE, rows=(Row("BCE Loss", NoNumber()),), reference="BCE Loss")
    assert command.main(table, [*_given(options()), "--epochs", "1"]) == 1
    assert "BCE Loss, seed 0: val_dice was never finite" in capsys.readouterr().out.replace("\n", " ")
    assert not list((tmp_path / "runs").glob("*/*/*/provenance.json"))


@pytest.mark.parametrize("volumes", [False, True], ids=["2D", "3D"])
def test_several_classes_in_slices_and_volumes(untrained, tmp_path, monkeypatch, volumes):
    monkeypatch.setenv("KERAS_UQ_CACHE", str(tmp_path / "cache"))
    write_task(tmp_path / "data" / "two", cases=6)
    settings = TABLE.settings.replace(size=None, batch=2)
    settings = settings.replace(input=Volumes()) if volumes else settings
    rows = (Row("Dice Loss", losses.Dice(include_background=False)),)
    table = dataclasses.replace(TABLE, foreground=None, settings=settings, rows=rows)
    arguments = ["--profile", "paper", "--data", str(tmp_path / "data"), "--dataset", "two", "--seeds", "1"]
    assert command.main(table, [*arguments, "--results", str(tmp_path / "runs")]) == 0
    (cell,) = (tmp_path / "runs").glob("*/*/dice-loss-seed0")
    assert load_model(cell / "model.keras").output_shape == (None,) * (4 if volumes else 3) + (3,)
    cases = pd.read_csv(cell / "cases.csv")
    np.testing.assert_allclose(cases["dice"], cases[["dice_1", "dice_2"]].mean(axis=1))
    assert set(cases["soft_labelled_1"]) == {6 * 7 * 4.0}
    assert set(cases["soft_labelled_2"]) == {4 * 6 * 4.0}
    tests = cases[cases["set"] == "test"]
    pooled = [
        2 * tests[f"soft_overlap_{k}"].sum() / (tests[f"soft_predicted_{k}"].sum() + tests[f"soft_labelled_{k}"].sum())
        for k in (1, 2)
    ]
    line = pd.read_csv(cell.parent / "table.csv").set_index("row").loc["Dice Loss"]
    assert line["dice"] == pytest.approx(np.mean(pooled), rel=1e-5)
    assert line["dice_hard"] == pytest.approx(tests["dice"].mean(), rel=1e-5)
    slices = pd.read_csv(cell / "slices.csv")
    assert slices.groupby("case").size().unique().tolist() == [6]  # Without the padding of volumes.


@pytest.mark.slow
@pytest.mark.data
def test_the_two_parts_of_real_hippocampi_in_3d(real_data, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_UQ_CACHE", str(tmp_path / "cache"))
    changes = {"epochs": 2, "steps": 6, "batch": 2, "filters": 4, "max_cases": 12, "input": Volumes()}
    steps = any_modality(Preprocessing(percentiles=(0.5, 99.5)))
    settings = dataclasses.replace(TABLE.settings, preprocessing=steps, **changes)
    rows = (Row("Dice Loss", losses.Dice(include_background=False)),)
    table = dataclasses.replace(TABLE, foreground=None, settings=settings, rows=rows)
    arguments = ["--profile", "paper", "--data", str(real_data), "--dataset", "msd/Task04_Hippocampus", "--seeds", "1"]
    assert command.main(table, [*arguments, "--results", str(tmp_path / "runs")]) == 0
    (cell,) = (tmp_path / "runs").glob("*/*/dice-loss-seed0")
    cases = pd.read_csv(cell / "cases.csv")
    assert (cases[["soft_labelled_1", "soft_labelled_2"]] > 500).all(axis=None)
    assert (cases["uncertainty_slices"] > 20).all()
    history = pd.read_csv(cell / "history.csv")
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    model = load_model(cell / "model.keras")
    assert model.input_shape == (None, None, None, None, 1)
    assert model.output_shape[-1] == 3


def test_unknown_rows_and_datasets_are_explained(options, capsys):
    with pytest.raises(ValueError, match="no row 'Lovasz'.*Dice Loss"):
        command.run(TABLE, options("--row", "Lovasz"))
    with pytest.raises(ValueError, match=r"no other\.tar or \.zip.*dataset\.json, imagesTr"):
        command.run(TABLE, options("--dataset", "other"))
    with pytest.raises(ValueError, match=r"data_prep\.download Task09_Spleen"):
        command.run(TABLE, options("--dataset", "msd/Task09_Spleen"))
    assert command.main(TABLE, ["--profile", "paper"]) == 2
    assert "needs DATA" in capsys.readouterr().out
    for wrong in (["--seeds", "0"], ["--epochs", "0"], ["--filters", "-1"], ["--foreground", "one"]):
        with pytest.raises(SystemExit):
            command.main(TABLE, wrong)
        assert f"argument {wrong[0]}: expected" in capsys.readouterr().err


def test_a_loss_is_given_once(options):
    with pytest.raises(ValueError, match="--loss keras.losses:Dice is given 2 times"):
        command.run(TABLE, options("--loss", "keras.losses:Dice", "--loss", "keras.losses:Dice"))


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "Interrupted. The same command goes on from here."),
        (OSError(28, "No space left on device", "/x/y"), 2, "/x/y: no space left on device. "),
        (PermissionError(13, "Permission denied", "/x/y"), 2, "/x/y: permission denied. Choose folders"),
        (ValueError("a tar member [/x]"), 2, "a tar member [/x]\n"),
        (RuntimeError("out of luck"), 2, "RuntimeError: out of luck. The traceback is in "),
        (MemoryError(), 2, "MemoryError"),
    ],
)
def test_whatever_a_preparation_raises_is_one_line(options, monkeypatch, capsys, error, status, words):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(command, "open_cases", fail)
    assert command.main([TABLE, TABLE], _given(options())) == status
    printed = capsys.readouterr()
    assert words in printed.out
    assert "Traceback" not in printed.out + printed.err
    assert len(printed.out.splitlines()) == 1


def test_an_interrupted_cell_ends_the_command(fast, options, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.cell.train", interrupt)
    assert command.main(fast, _given(options())) == 130
    assert capsys.readouterr().out.splitlines()[-1] == "Interrupted. The same command goes on from here."


def test_a_damaged_cell_is_named_and_no_table_lacks_it(fast, untrained, options, capsys):
    folder, _ = command.run(fast, options("--no-report"))
    (folder / "bce-loss-seed0" / "cases.csv").unlink()
    assert command.main(fast, _given(options())) == 1
    printed = capsys.readouterr().out
    assert f"No table was written: {folder / 'bce-loss-seed0' / 'cases.csv'} is gone. Restore it" in printed
    assert not (folder / "table.csv").exists()
    shutil.rmtree(folder / "bce-loss-seed0")
    assert command.main(fast, _given(options())) == 0
    assert (folder / "table.csv").exists()
    (folder / "run.json").write_text("{")
    assert command.main(fast, _given(options())) == 2
    assert "run.json is not JSON" in capsys.readouterr().out


def test_two_datasets_do_not_share_a_folder(fast, options, tmp_path):
    folder, _ = command.run(fast, options("--no-report", "--row", "Dice Loss"))
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**about, "dataset": "mi ne"}))
    with pytest.raises(ValueError, match="holds a run on 'mi ne', and one on 'mine'"):
        command.run(fast, options("--no-report", "--row", "Dice Loss"))


@pytest.mark.slow
def test_killed_at_any_moment_a_cell_ends_like_an_uninterrupted_one(options, tmp_path):
    """SIGKILL during training, twice at other moments, then once during sampling or later."""
    arguments = options()
    assert isinstance(arguments, argparse.Namespace)
    line = [sys.executable, "-m", "tests.experiments.tiny", "--profile", "paper", "--data", arguments.data]
    line += ["--dataset", "mine", "--row", "Dice Loss", "--seed", "0", "--no-report", "--results"]
    environment = {**os.environ, "TF_NUM_INTEROP_THREADS": "1", "KERAS_BACKEND": "tensorflow"}

    def start(results):
        with open(tmp_path / "log", "w") as log:  # The child keeps its own copy of the handle.
            return subprocess.Popen([*line, str(results)], cwd=ROOT, env=environment, stdout=log, stderr=log)

    whole = start(tmp_path / "whole")
    assert whole.wait(timeout=300) == 0, (tmp_path / "log").read_text()[-2000:]
    (expected,) = (tmp_path / "whole").glob("*/*/dice-loss-seed0")
    cell = tmp_path / "cut" / expected.relative_to(tmp_path / "whole")
    kills = 0
    for epoch, delay in ((1, 0.0), (2, 0.15), (4, 0.05)):
        process = start(tmp_path / "cut")
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and process.poll() is None:
            try:
                (state,) = cell.glob("training-*/resume/state.json")
                if json.loads(state.read_text())["epoch"] >= epoch:
                    break
            except (OSError, ValueError):
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


def test_thresholds_stand_in_for_networks():
    maps = thresholded(None, None, None).predict(np.linspace(0, 1, 8).reshape(1, 2, 4, 1))
    assert maps.mean.min() == pytest.approx(0.1)
    assert maps.mask.sum() == 4
