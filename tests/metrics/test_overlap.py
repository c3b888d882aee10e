"""Overlap scores against hand-worked values, counts voxel by voxel, scikit-learn (F-score) and empty cases."""

import math

import numpy as np
import pytest
from sklearn.metrics import fbeta_score

from keras_uq import metrics
from tests.reference import VALUES, checks

A = np.array(VALUES["inputs"]["A"]["y"]) > 0
P = np.array(VALUES["inputs"]["A"]["p"])
EMPTY, FULL = np.zeros((4, 4), bool), np.ones((4, 4), bool)


def test_scores_of_image_a_worked_by_hand():
    (check,) = checks("[sensitivity, precision, specificity, DSC, F2] of mask (p>=0.5)")
    got = [metrics.sensitivity, metrics.precision, metrics.specificity, metrics.dice]
    np.testing.assert_allclose([score(A, P >= 0.5) for score in got], check["expected"][:4])
    np.testing.assert_allclose(metrics.f_beta(A, P >= 0.5, beta=2), check["expected"][4])


@pytest.mark.parametrize(
    "check", checks("[precision, recall, DSC, Jaccard] at softmax threshold T with mask = (p >= T)")
)
def test_scores_at_a_threshold_worked_by_hand(check):
    predicted = check["params"]["T"] <= P
    got = [metrics.precision, metrics.sensitivity, metrics.dice, metrics.jaccard]
    np.testing.assert_allclose([score(A, predicted) for score in got], check["expected"])


def test_scores_equal_a_count_voxel_by_voxel():
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask, predicted = rng.random((3, 5, 4)) < 0.4, rng.random((3, 5, 4)) < 0.5
        pairs = list(zip(mask.ravel().tolist(), predicted.ravel().tolist()))
        tp, fp, fn, tn = (pairs.count(pair) for pair in ((True, True), (False, True), (True, False), (False, False)))
        assert metrics.confusion_counts(mask, predicted) == (tp, fp, fn, tn)
        assert metrics.dice(mask, predicted) == pytest.approx(2 * tp / (2 * tp + fp + fn))
        assert metrics.jaccard(mask, predicted) == pytest.approx(tp / (tp + fp + fn))
        assert metrics.sensitivity(mask, predicted) == pytest.approx(tp / (tp + fn))
        assert metrics.specificity(mask, predicted) == pytest.approx(tn / (tn + fp))
        assert metrics.precision(mask, predicted) == pytest.approx(tp / (tp + fp))
        for beta in (0.5, 1, 2):
            flat = mask.ravel(), predicted.ravel()
            assert metrics.f_beta(mask, predicted, beta) == pytest.approx(fbeta_score(*flat, beta=beta))


def test_empty_cases_are_nan_where_there_is_nothing_to_score():
    assert math.isnan(metrics.dice(EMPTY, EMPTY))
    assert math.isnan(metrics.jaccard(EMPTY, EMPTY))
    assert math.isnan(metrics.f_beta(EMPTY, EMPTY, beta=2))
    with pytest.raises(ValueError, match="`beta` to be a number in"):
        metrics.f_beta(EMPTY, EMPTY, beta=0)
    assert math.isnan(metrics.sensitivity(EMPTY, FULL))
    assert math.isnan(metrics.specificity(FULL, EMPTY))
    assert math.isnan(metrics.precision(FULL, EMPTY))
    assert metrics.dice(EMPTY, FULL) == metrics.dice(FULL, EMPTY) == 0


def test_soft_counts_are_the_sums_of_the_soft_dice():
    overlap, predicted, labelled = metrics.soft_counts(A, P)
    (check,) = [c for c in checks("dice_loss") if c["id"] == "k.dice.A.eps1e-06"]
    assert 1 - 2 * overlap / (predicted + labelled) == pytest.approx(check["expected"], rel=1e-6)


def test_sums_are_exact_beyond_float32():
    big = np.ones((257, 256, 256), dtype=bool)  # More than 2 ** 24 voxels.
    assert metrics.confusion_counts(big, big).tp == 257 * 256 * 256
    assert metrics.soft_counts(big, np.ones(big.shape, "float32"))[0] == 257 * 256 * 256


def test_what_is_no_pair_of_masks_is_refused():
    with pytest.raises(ValueError, match=r"one shape.*\(4, 4\) and \(4, 3\)"):
        metrics.dice(A, A[:, :3])
    with pytest.raises(ValueError, match="^dice expects Boolean masks.*Threshold"):
        metrics.dice(A, P)
    with pytest.raises(ValueError, match="Boolean mask"):
        metrics.soft_counts(P, P)


def test_statistics_of_a_map_worked_by_hand():
    entropy = np.array(checks("predictive_entropy map (both classes, natural log)")[0]["expected"])
    mean = np.array(checks("predictive_mean map")[0]["expected"])
    uncertainty, prediction = metrics.map_statistics(entropy), metrics.map_statistics(mean)
    for got, quantity in (
        (uncertainty.mean, "uncertainty_mean (Eq. 14)"),
        (uncertainty.std_pixel, "uncertainty_std over pixels (Eq. 15, population)"),
        (prediction.mean, "mean prediction (Eq. 17)"),
        (prediction.std_pixel, "mean prediction std (Eq. 18)"),
    ):
        np.testing.assert_allclose(got, checks(quantity)[0]["expected"], rtol=1e-9)
    np.testing.assert_allclose(uncertainty.std_slice, entropy.mean(axis=1).std())


def test_pooled_statistics_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    volumes = [rng.gamma(0.3, size=(depth, 6, 5)) for depth in (3, 8, 1)]
    pooled = metrics.pool_statistics(metrics.map_statistics(volume) for volume in volumes)
    whole = np.concatenate(volumes)
    expected = metrics.map_statistics(whole)
    np.testing.assert_allclose(pooled, expected, rtol=1e-12)
    with pytest.raises(ValueError, match="not empty"):
        metrics.map_statistics(np.zeros((0, 4, 4)))
