"""The tables of Mehrtash et al. on small scans: every number against a second way to it."""

import dataclasses
import json
import math
from itertools import combinations

import keras
import nibabel
import numpy as np
import pandas as pd
import pytest

from data_prep.prepared import Prepared
from experiments import command
from experiments.choices import Adam, FirstSeeds
from experiments.inputs.datasets import open_cases
from experiments.mehrtash2020.ensembles import drawn
from experiments.mehrtash2020.protocol import APPLICATIONS, Box, balanced_crossentropy
from experiments.mehrtash2020.published import published
from experiments.mehrtash2020.scoring import card_of
from experiments.mehrtash2020.shifts import SHIFTS, shifted_cases
from experiments.mehrtash2020.study import STUDY
from experiments.mehrtash2020.table2 import TABLES
from experiments.mehrtash2020.tableS3 import TABLE as TABLE_3D
from experiments.run import PUBLISHED, ImpossibleScores, Run
from experiments.table import Profile
from keras_uq import metrics, statistics
from keras_uq.inference import exclusive, read_multilabel, read_quality, scale_probabilities
from tests.data_prep.test_mri_archives import make_promise12, make_prostatex  # noqa: F401
from tests.experiments.tiny import small_unet

CHANGES = {"crop": None, "spacing": None, "batch": 4, "filters": 2, "steps": 12, "samples": 2, "norm_momentum": 0.5}
CHANGES |= {"optimizer": Adam(0.02), "extra": Box(2.0)}
TINY = Profile(seeds=2, changes=CHANGES, max_epochs=2)


