"""NLL and Brier score against hand-worked values, scikit-learn and themselves in parts."""

import math

import numpy as np
import pytest
from sklearn import metrics as theirs
from sklearn.calibration import calibration_curve

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


def test_every_class_but_the_first_is_foreground():
    labels, p = random_case(8)
    of_class = np.take_along_axis(p, labels[..., np.newaxis], axis=-1)[..., 0]
    expected = np.where(labels > 0, -np.log(of_class), 0).mean()
    assert {1, 2} <= set(labels.ravel())
    assert calibration((labels, p)).nll("foreground") == pytest.approx(expected, rel=1e-9)


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
    with pytest.raises(ValueError, match="equal numbers of classes"):
        calibration(random_case(0)) + calibration(random_case(1, classes=2))
    with pytest.raises(ValueError, match="`mode`"):
        calibration(random_case(0)).nll("background")


def slow_bins(labels, p, kind, bins):
    """Voxel by voxel: `(count, sum of probabilities, came true)` of right-closed bins."""
    table = [[0, 0.0, 0] for _ in range(bins)]
    for label, values in zip(labels.ravel(), p.reshape(-1, p.shape[-1])):
        values = [1 - values[0], values[0]] if len(values) == 1 else list(values)
        best = max(range(len(values)), key=lambda index: values[index])
        value, true = {
            "confidence": (values[best], label == best),
            "foreground": (sum(values[1:]), label > 0),
        }[kind]
        number = max(math.ceil(value * bins - 1e-9) - 1, 0)
        table[number][0] += 1
        table[number][1] += value
        table[number][2] += bool(true)
    return table


def expected(identity):
    return next(check["expected"] for check in VALUES["checks"] if check["id"] == identity)


def test_errors_worked_by_hand():
    given = VALUES["inputs"]
    three = calibration((np.array(given["M"]["labels"]), np.array(given["M"]["p"])))
    one = calibration((np.array(given["C"]["y"]), np.array(given["C"]["p"])[:, np.newaxis]))
    for bins in (10, 15):
        assert three.ece(bins) == pytest.approx(expected(f"m.ece.M.{bins}"), rel=1e-9)
        assert one.ece(bins) == pytest.approx(expected(f"m.ece_pred.C.{bins}"), rel=1e-9)
        assert one.ece(bins, "foreground") == pytest.approx(expected(f"m.ece_fg.C.{bins}"), rel=1e-9)


@pytest.mark.parametrize("classes", [1, 2, 4])
@pytest.mark.parametrize("kind", ["confidence", "foreground"])
@pytest.mark.parametrize("bins", [10, 15])
def test_bins_against_a_slow_twin(classes, kind, bins):
    labels, p = random_case(3, (9, 11, 5), max(classes, 2))
    p = p[..., 1:] if classes == 1 else p
    found = calibration((labels, p)).reliability(bins, kind)
    slow = slow_bins(labels, p, kind, bins)
    np.testing.assert_array_equal(found.counts, [count for count, _, _ in slow])
    for (count, total, true), confidence, accuracy in zip(slow, found.confidence, found.accuracy):
        assert np.isnan(confidence) == (count == 0)
        if count:
            assert (confidence, accuracy) == pytest.approx((total / count, true / count), rel=1e-9)


def test_reliability_agrees_with_scikit_learn():
    labels, p = random_case(4, (40, 50), 2)
    found = calibration((labels, p)).reliability(10, "foreground")
    true, predicted = calibration_curve(labels.ravel(), p[..., 1].ravel(), n_bins=10)
    np.testing.assert_allclose(found.accuracy[found.counts > 0], true, rtol=1e-9)
    np.testing.assert_allclose(found.confidence[found.counts > 0], predicted, rtol=1e-9)


def test_each_class_by_itself():
    labels, p = random_case(5, (30, 31), 3)
    found = calibration((labels, p))
    errors = found.ece(kind="class")
    assert errors.shape == (3,)
    for value in range(3):
        alone = calibration(((labels == value).astype(int), p[..., value : value + 1]))
        assert errors[value] == pytest.approx(alone.ece(kind="foreground"), rel=1e-9)


def test_bins_are_closed_on_the_right_and_float32_edges_count_as_edges():
    for kind in ("float32", "float64"):
        p = np.array([0.0, 0.1, 0.2, 0.3, 0.7, 1.0], dtype=kind)[:, np.newaxis]
        counts = calibration((np.zeros(6, int), p)).reliability(10, "foreground").counts
        np.testing.assert_array_equal(counts, [2, 1, 1, 0, 0, 0, 1, 0, 0, 1])


def test_more_voxels_in_one_bin_than_float32_can_count():
    wanted = 2**24 + 1001
    case = Calibration()
    part = np.zeros(2**20, "uint8")
    p = np.full((2**20, 1), 0.25, "float32")
    for start in range(0, wanted, len(part)):
        case.add(part[: wanted - start], p[: wanted - start])
    assert case.voxels == wanted
    assert case.reliability(10).counts.tolist() == [0] * 7 + [wanted, 0, 0]
    assert case.ece(10, "foreground") == pytest.approx(0.25, rel=1e-12)
    assert case.brier() == pytest.approx(0.0625, rel=1e-12)


def test_curves_of_parts_add_up_and_nothing_has_none():
    first, second = random_case(6, (20, 20)), random_case(7, (11, 13))
    whole, parts = calibration(first, second), calibration(first) + calibration(second)
    for kind in ("confidence", "foreground", "class"):
        for one, other in zip(whole.reliability(15, kind), parts.reliability(15, kind)):
            np.testing.assert_allclose(one, other, rtol=1e-12)
    nothing = Calibration()
    assert math.isnan(nothing.ece())
    assert nothing.reliability().counts.tolist() == [0] * 10
    assert nothing.ece(kind="class").shape == (0,)
    assert (nothing + whole).ece() == pytest.approx(whole.ece())


def test_bins_and_kinds_that_are_not_kept_are_refused():
    with pytest.raises(ValueError, match="bins=7"):
        Calibration().ece(bins=7)
    with pytest.raises(ValueError, match="kind='top'"):
        Calibration().ece(kind="top")
