"""The quality card: the line of SciPy, an interval that covers, a flag, and its way through model file and command."""

import json

import numpy as np
import pytest
from scipy import special, stats

from keras_uq import models
from keras_uq.files import BadFile
from keras_uq.inference import ClassQuality, QualityCard, logit_dice, read_multilabel, read_quality, save_model
from keras_uq.inference.command import main
from keras_uq.metrics import segment_entropy
from keras_uq.preprocessing import Preprocessing
from tests.reference import VALUES


def line_data(count, seed, slope=-8.0, noise=0.4):
    rng = np.random.default_rng(seed)
    entropy = rng.uniform(0.05, 0.5, count)
    return entropy, special.expit(3 + slope * entropy + rng.normal(0, noise, count))


def fitted(count=40, seed=0):
    entropy, dice = line_data(count, seed)
    return QualityCard.fit(entropy[:, np.newaxis], dice[:, np.newaxis])


def test_correlation_worked_by_hand():
    check = next(check for check in VALUES["checks"] if check["id"] == "m.logit_pearson")
    dice, entropy = (np.array(check["params"][name])[:, np.newaxis] for name in ("dice", "entropy"))
    assert QualityCard.fit(entropy, dice).classes[0].r == pytest.approx(check["expected"], rel=1e-9)


def test_the_line_and_its_interval_are_those_of_least_squares():
    entropy, dice = line_data(30, 1)
    card = QualityCard.fit(entropy[:, np.newaxis], dice[:, np.newaxis]).classes[0]
    design = np.stack([np.ones(30), entropy], axis=1)
    solved, residual, *_ = np.linalg.lstsq(design, logit_dice(dice), rcond=None)
    assert (card.intercept, card.slope) == pytest.approx(tuple(solved))
    new = np.array([1, 0.2])
    variance = float(residual[0]) / 28 * (1 + new @ np.linalg.inv(design.T @ design) @ new)
    reach = stats.t.ppf(0.975, 28) * np.sqrt(variance)
    expected = special.expit([new @ solved, new @ solved - reach, new @ solved + reach])
    assert card.dice(0.2) == pytest.approx(tuple(expected))


def test_the_interval_holds_what_it_promises():
    card = fitted(60).classes[0]
    entropy, dice = line_data(4000, 9)
    inside = [low <= true <= high for true, (_, low, high) in zip(dice, map(card.dice, entropy))]
    assert 0.92 < np.mean(inside) < 0.98


def test_cases_without_a_segment_are_left_out_and_flagged():
    entropy, dice = (values[:, np.newaxis] for values in line_data(20, 3))
    more = QualityCard.fit(np.append(entropy, [[np.nan]], axis=0), np.append(dice, [[0.0]], axis=0))
    assert more == QualityCard.fit(entropy, dice)
    empty = np.zeros((4, 4, 4, 2))
    empty[..., 0] = 1
    assert more.read(empty) == [{"class": 1, "flag": True, "why": "nothing was segmented"}]


def test_the_threshold_flags_what_is_rare_in_validation():
    entropy, dice = line_data(200, 4)
    card = QualityCard.fit(entropy[:, np.newaxis], dice[:, np.newaxis], share=0.1)
    assert np.mean(entropy > card.classes[0].threshold) == pytest.approx(0.1, abs=0.01)


def test_it_goes_through_json_and_refuses_what_does_not_make_a_line():
    card = fitted()
    assert QualityCard.from_json(card.to_json()) == card
    with pytest.raises(ValueError, match="3 validation cases"):
        fitted(3)
    with pytest.raises(ValueError, match="same entropy"):
        QualityCard.fit(np.ones((6, 1)), np.full((6, 1), 0.5))
    with pytest.raises(ValueError, match="one shape"):
        QualityCard.fit(np.ones((6, 1)), np.ones((6, 2)))
    with pytest.raises(ValueError, match="1 foreground classes"):
        card.read(np.full((3, 3, 3, 3), 1 / 3))


@pytest.mark.parametrize(
    ("entropies", "dices", "share", "message"),
    [
        ([0.1, 0.2, np.inf, 0.3, 0.4], [0.9] * 5, 0.05, "finite entropies. Received: 1 infinite"),
        ([0.1, 0.2, 0.3, 0.4], [0.9, 1.5, 0.8, -0.1], 0.05, r"in \[0, 1\]. Received: \[1.5, -0.1\]"),
        ([0.1, 0.2, 0.3, 0.4], [0.9, np.inf, 0.8, 0.1], 0.05, r"in \[0, 1\]. Received: \[inf\]"),
        ([0.1, 0.2, 0.3, 0.4], [0.9, 0.7, 0.8, 0.1], 1.5, r"`share` to be a number in \[0, 1\]"),
        ([0.1, 0.2, 0.3, 0.4], [0.9, 0.7, 0.8, 0.1], np.nan, r"`share` to be a number in \[0, 1\]"),
        (["a", "b", "c", "d"], [0.9] * 4, 0.05, "expects numbers"),
        ([0.1, 0.1 + 1e-17, 0.1, 0.1], [0.9, 0.7, 0.8, 0.1], 0.05, "same entropy"),
    ],
)
def test_what_is_no_entropy_or_dice_is_not_fitted(entropies, dices, share, message):
    with pytest.raises(ValueError, match=message):
        QualityCard.fit(np.array(entropies)[:, np.newaxis], np.array(dices)[:, np.newaxis], share)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[(name, "a") for name in ("label", "slope", "intercept", "r", "p", "n", "residual_std", "mean", "threshold")],
        *[(name, float("nan")) for name in ("slope", "intercept", "r", "p", "residual_std", "mean", "squares")],
        ("threshold", float("inf")),
        ("squares", 0),
        ("squares", -1.0),
        ("n", 3),
        ("n", 20.5),
        ("r", 1.5),
        ("p", -0.1),
        ("residual_std", -1),
        ("label", 0),
        ("slope", None),
        ("slope", 1e300),
    ],
)
def test_each_field_of_a_card_is_checked(field, value):
    card = json.loads(flagging(0.3, (1, 2)).to_json())
    card["classes"][1][field] = value
    with pytest.raises(BadFile, match=f"^c.json, entry 2 of `classes`: expected `{field}`"):
        QualityCard.from_json(json.dumps(card), "c.json")
    with pytest.raises(ValueError, match=f"^ClassQuality expects `{field}`"):
        ClassQuality(**card["classes"][1])


