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


def test_samples_are_made_exclusive_one_by_one(networks):
    predictor = MCDropout(networks[0], samples=3, seed=0, multilabel=True)
    plain = MCDropout(networks[0], samples=3, seed=0)
    samples = [exclusive(sample) for sample in plain.draw(IMAGES)]
    maps = predictor.predict(IMAGES)
    np.testing.assert_allclose(maps.mean, np.mean(samples, axis=0), atol=1e-6)
    np.testing.assert_allclose(list(predictor.draw(IMAGES)), samples, atol=1e-6)
    assert predictor.describe()["channels"] != plain.describe().get("channels")
