"""The tables of Yeung et al. on a small collection: every number against a second way to it."""

import dataclasses
import json
import math
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

from data_prep.pictures import open_archive, read_masks
from experiments import command, report
from experiments.records import read_json, sums, write_json
from experiments.run import ImpossibleScores, Run
from experiments.table import Profile
from experiments.yeung2021 import figures, study
from experiments.yeung2021.study import STUDY
from experiments.yeung2021.table4 import TABLES
from keras_uq.inference import choose_threshold
from tests.data_prep.test_pictures import make_dsb2018
from tests.experiments.tiny import small_unet

TINY = Profile(seeds=2, changes={"size": (16, 32), "batch": 2, "filters": 2}, max_epochs=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a run of Table IV: three losses, two seeds, 15 pictures."""
    place = tmp_path_factory.mktemp("yeung")
    make_dsb2018(place / "data" / "dsb2018", count=15)
    table = next(table for table in TABLES if table.dataset == "dsb2018")
    table = dataclasses.replace(table, model=small_unet, profiles={**table.profiles, "small": TINY})
    options = ["--profile", "small", "--data", str(place / "data"), "--dataset", "dsb2018"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_UQ_CACHE", str(place / "cache"))
        assert command.main(table, [*options, "--results", str(place / "runs")]) == 0
    return place / "runs" / "yeung2021_table4" / "small-dsb2018"


def predicted(folder, cell):
    """`{case: (mask in full size, mask, probabilities)}` of the test cases, from the saved model and the data."""
    from data_prep.prepared import Prepared

    (prepared,) = (path.parent for path in (folder.parents[2] / "cache" / "prepared").glob("*/dataset.json"))
    data = Prepared(prepared)
    model = keras.saving.load_model(folder / cell / "model.keras", compile=False)
    return {
        case: (
            data.full_mask(case)[0, ..., 0],
            data.mask(case)[0, ..., 0],
            model.predict(data.image(case), verbose=0)[0],
        )
        for case in data.split["test"]
    }


def test_scores_are_those_of_the_network(folder):
    cases = pd.read_csv(folder / "dscpp-seed1" / "cases.csv").set_index("case")
    for case, (full, mask, p) in predicted(folder, "dscpp-seed1").items():
        truth = np.where(mask[..., None] == [0, 1], p, 1).prod(-1)
        assert cases.loc[case, "nll_full"] == pytest.approx(-np.log(truth).mean(), rel=1e-4)
        assert cases.loc[case, "nll"] == pytest.approx(-(mask * np.log(p[..., 1])).mean(), rel=1e-4)
        assert cases.loc[case, "brier"] == pytest.approx(((mask - p[..., 1]) ** 2).mean(), rel=1e-4)
        rows = (np.arange(full.shape[0]) + 0.5) * mask.shape[0] / full.shape[0]
        columns = (np.arange(full.shape[1]) + 0.5) * mask.shape[1] / full.shape[1]
        large = p.argmax(-1)[rows.astype(int)][:, columns.astype(int)]
        dice = 2 * (large & full).sum() / (large.sum() + full.sum())
        assert cases.loc[case, "dice"] == pytest.approx(dice, abs=0.02)


def test_the_mask_in_full_size_is_that_of_the_file(folder):
    (root,) = (folder.parents[2] / "data").glob("*")
    labels = {case.name: case.label for case in open_archive(root).cases}
    for case, (full, _, _) in predicted(folder, "dsc-seed0").items():
        np.testing.assert_array_equal(full, read_masks(labels[case]).voxels[:, :, 0].T)


def test_intervals_are_over_pictures(folder):
    run = Run(folder)
    line = run.table.set_index("row").loc["DSC"]
    frames = [pd.read_csv(folder / f"dsc-seed{seed}" / "cases.csv").query("set == 'test'") for seed in (0, 1)]
    values = sum(frame["brier"].to_numpy() for frame in frames) / 2
    assert line["brier"] == pytest.approx(values.mean())
    assert line["brier_high"] - line["brier"] == pytest.approx(1.96 * values.std(ddof=1) / math.sqrt(3), rel=1e-4)
    assert line["brier_seeds"] == pytest.approx(np.std([frame["brier"].mean() for frame in frames], ddof=1))
    assert line["seeds"] == 2
    assert line["nll_published"] == "0.167 [0.129, 0.205]"
    assert run["cases"] == {"train": 10, "validation": 2, "test": 3}


def test_rows_are_tested_as_in_the_paper_and_in_pairs(folder):
    tests = pd.read_csv(folder / "tests.csv")
    assert set(tests["row"]) == {"CE", "DSC++"}
    assert set(tests["against"]) == {"DSC"}
    assert set(tests["test"]) == {"rank-sum", "signed-rank"}
    assert set(tests["n"]) == {3, 6}
    comparison = pd.read_csv(folder / "comparison.csv")
    table = Run(folder).table.set_index("row")
    line = comparison.set_index(["row", "measure"]).loc[("DSC++", "Brier score")]
    assert line["mean"] == pytest.approx(table.loc["DSC++", "brier"] - table.loc["DSC", "brier"], rel=1e-3)


def test_plus_plus_is_held_against_its_plain_form():
    run = {"reference": "Tversky", "rows": ["Tversky", "Combo", "Combo++", "Mine++"]}
    assert STUDY.against(run, "Combo++") == "Combo"
    assert STUDY.against(run, "Combo") == "Tversky"
    assert STUDY.against(run, "Mine++") == "Tversky"


def test_thresholds_are_chosen_on_validation_and_counted_in_the_size_of_the_file(folder):
    swept = pd.read_csv(folder / "ce-seed0" / "thresholds.csv")
    assert len(swept) == 2 * 19
    cases = pd.read_csv(folder / "ce-seed0" / "cases.csv").query("set == 'test'")
    at_half = swept[(swept["set"] == "test") & np.isclose(swept["threshold"], 0.5)].iloc[0]
    assert at_half["dice"] == pytest.approx(cases["dice"].mean(), abs=0.02)
    assert at_half["sensitivity"] == pytest.approx(cases["sensitivity"].mean(), abs=0.02)
    tests = predicted(folder, "ce-seed0").values()
    for _, line in swept[swept["set"] == "test"].iterrows():
        recall = np.mean([(p[mask > 0, 1] >= line["threshold"]).mean() for _, mask, p in tests])
        assert line["sensitivity"] == pytest.approx(recall, abs=0.06)  # There: in the file's size.
    chosen = study.chosen_thresholds(Run(folder))
    if len(chosen):
        assert (chosen["validation recall"] >= chosen["target"]).all()
    assert choose_threshold([(mask > 0, p) for _, mask, p in tests], 0.01).recall >= 0.01


def test_the_histogram_counts_every_test_pixel(folder):
    histogram = pd.read_csv(folder / "dsc-seed0" / "histogram.csv")
    tests = predicted(folder, "dsc-seed0").values()
    assert histogram[["background", "foreground"]].to_numpy().sum() == len(tests) * 16 * 32
    assert histogram["foreground"].sum() == sum(int(mask.sum()) for _, mask, _ in tests)


def test_scores_that_no_probabilities_have_are_refused(folder):
    frames = [pd.read_csv(folder / "dsc-seed0" / "cases.csv")]
    STUDY.measure(None, frames)
    with pytest.raises(ImpossibleScores, match="NLL of 0.1 is impossible with a Brier score"):
        STUDY.measure(None, [frames[0].assign(nll_full=0.1, brier=0.05)])


def test_the_page_has_every_figure(folder):
    page = (folder / "report.html").read_text()
    names = ["augmentation", "learning_curves", "case_scores", "histogram", "thresholds"]
    for name in (*names, "softmax_best", "softmax_worst", "at_thresholds"):
        assert f'src="figures/{name}.png"' in page
        assert (folder / "figures" / f"{name}.png").stat().st_size > 1000
    for words in ("rank-sum", "A threshold for a recall", "Y-NLLFG", "1.96 s / sqrt(n)", "0.167 [0.129, 0.205]"):
        assert words in page + (folder / "table.md").read_text()
    again = report.write(Run(folder))
    assert "not run" not in again


def renamed(folder, place, table, names):
    """The run as one of another table, with other names for its rows."""
    other = place / f"yeung2021_{table}" / "small-dsb2018"
    shutil.copytree(folder, other)
    run = json.loads((folder / "run.json").read_text())
    rows = [names[row] for row in run["rows"]]
    (other / "run.json").write_text(json.dumps({**run, "table": table, "rows": rows, "reference": rows[0]}))
    for config in other.glob("*/config.json"):
        content = json.loads(config.read_text())
        write_json(config, {**content, "row": names[content["row"]]})
        provenance = read_json(config.with_name("provenance.json"))
        write_json(config.with_name("provenance.json"), {**provenance, "files": sums(config.parent)})
    return other


def test_in_table_v_each_plus_plus_meets_its_plain_form(folder, tmp_path):
    other = renamed(folder, tmp_path, "table5", {"DSC": "Tversky", "CE": "Combo", "DSC++": "Combo++"})
    comparison = Run(other).comparison.drop_duplicates("row").set_index("row")["against"]
    assert comparison.to_dict() == {"Combo": "Tversky", "Combo++": "Combo"}
    assert Run(other).tests.drop_duplicates("row")["against"].tolist() == ["Tversky", "Combo"]


def test_table_iii_is_drawn_against_gamma(folder, tmp_path):
    other = renamed(folder, tmp_path, "table3", {"DSC": "1.0", "CE": "1.5", "DSC++": "2.0"})
    report.write(Run(other), figures=True)
    assert (other / "figures" / "gamma.png").exists()
    assert "0.204 [0.177, 0.231]" in (other / "table.md").read_text()  # DRIVE: the paper has no other here.


def test_trainings_are_plain_functions_of_their_configuration(folder):
    config = json.loads((folder / "dsc-seed0" / "config.json").read_text())
    training = config["training"]
    assert (training["momentum"], training["plateau"], training["augmentation"]) == (0.9, 3, "yeung2021")
    assert training["decay_every"] is None
    assert config["predictor"].endswith("protocol.deterministic")
    history = pd.read_csv(folder / "dsc-seed0" / "history.csv")
    assert history["learning_rate"].iloc[0] == pytest.approx(0.1)


def test_other_numbers_of_pictures_are_departures(folder):
    said = json.loads((folder / "run.json").read_text())["departures"]
    assert "15 pictures (10 / 2 / 3) for 670 pictures (428 / 108 / 134)" in said
    run = {"dataset": "cvc", "cases": {"train": 392, "validation": 98, "test": 122}, "changes": ""}
    assert STUDY.departures(None, run) == [
        "frames of one video lie in several sets, as in the paper; --split sequences avoids that"
    ]
    assert STUDY.departures(None, {**run, "changes": "splitsequences"}) == []
    assert STUDY.departures(None, {**run, "dataset": "synthetic microscopy"}) == []


def test_every_training_is_seen_by_itself(folder):
    lines = study.by_seed(Run(folder)).set_index(["row", "seed"])
    assert len(lines) == 6
    cases = {
        row: pd.read_csv(folder / f"{slug}-seed1" / "cases.csv").query("set == 'test'")
        for row, slug in (("DSC", "dsc"), ("DSC++", "dscpp"))
    }
    assert lines.loc[("DSC++", "1"), "Brier score"] == pytest.approx(cases["DSC++"]["brier"].mean())
    difference = cases["DSC++"]["brier"].mean() - cases["DSC"]["brier"].mean()
    assert lines.loc[("DSC++", "1"), "Brier score: difference"].startswith(f"{difference:+.4g}\n[")
    assert (lines.loc["DSC", "to"] == "").all()
    history = pd.read_csv(folder / "dscpp-seed1" / "history.csv")
    assert lines.loc[("DSC++", "1"), "tested epoch"] == str(int(history["val_loss"].idxmin()) + 1)
    assert "Seed by seed" in (folder / "report.html").read_text()


def test_pictures_of_any_name_are_drawn(tmp_path):
    image, mask = np.full((4, 4, 3), 51, "uint8"), np.ones((4, 4), bool)
    np.savez(tmp_path / "example.npz", **{"a|b|0|image": image, "a|b|0|mask": mask})
    ((picture, drawn),) = figures._augmented(SimpleNamespace(folder=tmp_path))["a|b"]
    assert picture.max() == pytest.approx(0.2)
    assert drawn.all()
