"""Surface distances against hand-worked values, a slow twin, and known shapes."""

import itertools
import math

import numpy as np
import pytest

from keras_uq import metrics
from keras_uq.metrics import surface
from tests.reference import VALUES


def expected(identity):
    return next(check["expected"] for check in VALUES["checks"] if check["id"] == identity)


def slow_distances(mask, other, spacing):
    """Pair by pair."""

    def on_surface(m):
        found = []
        for at in itertools.product(*map(range, m.shape)):
            around = [
                tuple(np.add(at, sign * np.eye(m.ndim, dtype=int)[axis])) for axis in range(m.ndim) for sign in (1, -1)
            ]
            inside = [all(0 <= x < n for x, n in zip(to, m.shape)) and m[to] for to in around]
            if m[at] and not all(inside):
                found.append(np.array(at) * spacing)
        return found

    one, two = on_surface(mask), on_surface(other)
    return [[min(float(np.linalg.norm(a - b)) for b in to) for a in of] for of, to in ((one, two), (two, one))]


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 0.5)])
def test_values_worked_by_hand(spacing):
    a, b = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    a[2:6, 2:6] = True
    b[3:7, 1:6] = True
    found = metrics.hausdorff95(a, b, spacing)
    assert found == pytest.approx(expected(f"m.hd95.sp{spacing[0]}x{spacing[1]}"), rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_against_a_slow_twin(seed):
    rng = np.random.default_rng(seed)
    shape, spacing = ((7, 8, 6), (2.5, 0.8, 1.1)) if seed % 2 else ((13, 12), (0.7, 1.9))
    a, b = (rng.random(shape) < 0.3 for _ in range(2))
    there, back = slow_distances(a, b, spacing)
    directed = max(np.percentile(there, 95), np.percentile(back, 95))
    assert metrics.hausdorff95(a, b, spacing) == pytest.approx(directed, rel=1e-9)
    pooled = metrics.hausdorff95(a, b, spacing, convention="pooled")
    assert pooled == pytest.approx(np.percentile(there + back, 95), rel=1e-9)
    mean = metrics.average_surface_distance(a, b, spacing)
    assert mean == pytest.approx(np.mean(there + back), rel=1e-9)


def test_a_box_moved_by_so_many_millimetres_is_so_far_away():
    a = np.zeros((20, 30, 30), bool)
    a[5:12, 8:20, 8:20] = True
    b = np.roll(a, 4, axis=0)
    assert metrics.hausdorff95(a, b, (3.0, 1.0, 1.0)) == pytest.approx(12.0)
    assert metrics.hausdorff95(a, a, (3.0, 1.0, 1.0)) == 0
    assert metrics.average_surface_distance(a, a, (3.0, 1.0, 1.0)) == 0


def test_a_missed_case_has_the_value_that_was_asked_for_and_is_counted():
    full, none = np.ones((3, 4, 4), bool), np.zeros((3, 4, 4), bool)
    assert math.isnan(metrics.hausdorff95(full, none, (1, 1, 1)))
    assert metrics.hausdorff95(full, none, (1, 1, 1), empty=99.0) == 99
    assert metrics.average_surface_distance(none, full, (1, 1, 1), empty=99.0) == 99
    assert math.isnan(metrics.hausdorff95(none, none, (1, 1, 1), empty=99.0))
    assert metrics.average_cases([1.0, math.nan, 3.0]) == (2.0, 2, 1)
    mean, known, missing = metrics.average_cases([math.nan])
    assert math.isnan(mean)
    assert (known, missing) == (0, 1)


def test_wrong_use_is_refused():
    mask = np.ones((4, 4), bool)
    with pytest.raises(ValueError, match="convention='mean'"):
        metrics.hausdorff95(mask, mask, (1, 1), convention="mean")
    with pytest.raises(ValueError, match="Boolean"):
        metrics.hausdorff95(mask.astype(int), mask, (1, 1))
    with pytest.raises(ValueError, match="spacing"):
        metrics.hausdorff95(mask, mask, (1, 1, 1))


def test_the_box_of_the_paper():
    labels = np.zeros((6, 40, 40), int)
    labels[2:4, 10:15, 20:30] = 1
    labels[3, 12, 33] = 2
    box = metrics.bounding_box(labels, (3.0, 2.0, 2.0))
    assert [[part.start, part.stop - 1] for part in box] == expected("m.bbox")


def test_a_box_stays_in_the_image_and_follows_the_spacing_of_each_axis():
    labels = np.zeros((3, 50, 50), bool)
    labels[1, 2, 25] = True
    box = metrics.bounding_box(labels, (5.0, 0.8, 1.5), margin=8, slices=1)
    assert box == (slice(0, 3), slice(0, 13), slice(19, 32))
    assert metrics.bounding_box(labels[1], (0.8, 1.5), margin=0) == (slice(2, 3), slice(25, 26))
    nowhere = metrics.bounding_box(np.zeros((3, 5, 5), bool), (1, 1, 1))
    assert labels[nowhere].size == 0
    with pytest.raises(ValueError, match="spacing"):
        metrics.bounding_box(labels, (1.0, 0.0, 1.0))


def ball(shape, centre, radius, spacing):
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return (((places - centre) * spacing) ** 2).sum(axis=-1) < radius**2


@pytest.mark.parametrize("moved", [(0, 2, -1), (0, 0, 0), (3, 25, 22)])
def test_both_ways_to_the_nearest_voxel_agree(moved):
    """Close and thin surfaces go by a tree, others by the distance transform."""
    spacing = (2.0, 0.9, 1.1)
    one = ball((24, 60, 60), np.array((11, 22, 22)), 15, spacing)
    other = ball((24, 60, 60), np.array((11, 22, 22)) + moved, 13, spacing)
    box = surface._union_box(one, other)
    pair = [surface._surface(mask, box) for mask in (one, other)]
    assert max(np.count_nonzero(of) for of in pair) <= surface.THIN * pair[0].size
    for there, back in (pair, pair[::-1]):
        by_transform = surface._by_transform(there, back, spacing)
        np.testing.assert_allclose(surface._to_nearest(there, back, spacing), by_transform, rtol=1e-12, atol=1e-12)
