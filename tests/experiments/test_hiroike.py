"""The table of Hiroike (2026) on small scans: each control is what it says, each number has a second way to it."""

import dataclasses
import functools
import json
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from data_prep.prepared import Prepared
from experiments import command
from experiments.choices import Adam
from experiments.hiroike2026.controls import QUANTILES, Refreshes, ReplayEpsilon
from experiments.hiroike2026.protocol import ADAPTIVE, DICE, PICTURES, REPLAYED, SCANS, SHUFFLED
from experiments.hiroike2026.seeds import by_seed, cost, gains
from experiments.hiroike2026.study import COMPARED, QUESTIONS, STUDY
from experiments.inputs.batches import Batches
from experiments.run import Run
from experiments.table import Profile, slug
from keras_uq import losses
from keras_uq.callbacks import adaptive_epsilon
from tests.experiments.made_records import run_facts, write_record
from tests.experiments.test_mehrtash import cases_of, write_task
from tests.experiments.tiny import small_unet

CHANGES = {"size": None, "batch": 3, "filters": 2, "samples": 2, "norm_momentum": 0.5, "optimizer": Adam(0.02)}
TINY = Profile(
    seeds=1, changes={**CHANGES, "extra": Refreshes(start=40, every=40, samples=2, subset=0.5)}, max_epochs=5
)
ROWS = (DICE, ADAPTIVE, SHUFFLED, REPLAYED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("hiroike")
    write_task(place / "data" / "small", cases=12)
    rows = tuple(row for row in SCANS.rows if row.name in ROWS)
    network = functools.partial(small_unet, dropout=0.3)
    profiles = {**SCANS.profiles, "small": TINY}
    table = dataclasses.replace(SCANS, rows=rows, reference=DICE, model=network, profiles=profiles)
    options = ["--profile", "small", "--data", str(place / "data"), "--dataset", "small"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_UQ_CACHE", str(place / "cache"))
        assert command.main(table, [*options, "--results", str(place / "runs")]) == 0
    return place / "runs" / "hiroike2026_table1" / "small-small"


def cell(folder, row):
    return folder / f"{slug(row)}-seed0"


def test_refreshes_are_recorded_and_scaled_with_the_epochs(folder):
    record = json.loads((cell(folder, ADAPTIVE) / "epsilon.json").read_text())
    assert [refresh["epoch"] for refresh in record["refreshes"]] == [2, 4]
    config = json.loads((cell(folder, ADAPTIVE) / "config.json").read_text())["training"]
    assert (config["epsilon_start"], config["epsilon_every"], config["control"]) == (2, 2, "adaptive")
    known = [value for value in record["difficulty"] if value is not None]
    assert len(known) == len(record["difficulty"]) == 2 * record["refreshes"][0]["sampled"]
    np.testing.assert_allclose(record["refreshes"][1]["difficulty"], np.quantile(known, QUANTILES), rtol=1e-4)
    values = np.array([np.nan if value is None else value for value in record["difficulty"]])
    np.testing.assert_allclose(record["epsilon"], adaptive_epsilon(values), atol=1e-5)
    history = pd.read_csv(cell(folder, ADAPTIVE) / "history.csv")
    assert history["epsilon_mean"].iloc[0] == 0
    assert history["epsilon_mean"].iloc[4] == pytest.approx(np.mean(record["epsilon"]), abs=1e-5)


def test_the_shuffled_control_has_the_same_epsilons_elsewhere(folder):
    first, other = (json.loads((cell(folder, row) / "epsilon.json").read_text()) for row in (ADAPTIVE, SHUFFLED))
    # Same seed and no difference before the first refresh: the same difficulties, so the same epsilons.
    before, exchanged = (record["refreshes"][0] for record in (first, other))
    np.testing.assert_allclose(before["difficulty"], exchanged["difficulty"], rtol=1e-3)
    np.testing.assert_allclose(before["epsilon"], exchanged["epsilon"], atol=1e-3)
    own = adaptive_epsilon(other["difficulty"])
    np.testing.assert_allclose(sorted(other["epsilon"]), np.sort(own), atol=1e-4)
    assert np.mean(np.abs(other["epsilon"] - own) > 1e-3) > 0.5


def test_the_replayed_control_has_the_mean_of_each_epoch(folder):
    first, other = (pd.read_csv(cell(folder, row) / "history.csv") for row in (ADAPTIVE, REPLAYED))
    np.testing.assert_allclose(other["epsilon_mean"], first["epsilon_mean"], rtol=1e-6)
    config = json.loads((cell(folder, REPLAYED) / "config.json").read_text())
    source = json.loads((cell(folder, ADAPTIVE) / "provenance.json").read_text())
    assert config["training"]["inputs"] == config["inputs"] == [source["config_sha256"]]

    class Data:
        epsilon_of = None

    replayed = ReplayEpsilon(Data, cell(folder, ADAPTIVE) / "history.csv")
    for epoch in (0, 3, 9):
        replayed.on_epoch_begin(epoch)
        expected = first["epsilon_mean"].iloc[min(epoch, 4)]
        np.testing.assert_allclose(Data.epsilon_of([1, 2]), [expected] * 2)


def test_training_images_are_scored_without_dropout(folder):
    (prepared,) = (path.parent for path in (folder.parents[2] / "cache" / "prepared").glob("*/dataset.json"))
    data = Prepared(prepared)
    images = Batches(data, "train", 1)
    model = keras.saving.load_model(cell(folder, ADAPTIVE) / "model.keras", compile=False)
    lines = pd.read_csv(cell(folder, ADAPTIVE) / "training_images.csv")
    assert len(lines) == len(images.cases)
    record = json.loads((cell(folder, ADAPTIVE) / "epsilon.json").read_text())
    for _, line in lines[lines["labelled"] > 0].head(5).iterrows():
        at = int(line["image"])
        picture, mask = images.plain([at])
        loss = float(losses.dice(mask, model.predict(picture, verbose=0), squared=True, smooth=0)[0])
        assert line["soft_dice"] == pytest.approx(1 - loss, abs=1e-4)
        assert line["epsilon"] == pytest.approx(record["epsilon"][at], abs=1e-6)
    assert lines.loc[lines["labelled"] == 0, "soft_dice"].isna().all()


def test_questions_sections_and_figures(folder):
    tests = pd.read_csv(folder / "tests.csv").set_index(["question", "measure"])
    pair = [cases_of(cell(folder, row)).set_index("case")["nll"] for row in (ADAPTIVE, SHUFFLED)]
    line = tests.loc[("does the assignment matter? adaptive against shuffled", "NLL")]
    assert line["mean"] == pytest.approx((pair[0] - pair[1]).mean(), rel=1e-3)
    assert line["p"] == pytest.approx(stats.wilcoxon(pair[0] - pair[1]).pvalue, rel=1e-3)
    known = tests.dropna(subset="p")
    assert len(known)
    assert (known["q"] >= known["p"]).all()
    assert known["q"].max() == pytest.approx(known["p"].max())
    spent = cost(Run(folder)).set_index("row")
    assert list(spent.index) == [ADAPTIVE, SHUFFLED]
    assert ((spent["share"] > 0) & (spent["share"] < 1)).all()
    assert list(gains(Run(folder))["gain of adaptive over"]) == [DICE, SHUFFLED, REPLAYED]
    names = {path.stem for path in (folder / "figures").iterdir()}
    assert {"poly_dice", "epsilon", "difficulty", "difficulty_dice", "learning_curves", "panel_best"} <= names
    assert "Which images gained" in (folder / "report.html").read_text()


@pytest.fixture
def two_seeds(tmp_path):
    """Records of two seeds, as they would be written: the adaptive row gains 0.1 on the difficult images."""
    (tmp_path / "run.json").write_text(json.dumps(run_facts(paper="hiroike2026", rows=[ADAPTIVE, SHUFFLED])))
    difficulties = {0: [1, 2, 3, 4, 5, 6], 1: [6, 5, 4, 3, 2, 1]}
    for row in (ADAPTIVE, SHUFFLED):
        for seed, difficulty in difficulties.items():
            path = tmp_path / f"{slug(row)}-seed{seed}"
            path.mkdir()
            (path / "epsilon.json").write_text(json.dumps({"difficulty": [1] * 6, "refreshes": [{"sampled": 2}] * 2}))
            pd.DataFrame({"refresh_seconds": [0, 10, 10]}).to_csv(path / "history.csv")
            soft = np.full(6, 0.5)
            soft[4:] += 0.1 * (row == ADAPTIVE) * (seed + 1)
            images = {"image": range(6), "soft_dice": soft, "difficulty": difficulty}
            pd.DataFrame(images).to_csv(path / "training_images.csv", index=False)
            dice = [0.5 + 0.1 * (row == ADAPTIVE) * seed] * 3
            cases = {"set": "test", "case": ["a", "b", "c"], "dice": dice, "hd95": 1.0, "ece": 0.01, "nll": 0.1}
            pd.DataFrame(cases).to_csv(path / "cases.csv", index=False)
            write_record(path, row, seed, training=100)
    return tmp_path


def test_one_row_alone_has_no_questions():
    tests = STUDY.tests(SimpleNamespace(both=lambda first, second: {}))
    assert list(tests) == ["question", "measure", "mean", "low", "high", "p", "q"]
    assert tests.empty


def test_cost_of_a_subset_by_hand(two_seeds):
    line = cost(Run(two_seeds)).set_index("row").loc[ADAPTIVE]
    assert (line["images of a refresh"], line["of all"], line["seconds of all refreshes"]) == (2, 6, 20)
    assert line["share"] == pytest.approx(20 / 100)
    # Three times as many images: 60 of then 140 seconds.
    assert line["share if all were sampled"] == pytest.approx(60 / 140)
    assert line["training time the subset saves"] == pytest.approx(40 / 140)


def test_gains_take_the_difficulty_of_the_other_seed(two_seeds):
    line = gains(Run(two_seeds)).set_index("gain of adaptive over").loc[SHUFFLED]
    # Images 4 and 5 gain 0.1 with seed 0, where seed 1 finds them easy, and 0.2 with seed 1, where seed 0 does not.
    assert line["easy"] == pytest.approx(0.1 / 2)
    assert line["middle"] == pytest.approx(0)
    assert line["difficult"] == pytest.approx(0.2 / 2)


def test_differences_by_seed(two_seeds):
    found = by_seed(Run(two_seeds), QUESTIONS, COMPARED).set_index("measure")
    assert set(found["question"]) == {"does the assignment matter? adaptive against shuffled"}
    assert found.loc["Dice", ["seed 0", "seed 1"]].tolist() == pytest.approx([0, 0.1])
    assert found.loc["NLL", ["seed 0", "seed 1"]].tolist() == pytest.approx([0, 0])
    # Student's t of one degree of freedom, 12.706, times 0.1 / sqrt(2) / sqrt(2).
    assert found.loc["Dice", ["mean", "low", "high"]].tolist() == pytest.approx([0.05, -0.5853, 0.6853], abs=1e-4)


@pytest.mark.parametrize("table", [SCANS, PICTURES], ids=["scans", "pictures"])
def test_the_protocol(table):
    rows = {row.name: row for row in table.rows}
    assert len(rows) == 8
    assert rows[DICE].loss.squared
    assert {row.loss.epsilon for row in table.rows if row.name != DICE} == {-0.25, 0.0, 0.5, 1.0, "per_image"}
    assert rows[REPLAYED].inputs == (ADAPTIVE,)
    assert {name for pair in QUESTIONS.values() for name in pair} <= set(rows)
    small = table.profiles["small"].apply(table.settings)
    assert (small.epochs, small.extra, table.profiles["small"].seeds) == (20, Refreshes(4, 1, 10, 0.25), 3)
    assert small.schedule.callback(small).rate(19) == small.optimizer.learning_rate == 1e-3


def test_the_network_of_pictures_has_dropout_inside():
    model = PICTURES.model((None, None, 3), filters=2, norm_momentum=0.9, classes=1)
    rates = {layer.name: layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)}
    assert set(rates) == {
        *[f"encoder{level}_dropout" for level in (3, 4)],
        "bottleneck_dropout",
        *[f"decoder{level}_dropout" for level in (2, 3, 4)],
    }
    assert set(rates.values()) == {0.5}
    assert model.output_shape[-1] == 1
