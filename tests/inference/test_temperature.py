"""Temperature scaling against a grid, torch-free algebra on logits, and probabilities of known temperature."""

import math

import numpy as np
import pytest
from scipy import special

from keras_uq.inference import TemperatureScaling, UncertaintyMaps, fit_temperature, scale_probabilities
from keras_uq.metrics import Calibration


def drawn(temperature, classes=3, count=20_000, seed=0):
    """Labels of a softmax, and the probabilities of a network whose logits are `temperature` times too large."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, classes)) * 1.5
    true = special.softmax(logits, axis=-1)
    labels = (true.cumsum(-1) > rng.random((count, 1))).argmax(-1)
    return labels, special.softmax(logits * temperature, axis=-1)


def nll(labels, p):
    found = Calibration()
    found.add(labels, p)
    return found.nll()


@pytest.mark.parametrize("temperature", [0.5, 1.7, 4.0])
def test_dividing_logits_is_a_power_of_probabilities(temperature):
    logits = np.random.default_rng(1).normal(size=(7, 5, 3))
    found = scale_probabilities(special.softmax(logits, axis=-1), temperature)
    np.testing.assert_allclose(found, special.softmax(logits / temperature, axis=-1), rtol=1e-6)
    one = np.random.default_rng(2).normal(size=(7, 5, 1))
    found = scale_probabilities(special.expit(one), temperature)
    np.testing.assert_allclose(found, special.expit(one / temperature), rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_the_temperature_of_a_network_is_found(temperature):
    labels, p = drawn(temperature)
    found = fit_temperature([(labels[:9000], p[:9000]), (labels[9000:], p[9000:])])
    assert found == pytest.approx(temperature, rel=0.05)
    grid = np.geomspace(0.1, 10, 400)
    best = grid[np.argmin([nll(labels, scale_probabilities(p, at)) for at in grid])]
    assert found == pytest.approx(best, rel=0.02)
    assert nll(labels, scale_probabilities(p, found)) <= nll(labels, p) + 1e-9


def test_one_channel_gives_what_two_give():
    labels, p = drawn(2.0, classes=2, count=4000)
    assert fit_temperature([(labels, p[:, 1:])]) == pytest.approx(fit_temperature([(labels, p)]), rel=1e-3)


def test_bounds_hold_where_a_network_is_always_right():
    labels = np.array([0, 1, 1, 0])
    p = np.array([[0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.9, 0.1]])
    assert fit_temperature([(labels, p)], bounds=(0.25, 4)) == pytest.approx(0.25)
    assert fit_temperature([(1 - labels, p)], bounds=(0.25, 4)) == pytest.approx(4)
    for t in (0.1, 10.0):
        assert np.isfinite(scale_probabilities(np.array([[0.0, 1.0], [1.0, 0.0]]), t)).all()


class Fixed:
    def predict(self, images, batch_size=8, case=0):
        del batch_size, case
        spread = np.full((*images.shape[:-1], 2), 0.1, "float32")
        mean = np.stack([images[..., 0], 1 - images[..., 0]], axis=-1)
        return UncertaintyMaps(mean, spread, spread**2, spread[..., 0], spread[..., 0], spread[..., 0], 5)

    def describe(self):
        return {"method": "fixed"}


def test_a_predictor_at_a_temperature_keeps_its_mask():
    images = np.random.default_rng(3).random((2, 6, 6, 1)).astype("float32")
    plain = Fixed().predict(images)
    scaled = TemperatureScaling(Fixed(), 3.0)
    maps = scaled.predict(images)
    np.testing.assert_array_equal(maps.mask, plain.mask)
    np.testing.assert_allclose(maps.mean, scale_probabilities(plain.mean, 3.0))
    np.testing.assert_array_equal(maps.std, plain.std)
    np.testing.assert_allclose(maps.entropy, special.entr(maps.mean).sum(-1), rtol=1e-5)
    assert scaled.describe() == {"method": "temperature", "temperature": 3.0, "of": {"method": "fixed"}}
    same = TemperatureScaling(Fixed(), 1.0).predict(images)
    np.testing.assert_allclose(same.mean, plain.mean, atol=1e-6)


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match="temperature=0"):
        TemperatureScaling(Fixed(), 0)
    with pytest.raises(ValueError, match="temperature=nan"):
        TemperatureScaling(Fixed(), math.nan)
    with pytest.raises(ValueError, match="no voxel"):
        fit_temperature([])
    with pytest.raises(ValueError, match="again"):
        fit_temperature(iter([drawn(1.0, count=10)]))
    for bounds in ((2, 1), (1, 1), (0, 1), (1, math.inf), (1, math.nan), ("1", 2), (1,), 3):
        with pytest.raises(ValueError, match="bounds"):
            fit_temperature([drawn(1.0, count=10)], bounds=bounds)
    for temperature in (0, -1, 1e-9, math.inf, "2", None):
        with pytest.raises(ValueError, match=r"`temperature` to be a number in \[0.001, 1000\]"):
            scale_probabilities(np.full((2, 2, 1), 0.3), temperature)


LABELS, P = np.array([[0, 1], [1, 0]]), np.full((2, 2, 2), 0.5)


@pytest.mark.parametrize(
    ("labels", "p", "expected"),
    [
        (LABELS, P[:1], r"integers.*int64 \(2, 2\) and \(1, 2, 2\)"),
        (LABELS * 1.0, P, r"integers.*float64"),
        (LABELS + 1, P, "from 0 to 1. Received: 1 to 2"),
        (LABELS - 1, P[..., :1], "from 0 to 1. Received: -1 to 0"),
        (LABELS, P * math.nan, "100.00% of the values are NaN"),
        (LABELS, P * 3, "from 1.5 to 1.5"),
        (LABELS, P * 0.9, "sums from 0.9 to 0.9"),
        (LABELS, P.astype(str), "real numbers"),
        (LABELS, 0.5, "probabilities"),
    ],
)
def test_a_bad_case_is_named(labels, p, expected):
    with pytest.raises(ValueError, match=f"fit_temperature, case 2.*{expected}"):
        fit_temperature([(LABELS, P), (LABELS, P), (labels, p)])


def test_cases_are_pairs():
    with pytest.raises(ValueError, match="list of pairs. Received as case 0"):
        fit_temperature([LABELS])
    with pytest.raises(ValueError, match="list of pairs. Received: 5"):
        fit_temperature(5)


def test_cases_are_gone_through_as_often_as_the_search_needs():
    """The checks need no pass of their own, because lazy cases are loaded again in each pass."""
    labels, p = drawn(1.5, count=200)

    class Counted:
        passes = 0

        def __iter__(self):
            self.passes += 1
            return iter([(labels, p)])

    cases = Counted()
    fit_temperature(cases)
    assert cases.passes < 25


def test_half_precision_is_fitted_in_float32():
    """60,000 voxels: a sum in float16 ends at 65,504, and its logarithms have three digits."""
    labels, p = drawn(1.7, count=60_000)
    half = p.astype("float16")
    assert fit_temperature([(labels, half)]) == pytest.approx(fit_temperature([(labels, half.astype("float32"))]))
    assert fit_temperature([(labels, half)]) == pytest.approx(fit_temperature([(labels, p)]), rel=5e-3)
    scaled = scale_probabilities(p.astype("float16"), 2.0)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.sum(-1), 1, atol=1e-6)


def test_the_coldest_and_the_hottest_temperature():
    p = np.array([[0.3, 0.3, 0.4], [0.2, 0.5, 0.3]])
    np.testing.assert_allclose(scale_probabilities(p, 1e-3), [[0, 0, 1], [0, 1, 0]], atol=1e-9)
    np.testing.assert_allclose(scale_probabilities(p, 1e3), 1 / 3, atol=1e-3)
    np.testing.assert_allclose(scale_probabilities([[0.4], [0.6]], 1e-3), [[0], [1]], atol=1e-9)
