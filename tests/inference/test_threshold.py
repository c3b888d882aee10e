"""Thresholds of one's own: hand-worked values, scikit-learn, and what cannot be reached."""

import math

import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score

from keras_uq import metrics
from keras_uq.inference import choose_threshold, softmax_threshold
from tests.reference import VALUES

A = {key: np.array(VALUES["inputs"]["A"][key]) for key in ("y", "p")}


@pytest.mark.parametrize(
    "check", [c for c in VALUES["checks"] if c["id"].startswith("y.threshold")], ids=lambda c: c["id"]
)
def test_values_worked_by_hand(check):
    predicted = softmax_threshold(A["p"][..., np.newaxis], check["params"]["T"])
    scores = [getattr(metrics, name)(A["y"] > 0, predicted) for name in ("precision", "sensitivity", "dice", "jaccard")]
    np.testing.assert_allclose(scores, check["expected"])


def test_equal_is_foreground_and_classes_count_together():
    p = np.array([[0.25, 0.25, 0.5], [0.5, 0.3, 0.2], [0.51, 0.3, 0.19]])
    np.testing.assert_array_equal(softmax_threshold(p, 0.5), [True, True, False])
    for threshold in (1.5, -0.1, math.nan, "0.5", None):
        with pytest.raises(ValueError, match=rf"`threshold` to be a number in \[0, 1\].*threshold={threshold!r}"):
            softmax_threshold(p, threshold)
    for wrong, expected in ((p * math.nan, "NaN"), (p * 3, "logits"), (p / 2, "sum to 1"), (p[:, :0], "classes")):
        with pytest.raises(ValueError, match=f"softmax_threshold.*{expected}"):
            softmax_threshold(wrong, 0.5)


def test_classes_are_summed_in_float32():
    # In float16, 0.0005 added 1000 times to 0.5 stays below 1, since the sum rounds to steps of 0.0005 and of 0.001.
    p = np.full((1, 1001), 0.0005, "float16")
    p[0, 0] = 0.5
    exact = float(p[0, 1:].sum(dtype="float64"))
    assert softmax_threshold(p, exact - 1e-6)
    assert not softmax_threshold(p, exact + 1e-6)


def cases(seed=0, count=6):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        mask = rng.random((12, 12)) < 0.3
        p = np.clip(0.35 + 0.35 * mask + rng.normal(0, 0.15, mask.shape), 0, 1)
        yield mask, np.stack([1 - p, p], axis=-1)


def test_the_highest_threshold_that_finds_enough():
    chosen = choose_threshold(cases(), 0.9)
    recalls = {}
    for threshold in np.arange(1, 20) / 20:
        each = [recall_score(mask.ravel(), softmax_threshold(p, threshold).ravel()) for mask, p in cases()]
        recalls[threshold] = np.mean(each)
    expected = max(threshold for threshold, recall in recalls.items() if recall >= 0.9)
    assert chosen.threshold == pytest.approx(expected)
    assert chosen.recall == pytest.approx(recalls[expected])
    each = [precision_score(mask.ravel(), softmax_threshold(p, expected).ravel()) for mask, p in cases()]
    assert chosen.precision == pytest.approx(np.mean(each))


def test_empty_cases_have_no_recall():
    empty = (np.zeros((4, 4), bool), np.full((4, 4, 1), 0.01))
    chosen = choose_threshold([*cases(), empty], 0.9)
    assert chosen.recall == choose_threshold(cases(), 0.9).recall
    with pytest.raises(ValueError, match="No case has foreground"):
        choose_threshold([empty], 0.9)
    with pytest.raises(ValueError, match="No case has foreground"):
        choose_threshold([], 0.9)


def test_a_target_out_of_reach_says_how_near_one_came():
    never = [(mask, p * 0.0 + [1.0, 0.0]) for mask, p in cases()]
    with pytest.raises(ValueError, match="recall of 0.9: at 0.05 it is 0.000. Ask for less"):
        choose_threshold(never, 0.9)
    with pytest.raises(ValueError, match="Received: target_recall=0"):
        choose_threshold(cases(), 0)
    for name, wrong in (
        *(("target_recall", value) for value in (0, 1.01, math.nan, "1", None)),
        *(("thresholds", value) for value in ((), (0.5, 1.5), (math.nan,), ("a",), "ab")),
    ):
        with pytest.raises(ValueError, match=f"choose_threshold expects `{name}`"):
            choose_threshold(cases(), **{"target_recall": 0.9, name: wrong})
    sure = choose_threshold([(mask, np.ones((*mask.shape, 1))) for mask, _ in cases()], 0.9, thresholds=(1.0,))
    assert sure == pytest.approx((1.0, 1.0, np.mean([mask.mean() for mask, _ in cases()])))
    assert not math.isnan(sure.precision)


MASK, P = np.eye(3) > 0, np.full((3, 3, 1), 0.5)


@pytest.mark.parametrize(
    ("mask", "p", "expected"),
    [
        (MASK.astype(int), P, "Boolean mask.*int64.*labels > 0"),
        (MASK[:2], P, r"Boolean mask.*\(2, 3\) and \(3, 3, 1\)"),
        (MASK, P[..., 0], "Boolean mask|sum to 1"),
        (MASK, P * math.nan, "100.00% of the values are NaN"),
        (MASK, P * 9, "logits"),
        (MASK, np.repeat(P, 3, -1), "sums from 1.5"),
    ],
)
def test_a_bad_case_is_named(mask, p, expected):
    with pytest.raises(ValueError, match=f"choose_threshold, case 1.*({expected})"):
        choose_threshold([(MASK, P), (mask, p)], 0.9)
