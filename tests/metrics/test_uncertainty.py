"""Uncertainty against errors: by hand, against scikit-learn, and against slow twins."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from keras_uq.metrics import error_detection_auroc, risk_coverage, uncertainty_error_overlap

# Six voxels, two wrong: the most uncertain and the third.
UNCERTAINTY = np.array([0.1, 0.2, 0.6, 0.3, 0.5, 0.05])
ERROR = np.array([False, False, True, True, False, False])


def test_by_hand():
    # Of the 2 * 4 pairs of a wrong and a right voxel, only (0.3, 0.5) is in the wrong order.
    assert error_detection_auroc(UNCERTAINTY, ERROR) == pytest.approx(7 / 8)
    # The two most uncertain voxels are 0.6 (wrong) and 0.5 (right): Dice = 2 * 1 / (2 + 2).
    assert uncertainty_error_overlap(UNCERTAINTY, ERROR) == pytest.approx(1 / 2)
    # Kept from the most certain on: 0.05, 0.1, 0.2 right, 0.3 wrong, 0.5 right, 0.6 wrong.
    curve = risk_coverage(UNCERTAINTY, ERROR, points=6)
    risks = [0, 0, 0, 1 / 4, 1 / 5, 2 / 6]
    np.testing.assert_allclose(curve.risk, risks)
    np.testing.assert_allclose(curve.coverage, np.arange(1, 7) / 6)
    assert curve.area == pytest.approx(sum(risks) / 6)
    ideal = (1 / 5 + 2 / 6) / 6
    assert curve.excess_area == pytest.approx(sum(risks) / 6 - ideal)


def test_ties_count_as_the_mean_of_their_orders():
    uncertainty, error = np.array([0.0, 1.0, 1.0, 1.0]), np.array([False, True, False, False])
    assert error_detection_auroc(uncertainty, error) == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert uncertainty_error_overlap(uncertainty, error) == pytest.approx(1 / 3)
    # The error stands second, third or last: risks 0, then the mean over the three orders.
    risks = [0, (1 + 0 + 0) / 3 / 2, (1 + 1 + 0) / 3 / 3, 1 / 4]
    np.testing.assert_allclose(risk_coverage(uncertainty, error, points=4).risk, risks)


def test_against_scikit_learn_and_a_random_order():
    rng = np.random.default_rng(0)
    for decimals in (1, 2, 12):  # Many ties, some, none.
        uncertainty = np.round(rng.random((5, 6, 7)), decimals)
        error = rng.random((5, 6, 7)) < 0.2 + 0.4 * uncertainty
        expected = roc_auc_score(error.ravel(), uncertainty.ravel())
        assert error_detection_auroc(uncertainty, error) == pytest.approx(expected, abs=1e-12)
        overlaps, areas = [], []
        for _ in range(400):
            order = np.lexsort((rng.random(error.size), uncertainty.ravel()))
            sorted_errors = error.ravel()[order]
            overlaps.append(sorted_errors[-error.sum() :].mean())
            areas.append((np.cumsum(sorted_errors) / np.arange(1, error.size + 1)).mean())
        assert uncertainty_error_overlap(uncertainty, error) == pytest.approx(np.mean(overlaps), abs=0.01)
        assert risk_coverage(uncertainty, error).area == pytest.approx(np.mean(areas), abs=0.003)


def test_a_perfect_order_and_one_that_knows_nothing():
    error = np.arange(100) >= 90
    perfect, useless = np.arange(100.0), np.ones(100)
    assert error_detection_auroc(perfect, error) == uncertainty_error_overlap(perfect, error) == 1
    assert risk_coverage(perfect, error).excess_area == pytest.approx(0, abs=1e-15)
    assert error_detection_auroc(-perfect, error) == 0
    assert error_detection_auroc(useless, error) == pytest.approx(0.5)
    assert uncertainty_error_overlap(useless, error) == pytest.approx(0.1)
    assert risk_coverage(useless, error).area == pytest.approx(0.1)


def test_without_errors_there_is_nothing_to_detect():
    none, every = np.zeros(4, bool), np.ones(4, bool)
    uncertainty = np.arange(4.0)
    assert np.isnan(error_detection_auroc(uncertainty, none))
    assert np.isnan(error_detection_auroc(uncertainty, every))
    assert np.isnan(uncertainty_error_overlap(uncertainty, none))
    assert risk_coverage(uncertainty, none)[2:] == (0.0, 0.0)
    assert risk_coverage(uncertainty, every)[2:] == (1.0, 0.0)


@pytest.mark.parametrize("measure", [error_detection_auroc, uncertainty_error_overlap, risk_coverage])
def test_bad_input_is_explained(measure):
    with pytest.raises(ValueError, match=r"one shape.*\(3,\), bool \(4,\)"):
        measure(np.zeros(3), np.zeros(4, bool))
    with pytest.raises(ValueError, match="float64"):
        measure(np.zeros(3), np.zeros(3))
    with pytest.raises(ValueError, match="not empty"):
        measure(np.zeros(0), np.zeros(0, bool))
    with pytest.raises(ValueError, match="finite"):
        measure(np.array([0.0, np.nan]), np.zeros(2, bool))
