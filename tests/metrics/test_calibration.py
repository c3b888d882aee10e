"""NLL and Brier score against hand-worked values, scikit-learn and themselves in parts."""

import math

import numpy as np
import pytest
from sklearn import metrics as theirs

from keras_uq.metrics import Calibration
from tests.reference import VALUES, checks

A = {key: np.array(VALUES["inputs"]["A"][key]) for key in ("y", "p")}


def calibration(*cases):
    total = Calibration()
    for labels, probabilities in cases:
        total.add(labels, probabilities)
    return total


def random_case(seed, shape=(6, 7), classes=3):
    rng = np.random.default_rng(seed)
    probabilities = rng.uniform(0.01, 1, (*shape, classes))
    return rng.integers(0, classes, shape), probabilities / probabilities.sum(-1, keepdims=True)


@pytest.mark.parametrize("channels", [1, 2])
def test_values_worked_by_hand(channels):
    p = A["p"][..., np.newaxis] if channels == 1 else np.stack([1 - A["p"], A["p"]], axis=-1)
    found = calibration((A["y"], p))
    expected = {check["id"]: check["expected"] for check in VALUES["checks"]}
    assert found.nll() == pytest.approx(expected["y.nll_full.A"], rel=1e-9)
    assert found.nll("foreground") == pytest.approx(expected["y.nll_fg.A"], rel=1e-9)
    assert found.brier() == pytest.approx(expected["y.brier.A"], rel=1e-9)


def test_three_classes_worked_by_hand():
    given = VALUES["inputs"]["M"]
    found = calibration((np.array(given["labels"]), np.array(given["p"])))
    expected = {check["id"]: check["expected"] for check in VALUES["checks"]}
    assert found.nll() == pytest.approx(expected["m.ce.M"], rel=1e-9)
    assert found.brier(normalize=False) == pytest.approx(expected["m.brier_sum.M"], rel=1e-9)
    assert found.brier() == pytest.approx(expected["m.brier_eq4.M"], rel=1e-9)
    assert checks("cross-entropy, unit weights (Eq. 1)")


def test_agrees_with_scikit_learn():
    labels, p = random_case(0)
    found = calibration((labels, p))
    assert found.nll() == pytest.approx(theirs.log_loss(labels.ravel(), p.reshape(-1, 3)), rel=1e-9)
    two = random_case(1, classes=2)
    brier = theirs.brier_score_loss(two[0].ravel(), two[1][..., 1].ravel())
    assert calibration(two).brier() == pytest.approx(brier, rel=1e-9)


def test_parts_add_up():
    cases = [random_case(seed, shape) for seed, shape in enumerate(((4, 5), (3, 2, 6), (9,)))]
    whole, parts = calibration(*cases), calibration(cases[0]) + calibration(*cases[1:])
    for ask in (Calibration.nll, lambda c: c.nll("foreground"), Calibration.brier):
        assert ask(parts) == pytest.approx(ask(whole), rel=1e-12)
    assert parts.voxels == 20 + 36 + 9
    empty = Calibration()
    assert math.isnan(empty.nll())
    assert math.isnan(empty.brier())
    assert (empty + whole).nll() == whole.nll()


def test_two_classes_cannot_have_less_nll_than_their_brier_score_allows():
    for seed in range(20):
        found = calibration(random_case(seed, (40,), 2))
        assert found.nll() >= 2.4554 * found.brier()
    # The bound is reached at q = 0.7153.
    reached = calibration((np.zeros((1,), int), np.array([[1 - 0.7153, 0.7153]])))
    assert reached.nll() == pytest.approx(2.4554 * reached.brier(), rel=1e-4)


def test_certain_errors_are_finite():
    found = calibration((np.array([0, 1]), np.array([[0.0, 1.0], [1.0, 0.0]])))
    assert found.nll() == pytest.approx(-math.log(1e-7))
    assert found.brier() == 1.0
    half = calibration((np.array([0, 1]), np.array([[0.5], [0.5]], "float16")))
    assert half.nll() == pytest.approx(math.log(2), rel=1e-3)


@pytest.mark.parametrize(
    ("labels", "probabilities", "said"),
    [
        (np.zeros((2, 2), int), np.zeros((2, 3, 1)), "Received: int64 .2, 2. and .2, 3, 1."),
        (np.zeros((2,)), np.zeros((2, 1)), "class numbers"),
        (np.array([2]), np.array([[0.5]]), "labels from 0 to 1"),
        (np.array([0]), np.array([[1.5]]), "probabilities in .0, 1."),
        (np.array([0]), np.array([[math.nan]]), "probabilities in .0, 1."),
    ],
)
def test_bad_input_is_refused(labels, probabilities, said):
    with pytest.raises(ValueError, match=said):
        calibration((labels, probabilities))


def test_other_numbers_of_classes_are_refused():
    with pytest.raises(ValueError, match="Expected 3 classes"):
        calibration(random_case(0), random_case(1, classes=2))
    with pytest.raises(ValueError, match="one number of classes"):
        calibration(random_case(0)) + calibration(random_case(1, classes=2))
    with pytest.raises(ValueError, match="`mode`"):
        calibration(random_case(0)).nll("background")
