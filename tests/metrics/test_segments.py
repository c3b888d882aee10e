"""Segment entropy against hand-worked values, SciPy and itself in parts."""

import math

import numpy as np
import pytest
from scipy import stats

from keras_uq import metrics
from tests.reference import VALUES


def expected(identity):
    return next(check["expected"] for check in VALUES["checks"] if check["id"] == identity)


def test_values_worked_by_hand():
    p = np.array(VALUES["inputs"]["A"]["p"])
    found = metrics.segment_entropy(p[..., np.newaxis])
    np.testing.assert_allclose(found, [expected("m.segment_entropy.A")], rtol=1e-9)
    found = metrics.segment_entropy(np.array(VALUES["inputs"]["M"]["p"]))
    np.testing.assert_allclose(found, [expected(f"m.segment_entropy.M.{value}") for value in (1, 2)], rtol=1e-9)


def test_agrees_with_scipy_and_says_nothing_of_an_empty_segment():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([3, 2, 1e-9], (5, 6, 7))
    found = metrics.segment_entropy(p)
    inside = p[..., 1][p.argmax(-1) == 1]
    assert found[0] == pytest.approx(np.mean([stats.entropy([x, 1 - x]) for x in inside]), rel=1e-6)
    assert math.isnan(found[1])


def test_certain_and_uncertain_segments():
    p = np.zeros((4, 4, 1))
    p[:2] = 1.0
    assert metrics.segment_entropy(p)[0] == pytest.approx(0, abs=1e-5)
    p[:2] = 0.5
    assert metrics.segment_entropy(p)[0] == pytest.approx(math.log(2))


def test_components_are_parts_of_the_segment():
    p = np.zeros((3, 12, 12, 1), "float32")
    p[0, 1:3, 1:3] = 0.9
    p[1:, 6:11, 6:11] = 0.6
    p[0, 11, 0] = 0.8
    found = metrics.segment_components(p)
    assert [(part.label, part.voxels) for part in found] == [(1, 50), (1, 4), (1, 1)]
    assert found[0].box == (slice(1, 3), slice(6, 11), slice(6, 11))
    together = sum(part.voxels * part.entropy for part in found) / sum(part.voxels for part in found)
    assert together == pytest.approx(metrics.segment_entropy(p)[0], rel=1e-6)
    assert [part.voxels for part in metrics.segment_components(p, least=4)] == [50, 4]
    assert metrics.segment_components(np.zeros((2, 2, 1))) == []


def test_logits_are_refused():
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        metrics.segment_entropy(np.full((3, 3, 2), 4.0))