def test_text_that_is_no_card_is_refused_with_the_file():
    line = json.loads(fitted().to_json())["classes"][0]
    for text in ("", "[]", "{}", '{"classes": 3}', '{"classes": []}', '{"classes": [3]}', "[" * 100_000):
        with pytest.raises(BadFile, match="^c.json"):
            QualityCard.from_json(text, source="c.json")
    for lines, message in [
        ([{**line, "bilateral": 1}], r"unknown fields \['bilateral'\]"),
        ([{"label": 1}], "lacks slope, intercept"),
        ([line, line], "ascending order of `label`"),
        ([{**line, "label": 2}, line], "ascending order of `label`"),
    ]:
        with pytest.raises(BadFile, match=f"^c.json.*{message}"):
            QualityCard.from_json(json.dumps({"classes": lines}), "c.json")


def test_maps_with_nan_are_not_read():
    p = np.full((3, 4, 4, 2), 0.5)
    p[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="2.08% NaN"):
        flagging(0.3).read(p)
    for entropy, level in ((np.nan, 0.95), (0.2, 1.0), (0.2, np.nan)):
        with pytest.raises(ValueError, match="^ClassQuality.dice expects"):
            flagging(0.3).classes[0].dice(entropy, level)


def flagging(threshold, labels=(1,)):
    return QualityCard(
        tuple(ClassQuality(label, -4.0, 2.0, -0.9, 0.01, 20, 0.3, 0.3, 0.5, threshold) for label in labels)
    )


@pytest.fixture
def scan(write_scan):
    return write_scan(np.random.default_rng(0).random((20, 18, 5)).astype("float32"))


def predict(*arguments):
    return main(["predict", *map(str, arguments)])


def test_the_command_writes_what_the_card_says(scan, tmp_path, capsys):
    model = models.mehrtash2020((32, 32, 1), filters=2, classes=2, multilabel=True)
    save_model(
        model, tmp_path / "m.keras", Preprocessing(size=(32, 32)), multilabel=True, quality=flagging(0.0, (1, 2))
    )
    assert read_quality(tmp_path / "m.keras") == flagging(0.0, (1, 2))
    assert read_multilabel(tmp_path / "m.keras")
    arguments = ("--model", tmp_path / "m.keras", "--image", scan, "--out", tmp_path / "out", "--deterministic")
    assert predict(*arguments) == 0
    sidecar = json.loads((tmp_path / "out" / "scan_uncertainty.json").read_text())
    assert [line["class"] for line in sidecar["quality"]] == [1, 2]
    assert all(line["flag"] for line in sidecar["quality"])
    assert "1 flagged for review: scan.nii.gz" in capsys.readouterr().out
    # A flagged scan that was predicted before is still named; with another card it is predicted again.
    assert predict(*arguments) == 0
    assert "1 already there" in (output := capsys.readouterr().out)
    assert "1 flagged for review" in output
    (tmp_path / "card.json").write_text(flagging(1.0, (1, 2)).to_json())
    assert predict(*arguments, "--quality", tmp_path / "card.json") == 0
    assert "1 predicted" in capsys.readouterr().out
    lines = json.loads((tmp_path / "out" / "scan_uncertainty.json").read_text())["quality"]
    assert all(line["flag"] == ("segment_entropy" not in line) for line in lines)


def test_without_a_card_nothing_is_said_of_quality(scan, tmp_path, capsys):
    model = models.mehrtash2020((32, 32, 1), filters=2)
    save_model(model, tmp_path / "m.keras", Preprocessing(size=(32, 32)))
    assert predict("--model", tmp_path / "m.keras", "--image", scan, "--out", tmp_path / "out", "--deterministic") == 0
    assert "quality" not in json.loads((tmp_path / "out" / "scan_uncertainty.json").read_text())
    assert "review" not in capsys.readouterr().out


def test_the_card_reads_the_probabilities_of_the_scan():
    p = np.random.default_rng(5).dirichlet([1, 1, 1], (3, 8, 8))
    lines = flagging(0.3, (1, 2)).read(p)
    assert [line["segment_entropy"] for line in lines] == pytest.approx(segment_entropy(p).tolist())