def write_task(folder, cases=60):
    """Two structures on noise, in Decathlon layout."""
    training = []
    for number in range(cases):
        rng = np.random.default_rng(number)
        label = np.zeros((18, 20, 6), "uint8")
        at = rng.integers(2, 6)
        label[at : at + 6, 5:12, 1:5] = 1
        label[at + 6 : at + 10, 7:13, 1:5] = 2
        image = (rng.normal(50, 8, label.shape) + 60 * label).astype("int16")
        for part, array in (("imagesTr", image), ("labelsTr", label)):
            (folder / part).mkdir(parents=True, exist_ok=True)
            file = folder / part / f"small_{number:03d}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(array, np.diag([-1.5, -1.0, 2.5, 1.0])), file)
        training.append(
            {"image": f"imagesTr/small_{number:03d}.nii.gz", "label": f"labelsTr/small_{number:03d}.nii.gz"}
        )
    described = {
        "labels": {"0": "background", "1": "head", "2": "tail"},
        "modality": {"0": "MRI"},
        "training": training,
    }
    (folder / "dataset.json").write_text(json.dumps(described))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run of Table II: all rows, two seeds, one of those that have fewer."""
    place = tmp_path_factory.mktemp("mehrtash")
    write_task(place / "data" / "small")
    rows = tuple(
        dataclasses.replace(row, seeds=FirstSeeds(1)) if isinstance(row.seeds, FirstSeeds) else row
        for row in TABLES[0].rows
    )
    table = dataclasses.replace(TABLES[0], rows=rows, model=small_unet, profiles={**TABLES[0].profiles, "small": TINY})
    options = ["--profile", "small", "--data", str(place / "data"), "--dataset", "small"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_UQ_CACHE", str(place / "cache"))
        assert command.main(table, [*options, "--results", str(place / "runs")]) == 0
        # Nothing is done twice.
        before = {path: path.stat().st_mtime_ns for path in place.glob("runs/*/*/*/provenance.json")}
        assert command.main(table, [*options, "--results", str(place / "runs"), "--no-report"]) == 0
        assert {path: path.stat().st_mtime_ns for path in place.glob("runs/*/*/*/provenance.json")} == before
    return place


@pytest.fixture(scope="module")
def folder(place):
    return place / "runs" / "mehrtash2020_table2" / "small-small"


@pytest.fixture(scope="module")
def data(place):
    (prepared,) = (path.parent for path in (place / "cache" / "prepared").glob("*/dataset.json"))
    return Prepared(prepared)


def cases_of(cell):
    """Lines of the test cases of a cell."""
    return pd.read_csv(cell / "cases.csv").query("set == 'test'").reset_index(drop=True)


def by_hand(data, folder, cell):
    """`{case: probabilities}` of test cases from the saved model."""
    model = keras.saving.load_model(folder / cell / "model.keras", compile=False)
    found = {}
    for case in data.split["test"]:
        p = model.predict(np.asarray(data.image(case)), verbose=0)
        found[case] = exclusive(p) if cell.startswith("dice") else p
    return found


def test_every_row_and_seed_is_there(folder):
    seeds = {row: sorted(cell.seed for cell in cells) for row, cells in Run(folder).by_row.items()}
    assert seeds == {
        "CE": [0, 1],
        "CE, MC dropout": [0],
        "CE, ensemble": [0],
        "CE, temperature": [0, 1],
        "Dice": [0, 1],
        "Dice, MC dropout": [0],
        "Dice, ensemble": [0],
        "Dice, temperature": [0, 1],
        "CE without weights": [0],
    }
    config = json.loads((folder / "dice--ensemble-seed0" / "config.json").read_text())
    members = [json.loads((folder / f"dice-seed{seed}" / "provenance.json").read_text()) for seed in range(2)]
    assert config["inputs"] == [member["config_sha256"] for member in members]
    assert config["training"] is None


@pytest.mark.parametrize("cell", ["ce-seed1", "dice-seed0"])
def test_scores_are_those_of_the_network(folder, data, cell):
    cases = pd.read_csv(folder / cell / "cases.csv").set_index("case")
    for case, p in by_hand(data, folder, cell).items():
        mask = np.asarray(data.mask(case))[..., 0]
        one_hot = np.eye(3)[mask]
        loss, squares = -np.log((p * one_hot).sum(-1)), ((p - one_hot) ** 2).sum(-1)
        # 2 mm: 2 voxels of 1 mm (rows), 2 of 1.5 mm (columns), 2 slices.
        low, high = np.argwhere(mask > 0).min(axis=0) - 2, np.argwhere(mask > 0).max(axis=0) + 3
        box = tuple(slice(max(a, 0), b) for a, b in zip(low, high))
        line = cases.loc[case]
        assert data.spacing(case) == pytest.approx((2.5, 1.0, 1.5))
        assert (line["nll"], line["nll_whole"]) == pytest.approx((loss[box].mean(), loss.mean()), rel=1e-4)
        assert (line["brier"], line["brier_whole"]) == pytest.approx((squares[box].mean(), squares.mean()), rel=1e-4)
        assert line["brier_normalised"] == pytest.approx(squares[box].mean() / 3, rel=1e-4)
        predicted = p.argmax(-1)
        dice = [
            2 * ((predicted == k) & (mask == k)).sum() / ((predicted == k).sum() + (mask == k).sum()) for k in (1, 2)
        ]
        assert line["dice_segment1"] == pytest.approx(dice[0], abs=1e-6)
        assert line["dice"] == pytest.approx(np.mean(dice), abs=1e-6)


def test_an_ensemble_is_the_mean_of_its_members_and_a_temperature_a_power(folder, data):
    members = [by_hand(data, folder, f"dice-seed{seed}") for seed in range(2)]
    together = pd.read_csv(folder / "dice--ensemble-seed0" / "cases.csv").set_index("case")
    tempered = pd.read_csv(folder / "dice--temperature-seed1" / "cases.csv").set_index("case")
    for case in data.split["test"]:
        mask = np.asarray(data.mask(case))[..., 0]
        for line, p in (
            (together.loc[case], np.mean([member[case] for member in members], axis=0)),
            (tempered.loc[case], scale_probabilities(members[1][case], tempered.loc[case, "temperature"])),
        ):
            found = metrics.Calibration()
            found.add(mask, p.astype("float32"))
            assert line["nll_whole"] == pytest.approx(found.nll(), rel=1e-3)
            assert line["ece_whole"] == pytest.approx(found.ece(), abs=2e-3)
    validation = tempered[tempered["set"] == "validation"]
    plain = pd.read_csv(folder / "dice-seed1" / "cases.csv").set_index("case").loc[validation.index]
    assert validation["nll_whole"].mean() <= plain["nll_whole"].mean() + 1e-6
    assert tempered["dice"].tolist() == pd.read_csv(folder / "dice-seed1" / "cases.csv")["dice"].tolist()


def test_subsets_are_all_ensembles_of_a_size(folder, data):
    subsets = pd.read_csv(folder / "ce--ensemble-seed0" / "subsets.csv", dtype={"draw": str})
    assert subsets.groupby("members").size().to_dict() == {1: 2, 2: 1}
    whole = subsets[subsets["members"] == 2].iloc[0]
    cases = cases_of(folder / "ce--ensemble-seed0")
    assert (whole["nll"], whole["nll_whole"], whole["dice"]) == pytest.approx(
        (cases["nll"].mean(), cases["nll_whole"].mean(), cases["dice"].mean()), rel=1e-4
    )
    one = cases_of(folder / "ce-seed1")
    assert subsets.set_index("draw").loc["1", "nll"] == pytest.approx(one["nll"].mean(), rel=1e-4)


def test_draws_do_not_repeat_within_or_between():
    found = drawn(12, sizes=(1, 2, 6, 25), draws=50)
    sizes = [size for size, _ in found]
    assert {size: sizes.count(size) for size in set(sizes)} == {1: 12, 2: 50, 6: 50}
    assert all(len(set(chosen)) == size for size, chosen in found)
    assert len(set(found)) == len(found)
    assert [chosen for _, chosen in drawn(5, sizes=(2,))] == list(combinations(range(5), 2))
    assert drawn(12) == drawn(12)


def test_intervals_are_the_range_of_cases_and_the_bootstrap_of_their_mean(folder):
    table = Run(folder).table
    line = table.set_index("row").loc["Dice"]
    frames = [cases_of(folder / f"dice-seed{seed}") for seed in range(2)]
    values = pd.concat(frames)["nll"]
    assert (line["nll"], line["nll_low"], line["nll_high"]) == pytest.approx(
        (values.mean(), *np.percentile(values, (2.5, 97.5)))
    )
    of_cases = pd.concat(frames).groupby("case")["nll"].mean()
    interval = statistics.paired_bootstrap(of_cases, np.zeros(len(of_cases)))
    assert (line["nll_mean_low"], line["nll_mean_high"]) == pytest.approx(interval[1:])
    assert line["segments"] == 2 * 2 * len(of_cases)
    assert line["nll_published"] == "0.74 [0.31, 1.60]"
    assert table.set_index("row").loc["Dice, temperature", "nll_published"] == ""


def test_bold_is_the_best_row_and_its_p(folder):
    tests = pd.read_csv(folder / "tests.csv")
    means = Run(folder).table.set_index("row")
    assert set(tests.loc[tests["measure"] == "Dice", "best"]) == {means["dice_mean"].idxmax()}
    assert set(tests.loc[tests["measure"] == "NLL", "best"]) == {means["nll_mean"].idxmin()}
    assert tests["p, n = 10000"].between(0, 1).all()
    assert (tests["p, n = 100"] * 50 % 1 < 1e-9).all()


def test_the_model_file_says_what_its_channels_are_and_carries_its_card(folder):
    assert read_multilabel(folder / "dice-seed0" / "model.keras")
    assert not read_multilabel(folder / "ce-seed0" / "model.keras")
    card = card_of(pd.read_csv(folder / "dice-seed0" / "cases.csv"))
    assert card is not None
    carried = read_quality(folder / "dice-seed0" / "model.keras")
    for one, other in zip(carried.classes, card.classes):
        assert dataclasses.astuple(one) == pytest.approx(dataclasses.astuple(other), rel=1e-4)


def test_sections_and_spoilt_scans(folder):
    sections = {title: frame for title, _, frame in STUDY.sections(Run(folder))}
    detection = sections["Out of distribution"]
    assert set(detection["shift"]) == set(SHIFTS)
    assert detection["AUROC"].between(0, 1).all()
    spoilt = pd.read_csv(folder / "ce-seed0" / "shifted.csv")
    assert len(spoilt) == len(SHIFTS) * 12 * 2
    lines = sections["Does segment entropy tell the Dice?"]
    assert set(lines["segment"]) == {"1", "2"}
    page = (folder / "report.html").read_text()
    for words in ("Table S1", "Table S2", "How many members", "Quality card", "M-BRIERSUM", "segment_entropy.png"):
        assert words in page
    assert "Table S2: Hausdorff" in (folder / "table.md").read_text()


def test_a_case_that_is_impossible_is_refused(folder):
    frames = [cases_of(folder / "ce-seed0")]
    frames[0].loc[0, "nll"] = 0.001
    frames[0].loc[0, "brier"] = 0.3
    with pytest.raises(
        ImpossibleScores, match="Case small_00.: an NLL of 0.001 is impossible with a Brier score of 0.3"
    ):
        STUDY.measure(None, frames)


def test_a_member_whose_probabilities_are_gone_is_named(folder, tmp_path):
    from experiments.mehrtash2020.predictors import NotStored, Stored

    with pytest.raises(NotStored, match=r"provenance\.json"):
        Stored([tmp_path / "dice-seed0"]).predict(None, case=3)


def test_shifts_do_what_they_say():
    image = np.zeros((5, 12, 10, 1), "float32")
    image[:, 2:10, 3:8] = np.random.default_rng(0).uniform(0.1, 1, (5, 8, 5, 1))
    inverted = SHIFTS["contrast inverted"](image)
    np.testing.assert_allclose(inverted[:, 2:10, 3:8], 1 - image[:, 2:10, 3:8])
    assert not inverted[:, :2].any()
    assert SHIFTS["blurred"](image).std() < image.std()
    biased = SHIFTS["bias field"](np.where(image > 0, 1, 0).astype("float32"))
    assert biased.max() == pytest.approx(1)
    assert biased[0, 9, 4, 0] / biased[0, 2, 4, 0] == pytest.approx(math.exp(-2), rel=1e-5)
    missing = SHIFTS["slices missing"](image)
    assert not missing[1::2].any()
    np.testing.assert_array_equal(missing[::2], image[::2])
    assert all(change(np.zeros_like(image)).shape == image.shape for change in SHIFTS.values())


def test_the_known_contradictions_are_flagged():
    brain, heart, prostate = (
        published(
            {"table": "table2", "dataset": APPLICATIONS[name]["dataset"], "classes": APPLICATIONS[name]["classes"]}
        )
        for name in ("Brain", "Heart", "Prostate")
    )
    for frame in (brain, heart):
        assert all("M-DUPCAL" in frame.loc[row, "flag"] for row in ("Dice", "Dice, ensemble"))
        assert (
            frame.loc["Dice", ["nll", "brier", "ece_percent"]] == brain.loc["Dice", ["nll", "brier", "ece_percent"]]
        ).all()
    assert "M-MCDOHEART" in heart.loc["Dice, MC dropout", "flag"]
    # M-A6: with the 1/K of Eq. 4 all nine cross-entropy rows are impossible.
    for frame in (brain, heart, prostate):
        assert all("M-BRIERSUM" in frame.loc[row, "flag"] for row in ("CE", "CE, MC dropout", "CE, ensemble"))
    third = published({"table": "tableS3", "dataset": "prostatex", "classes": 2})
    assert all("M-BRIERSUM" in third.loc[row, "flag"] for row in third.index if row.startswith("CE"))
    assert third.loc["Dice", "dice_segment1"] == "0.89"
    assert "dice_segment2" not in prostate
    assert prostate.loc["CE", "hd95_mm_segment1"].startswith(
        pd.read_csv(PUBLISHED / "mehrtash2020_tableS2.csv", dtype=str)
        .query("printed_model == 'Prostate (LCE)'")["hd95_mm_segment1"]
        .iloc[0]
    )


def test_class_weights_are_inverse_frequencies(data):
    counts = np.zeros(3)
    for part in ("train", "validation"):
        for case in data.split[part]:
            counts += np.bincount(np.asarray(data.mask(case)).ravel(), minlength=3)
    loss = balanced_crossentropy(data, 3)
    np.testing.assert_allclose(loss.class_weights, counts.sum() / (3 * counts), rtol=1e-5)
    assert np.average(loss.class_weights, weights=counts) == pytest.approx(1, rel=1e-5)


def test_promise12_stands_for_other_scans_where_it_is_there(make_prostatex, make_promise12, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("KERAS_UQ_CACHE", str(tmp_path / "cache"))
    table, profile = TABLES[0], TABLES[0].profiles["paper"]
    settings = profile.apply(table.settings)
    make_prostatex()
    arguments = (table, settings, profile, tmp_path, "prostatex")
    data = open_cases(*arguments)
    assert data.spacing("ProstateX-0000")[1:] == pytest.approx((0.5, 0.5), rel=1e-2)
    assert data.image("ProstateX-0000").shape[1:3] == (224, 224)
    assert data.shifted is None
    make_promise12()
    listed = shifted_cases(open_cases(*arguments))
    assert [number for number, *_ in listed] == list(range(3, 3 + 2 * len(SHIFTS) + 4))
    assert [(shift, case) for _, shift, case, _ in listed][-4:] == [("PROMISE12", f"Case{n:02d}") for n in range(4)]
    image, mask = listed[-1][3]()
    assert image.shape == (*mask.shape, 1) == (7, 224, 224, 1)
    assert mask.any()


@pytest.mark.slow
def test_a_3d_pair_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_UQ_CACHE", str(tmp_path / "cache"))
    write_task(tmp_path / "data" / "small", cases=20)
    tiny = Profile(seeds=1, changes={**CHANGES, "batch": 2, "steps": 2}, max_epochs=1)
    table = dataclasses.replace(TABLE_3D, model=small_unet, profiles={**TABLE_3D.profiles, "small": tiny})
    options = ["--profile", "small", "--data", str(tmp_path / "data"), "--dataset", "small", "--no-report"]
    for row in ("Dice, MC dropout", "CE, temperature"):
        assert command.main(table, [*options, "--results", str(tmp_path / "runs"), "--row", row]) == 0
    found = {path.parent.name: pd.read_csv(path) for path in tmp_path.glob("runs/*/*/*/cases.csv")}
    assert set(found) == {"dice--mc-dropout-seed0", "ce-seed0", "ce--temperature-seed0"}
    for cases in found.values():
        assert cases["set"].value_counts().to_dict() == {"test": 4, "validation": 2}
    assert found["ce-seed0"]["dice"].equals(found["ce--temperature-seed0"]["dice"])
    model = keras.saving.load_model(next(tmp_path.glob("runs/*/*/ce-seed0/model.keras")), compile=False)
    assert model.input_shape == (None, None, None, None, 1)
