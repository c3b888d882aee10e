"""The maps against hand-worked values, and against memory that grows."""

import subprocess
import sys

import numpy as np
import pytest

from keras_uq.inference import Ensemble, UncertaintyMaps
from keras_uq.inference.maps import MapSum
from tests.reference import VALUES, checks

PASSES = np.array(VALUES["inputs"]["MC"]["passes"], "float32")[:, None, ..., None]


def maps_of(passes):
    total = MapSum()
    for sample in passes:
        total.add(sample)
    return total.maps()


def value(quantity):
    (check,) = checks(quantity)
    return np.array(check["expected"])


def test_maps_of_four_passes_worked_by_hand():
    maps = maps_of(PASSES)
    np.testing.assert_allclose(maps.mean[0, ..., 0], value("predictive_mean map"), rtol=1e-6)
    entropy = value("predictive_entropy map (both classes, natural log)")
    np.testing.assert_allclose(maps.entropy[0], entropy, rtol=2e-5)
    np.testing.assert_allclose(maps.variance[0, ..., 0], value("prediction variance map (Eq. 8, 1/N)"), rtol=1e-4)
    np.testing.assert_allclose(maps.expected_entropy[0], value("mean of per-pass entropies"), rtol=2e-5)
    np.testing.assert_allclose(maps.mutual_information[0], value("mutual information map (Eq. 10)"), atol=1e-6)


def test_mutual_information_is_the_mean_divergence_from_the_mean():
    maps, passes = maps_of(PASSES), PASSES.astype("float64")
    both = np.concatenate([1 - passes, passes], -1)
    mean = both.mean(0)
    divergence = (both * np.log(both / mean)).sum(-1).mean(0)
    np.testing.assert_allclose(maps.mutual_information, divergence, atol=1e-6)


def test_two_channels_say_the_same_as_one():
    one = maps_of(PASSES)
    two = maps_of(np.concatenate([1 - PASSES, PASSES], -1))
    for name in ("entropy", "expected_entropy", "mutual_information"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), atol=1e-6)
    np.testing.assert_array_equal(one.mask, two.mask)


def test_certain_predictions_have_no_uncertainty():
    certain = np.zeros((3, 2, 4, 4, 1), "float32")
    certain[:, 0] = 1
    maps = maps_of(certain)
    assert maps.entropy.max() < 1e-5
    assert maps.std.max() == 0
    np.testing.assert_array_equal(maps.mask[:, 0, 0], [1, 0])


def test_wrong_samples_are_refused():
    total = MapSum()
    with pytest.raises(ValueError, match="no sample"):
        total.maps()
    with pytest.raises(ValueError, match="probabilities"):
        total.add(np.full((1, 2, 2, 1), np.nan))
    total = MapSum()
    total.add(PASSES[0])
    with pytest.raises(ValueError, match="shape"):
        total.add(PASSES[0][:, :2])


def test_an_ensemble_of_one_has_no_spread_and_none_is_refused():
    class Fixed:
        def draw(self, images, batch_size, case):
            yield from PASSES[:1]

        def describe(self):
            return {"method": "fixed"}

    maps = Ensemble([Fixed()]).predict(np.zeros((1, 4, 4, 1)))
    assert isinstance(maps, UncertaintyMaps)
    assert maps.std.max() == 0
    with pytest.raises(ValueError, match="at least one model"):
        Ensemble([])


MEMORY = """
import resource, sys
import numpy as np
from keras_uq import models
from keras_uq.inference import MCDropout
predictor = MCDropout(models.kethavath2025((64, 64, 1), filters=4), samples=int(sys.argv[1]), seed=0)
predictor.predict(np.zeros((48, 64, 64, 1), "float32"), batch_size=8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_samples():
    peak = {}
    for samples in (20, 200):
        done = subprocess.run([sys.executable, "-c", MEMORY, str(samples)], capture_output=True, text=True, check=True)
        peak[samples] = int(done.stdout)
    # 180 more samples of this volume would take 142 MB if they were kept.
    assert peak[200] < 1.05 * peak[20], peak
