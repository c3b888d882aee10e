"""Independent channels become one probability a class, whatever the predictor."""

import keras
import numpy as np
import pytest

from keras_uq import models
from keras_uq.inference import Ensemble, MCDropout, exclusive

IMAGES = np.random.default_rng(0).random((3, 16, 16, 1)).astype("float32")


def test_the_background_is_where_no_class_is():
    p = np.array([[0.2, 0.5], [0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    found = exclusive(p)
    np.testing.assert_allclose(found[0], np.array([0.4, 0.2, 0.5]) / 1.1)
    np.testing.assert_allclose(found[1:], [[1, 0, 0], [0, 0.5, 0.5], [0, 1, 0]])
    np.testing.assert_allclose(found.sum(-1), 1)


def test_one_channel_is_a_pair():
    p = np.random.default_rng(1).random((4, 5, 1)).astype("float32")
    found = exclusive(p)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.concatenate([1 - p, p], -1), rtol=1e-6)


@pytest.fixture(scope="module")
def networks():
    keras.utils.set_random_seed(0)
    small = {"filters": 2, "classes": 2, "multilabel": True, "mc_dropout": True}
    return [models.mehrtash2020((16, 16, 1), **small) for _ in range(2)]


def test_members_are_made_exclusive_before_their_mean(networks):
    maps = Ensemble(networks, multilabel=True).predict(IMAGES)
    members = [exclusive(keras.ops.convert_to_numpy(network(IMAGES))) for network in networks]
    np.testing.assert_allclose(maps.mean, np.mean(members, axis=0), atol=1e-5)
    assert maps.mean.shape == (3, 16, 16, 3)


def test_samples_are_made_exclusive_one_by_one(networks, monkeypatch):
    predictor = MCDropout(networks[0], samples=3, seed=0, multilabel=True)
    plain = MCDropout(networks[0], samples=3, seed=0)
    with monkeypatch.context() as patched:
        patched.setattr("keras_uq.inference.mc_dropout.exclusive", lambda channels: channels)
        samples = [exclusive(channels) for channels in predictor.draw(IMAGES)]
    maps = predictor.predict(IMAGES)
    np.testing.assert_allclose(maps.mean, np.mean(samples, axis=0), atol=1e-6)
    np.testing.assert_allclose(list(predictor.draw(IMAGES)), samples, atol=1e-6)
    assert predictor.describe()["channels"] != plain.describe().get("channels")


def test_independent_channels_are_not_taken_for_a_distribution(networks):
    for predictor in (MCDropout(networks[0], samples=2, seed=0), Ensemble(networks)):
        with pytest.raises(ValueError, match=r"2 classes must sum to 1.*sums from .* multilabel=True"):
            predictor.predict(IMAGES)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_sums_are_at_least_float32(kind):
    # 200 channels of 0.01: the background is 0.99 ** 200 = 0.134, and the sum 2.134.
    result = exclusive(np.full((1, 200), 0.01, kind))
    assert result.dtype == ("float64" if kind == "float64" else "float32")
    p = float(np.array(0.01, kind))
    np.testing.assert_allclose(result[0, 0], (1 - p) ** 200 / ((1 - p) ** 200 + 200 * p), rtol=1e-5)


def test_what_is_no_probability_is_not_made_exclusive():
    with pytest.raises(ValueError, match="exclusive: expected probabilities.*from 0 to 2"):
        exclusive([[0.0, 2.0]])
    with pytest.raises(ValueError, match="exclusive: expected probabilities.*50.00% of the values are NaN"):
        exclusive([[0.0, np.nan]])
    with pytest.raises(ValueError, match=r"exclusive expects probabilities.*shape=\(3, 0\)"):
        exclusive(np.zeros((3, 0)))
