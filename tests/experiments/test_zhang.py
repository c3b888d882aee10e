"""The tables of Zhang et al. on small volumes: every number against a second way to it."""

import dataclasses
import json
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from data_prep.prepared import Prepared
from experiments import command
from experiments.choices import Adam, FirstSeeds, Patches
from experiments.run import Run
from experiments.table import Profile, departures
from experiments.zhang2025.protocol import DICE_CE, ELSEWHERE, TABLE
from experiments.zhang2025.study import QUESTIONS, STUDY, fluctuation, weights
from keras_uq import losses, metrics
from keras_uq.inference import SlidingWindow, read_window
from tests.experiments.test_mehrtash import cases_of, write_task
from tests.experiments.tiny import small_unet

CHANGES = {"spacing": None, "input": Patches((8, 16, 16)), "batch": 2, "filters": 2, "steps": 3, "norm_momentum": 0.5}
TINY = Profile(seeds=1, changes={**CHANGES, "optimizer": Adam(0.02)}, max_epochs=4)
ROWS = ("UNet-3D, Tversky 0.7/0.3", "UNet-3D, adaptive TverskyCE 0.7/0.3", "UNet-3D, adaptive TverskyCE 0.5/0.5")
FAKE = SimpleNamespace(name="msd/Task04_Hippocampus", modality="MRI", description={"origin": {}})
ADAPTIVE = "unet-3d--adaptive-tverskyce-0-7-0-3-seed0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of three rows and the published one."""
    place = tmp_path_factory.mktemp("zhang")
    write_task(place / "data" / "small", cases=20)
    rows = tuple(row for row in TABLE.rows if row.name in (*ROWS, DICE_CE, ELSEWHERE))
    table = dataclasses.replace(TABLE, rows=rows, model=small_unet, profiles={**TABLE.profiles, "small": TINY})
    options = ["--profile", "small", "--data", str(place / "data"), "--dataset", "small"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_UQ_CACHE", str(place / "cache"))
        assert command.main(table, [*options, "--results", str(place / "runs")]) == 0
    return place / "runs" / "zhang2025_table1" / "small-small"


@pytest.fixture(scope="module")
def data(folder):
    (prepared,) = (path.parent for path in (folder.parents[2] / "cache" / "prepared").glob("*/dataset.json"))
    return Prepared(prepared)


def test_scores_are_those_of_the_saved_network_in_windows(folder, data):
    model = keras.saving.load_model(folder / ADAPTIVE / "model.keras", compile=False)
    assert read_window(folder / ADAPTIVE / "model.keras") == (8, 16, 16)
    cases = cases_of(folder / ADAPTIVE).set_index("case")
    assert sorted(cases.index) == data.split["test"]
    for case, line in cases.iterrows():
        maps = SlidingWindow(model, (8, 16, 16)).predict(np.asarray(data.image(case))[np.newaxis])
        predicted, mask = maps.mask[0] > 0, np.asarray(data.mask(case))[..., 0] > 0
        tp, fp, fn, tn = metrics.confusion_counts(mask, predicted)
        assert line["dice"] == pytest.approx(2 * tp / (2 * tp + fp + fn), abs=1e-6)
        assert line["f2"] == pytest.approx(5 * tp / (5 * tp + 4 * fn + fp), abs=1e-6)
        assert line["specificity"] == pytest.approx(tn / (tn + fp), abs=1e-6)
        assert line["voxels"] == mask.sum()


def test_the_table_has_means_spread_and_extremes_in_percent(folder):
    table = pd.read_csv(folder / "table.csv").set_index("row")
    cases = cases_of(folder / ADAPTIVE)
    line = table.loc[ROWS[1]]
    for column, name in {"dsc": "dice", "f2": "f2", "precision": "precision", "sensitivity": "sensitivity"}.items():
        assert line[column] == pytest.approx(100 * cases[name].mean(), rel=1e-4)
    assert line["dsc_std"] == pytest.approx(100 * cases["dice"].std(ddof=1), rel=1e-4)
    assert line["dsc_best"] == pytest.approx(100 * cases["dice"].max(), rel=1e-4)
    assert line["dsc_low"] <= line["dsc"] <= line["dsc_high"]
    assert (line["f2_published"], line["dsc_published"], line["precision_published"]) == (83.75, 84.18, 95.73)


def test_the_row_of_another_paper_is_printed_and_not_run(folder):
    assert not list(folder.glob("dilated-vnet*"))
    table = pd.read_csv(folder / "table.csv").set_index("row")
    assert table.loc[ELSEWHERE, "seeds"] == 0
    assert table.loc[ELSEWHERE, "dsc_published"] == 83.3
    assert "Z-LABEL12" in table.loc[ELSEWHERE, "flag"]
    text = (folder / "table.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith(f"| {ELSEWHERE}"))
    assert line.count("not run") == 2
    assert "as published" in text
    assert pd.isna(table.loc[DICE_CE, "dsc_published"])


def test_weights_and_parts_are_logged_and_obey_their_rule(folder):
    history = pd.read_csv(folder / ADAPTIVE / "history.csv")
    assert history["tversky_weight"].iloc[0] == 0.5
    share = history["tversky"] / (history["tversky"] + history["crossentropy"])
    np.testing.assert_allclose(history["tversky_weight"].iloc[1:], share.iloc[:-1], rtol=1e-4)
    np.testing.assert_allclose(history["tversky_weight"] + history["crossentropy_weight"], 1, rtol=1e-6)
    # Another row's training did not start where this one ended.
    other = pd.read_csv(folder / "unet-3d--adaptive-tverskyce-0-5-0-5-seed0" / "history.csv")
    assert other["tversky_weight"].iloc[0] == 0.5
    found = weights(Run(folder)).set_index("row")
    assert list(found.index) == list(ROWS[1:])
    assert found.loc[ROWS[1], "weight, epoch 4"] == pytest.approx(history["tversky_weight"].iloc[3], rel=1e-4)
    moved = fluctuation(Run(folder)).set_index("row")
    late = history["loss"].iloc[2:]
    assert moved.loc[ROWS[1], "std of the change of the loss"] == pytest.approx(late.diff().std(), nan_ok=True)
    assert set(moved.index) == {*ROWS, DICE_CE}


def test_weights_of_a_training_of_one_epoch():
    history = pd.DataFrame({"tversky_weight": [0.4], "tversky": [0.9], "crossentropy": [0.5]})
    (line,) = weights(SimpleNamespace(histories={"a": [history, history]})).to_dict("records")
    assert line == {
        "row": "a", "seeds": 2, "weight, epoch 1": 0.4, "tversky, last epoch": 0.9, "crossentropy, last epoch": 0.5
    }  # fmt: skip


def test_questions_are_asked_over_cases(folder):
    tests = pd.read_csv(folder / "tests.csv")
    asked = tests.set_index(["row", "against", "measure"])
    assert set(tests["question"]) == {
        "adaptive weights against Tversky alone",
        "adaptive against fixed weights, same parts",
        "0.5/0.5 against 0.7/0.3",
    }
    pair = [
        cases_of(folder / f"unet-3d--{name}-seed0").set_index("case")["dice"]
        for name in ("adaptive-tverskyce-0-7-0-3", "tversky-0-7-0-3")
    ]
    difference = 100 * (pair[0] - pair[1])
    line = asked.loc[(ROWS[1], ROWS[0], "DSC (points)")]
    assert line["mean"] == pytest.approx(difference.mean(), rel=1e-3)
    assert line["p, signed-rank"] == pytest.approx(stats.wilcoxon(difference).pvalue, rel=1e-3)


def test_figures_are_drawn(folder):
    names = {path.stem for path in (folder / "figures").glob("*.png")}
    assert names == {
        "learning_curves",
        "training_loss",
        "tversky_weight",
        "tversky",
        "crossentropy",
        *[f"{kind}_{which}" for kind in ("slices", "surfaces") for which in ("best", "worst")],
    }
    page = (folder / "report.html").read_text()
    assert all(f"figures/{name}.png" in page for name in names)
    assert "What the adaptive weights did" in page


def test_volumes_keep_their_own_size(data, folder):
    assert json.loads((data.folder / "dataset.json").read_text())["preprocessing"]["canvas"] is None
    config = json.loads((folder / ADAPTIVE / "config.json").read_text())
    assert config["training"]["patch"] == [8, 16, 16]
    loss = config["training"]["loss"]["config"]
    assert (loss["adaptive"], loss["weights"]["config"]["start"]) == ("epoch", [0.5, 0.5])


def test_the_protocol_is_the_printed_one():
    settings = TABLE.settings
    assert (settings.optimizer, settings.batch, settings.epochs) == (Adam(0.005), 10, 150)
    assert (settings.input, settings.filters) == (Patches((96, 96, 96)), 32)
    assert {steps.spacing for steps in settings.preprocessing.values()} == {(1.0, 1.0, 1.0)}
    assert settings.preprocessing["CT"].window == (340, 70)  # [-100, 240] HU.
    assert (settings.keep, settings.hard_dice, settings.patience) == ("val_dice", True, 150)
    by_name = {row.name: row for row in TABLE.rows}
    for name, row in by_name.items():
        if row.seeds == FirstSeeds(0):
            continue
        assert (row.loss.over, row.loss.include_background) == ("batch", False)
        assert row.network == ({"dilated": True} if name.startswith("Dilated") else {})
        kind = losses.DiceCE if "DiceCE" in name else losses.TverskyCE if "adaptive" in name else losses.Tversky
        assert type(row.loss) is kind
        if kind is not losses.DiceCE:
            assert f"{row.loss.alpha}/{row.loss.beta}" in name
    assert by_name[DICE_CE].loss.dice_weight == 0.5
    small = TABLE.profiles["small"].apply(settings)
    assert (small.epochs, small.schedule.epochs, small.patience, small.input) == (20, 3, 20, Patches((32, 32, 32)))
    said = departures(TABLE, small, FAKE)
    for words in ("patch in voxels 32 x 32 x 32 for 96 x 96 x 96", "voxel size in mm as scanned", "epochs 20 for 150"):
        assert any(words in each for each in said), said
    rows = {row for pairs in QUESTIONS.values() for pair in pairs for row in pair}
    assert rows == set(by_name) - {ELSEWHERE}


def test_published_values_and_their_flags():
    printed = STUDY.published({"table": "table1"})
    assert printed.loc["UNet-3D, adaptive TverskyCE 0.5/0.5", "dsc"] == "85.59"
    assert printed.loc["Dilated UNet-3D, adaptive TverskyCE 0.5/0.5", "precision"] == "93.64"
    assert printed.loc["Dilated UNet-3D, adaptive TverskyCE 0.5/0.5", "flag"] == "Z-LABEL;Z-F1GAP"
    assert printed.loc[ELSEWHERE, "sensitivity"] == ""
