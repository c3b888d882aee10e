"""What the NumPy metrics refuse: each error names the function, what it expected and what it received."""

import math
import re

import numpy as np
import pytest

from keras_uq import metrics

MASK = np.zeros((4, 8, 8), bool)
MASK[1:3, 2:5, 2:5] = True
MOVED = np.roll(MASK, 1, 1)
MAP = np.linspace(0, 1, MASK.size).reshape(MASK.shape)
NAN = MAP.copy()
NAN[0, 0, 0] = math.nan
TWO = np.stack([1 - MAP, MAP], axis=-1)


def added(probabilities=TWO, labels=MASK):
    calibration = metrics.Calibration()
    calibration.add(labels, probabilities)
    return calibration


REFUSED = {
    # Masks.
    "none": (lambda: metrics.dice(None, MASK), "dice expects two masks of one shape.*() and (4, 8, 8)"),
    "text masks": (
        lambda: metrics.dice(np.full((2, 2), "a"), np.ones((2, 2), bool)),
        "dice expects Boolean masks.*<U1",
    ),
    "labels": (lambda: metrics.jaccard(MASK.astype(int), MASK), "jaccard expects Boolean masks.*labels == 1"),
    "no axis": (
        lambda: metrics.hausdorff95(np.array(True), np.array(True), ()),
        "hausdorff95 expects.*at least one axis",
    ),
    # Numbers of a range.
    "beta 0": (lambda: metrics.f_beta(MASK, MASK, 0), "f_beta expects `beta` to be a number in (0, 1000]"),
    "beta NaN": (lambda: metrics.f_beta(MASK, MASK, math.nan), "f_beta expects `beta`.*nan"),
    "beta infinite": (lambda: metrics.f_beta(MASK, MASK, math.inf), "f_beta expects `beta`.*inf"),
    "beta text": (lambda: metrics.f_beta(MASK, MASK, "2"), "f_beta expects `beta`.*'2'"),
    "points": (lambda: metrics.risk_coverage(MAP, MASK, 1), "risk_coverage expects `points`.*points=1"),
    "least": (lambda: metrics.segment_components(TWO, 0), "segment_components expects `least`.*least=0"),
    "margin": (lambda: metrics.bounding_box(MASK, (1, 1, 1), -1), "bounding_box expects `margin`.*margin=-1"),
    "margin NaN": (lambda: metrics.bounding_box(MASK, (1, 1, 1), math.nan), "bounding_box expects `margin`.*nan"),
    "slices": (lambda: metrics.bounding_box(MASK, (1, 1, 1), 1, 1.5), "bounding_box expects `slices`.*slices=1.5"),
    "empty": (lambda: metrics.hausdorff95(MASK, ~MASK, (1, 1, 1), empty=None), "`empty` to be a number.*empty=None"),
    "bins": (lambda: added().ece(bins=True), "Calibration expects `bins`.*bins=True"),
    "kind": (lambda: added().ece(kind=["class"]), "Calibration expects `kind`.*kind=['class']"),
    "mode": (lambda: added().nll("half"), "Calibration.nll expects `mode`.*mode='half'"),
    # Spacings.
    **{
        f"spacing {spacing!r}": (
            lambda spacing=spacing: metrics.hausdorff95(MASK, MOVED, spacing),
            "hausdorff95 expects `spacing` to be 3 values, each a number above 0 millimetres. Received: spacing=",
        )
        for spacing in ((1, 1), (0, 1, 1), (math.nan, 1, 1), (math.inf, 1, 1), (-1, 1, 1), 1.0, "abc", None, ("1",) * 3)
    },
    "spacing of a mean": (
        lambda: metrics.average_surface_distance(MASK, MOVED, (1, math.nan, 1)),
        "average_surface_distance expects `spacing`",
    ),
    "spacing of a box": (lambda: metrics.bounding_box(MASK, 2.0), "bounding_box expects `spacing`.*spacing=2.0"),
    # Labels are whole numbers.
    "float labels of a box": (lambda: metrics.bounding_box(MAP, (1, 1, 1)), "bounding_box expects labels.*float64"),
    "float labels": (lambda: added(labels=MASK * 1.0), "Calibration.add expects class numbers.*float64"),
    # Probabilities.
    "soft NaN": (lambda: metrics.soft_counts(MASK, NAN), "soft_counts expects `probability`.*NaN in 1 of 256"),
    "soft logits": (lambda: metrics.soft_counts(MASK, 5 * MAP), "soft_counts expects `probability`.*0.0 to 5.0"),
    "soft complex": (lambda: metrics.soft_counts(MASK, MAP * 1j), "soft_counts expects `probability`.*complex128"),
    "segment text": (
        lambda: metrics.segment_entropy(np.full((2, 2), "a")),
        "`probabilities` to be an array of numbers",
    ),
    "segment NaN": (lambda: metrics.segment_entropy(TWO * math.nan), "segment_entropy expects.*NaN in 512 of 512"),
    "segment sums": (lambda: metrics.segment_entropy(TWO / 2), "segment_entropy expects.*sum to 1.*by up to 0.5"),
    "segment shape": (lambda: metrics.segment_entropy(np.zeros(5)), r"segment_entropy expects.*(*spatial, classes)"),
    "segment classes": (lambda: metrics.segment_entropy(np.zeros((5, 0))), "segment_entropy expects.*shape=(5, 0)"),
    "calibration NaN": (lambda: added(TWO * math.nan), "Calibration.add expects `probabilities`.*NaN in 512 of 512"),
    "calibration sums": (lambda: added(TWO / 2), "Calibration.add expects.*sum to 1"),
    "calibration text": (lambda: added(np.full(TWO.shape, "a")), "Calibration.add expects `probabilities`.*numbers"),
    "calibration number": (lambda: added(0.5, True), "Calibration.add expects class numbers.*()"),
    "calibration without classes": (lambda: added(np.zeros((3, 0)), np.zeros(3, int)), "(3, 0)"),
    # What is averaged.
    "map NaN": (lambda: metrics.map_statistics(NAN), "map_statistics expects finite numbers.*in 0.39% of the map"),
    "map text": (lambda: metrics.map_statistics([["a"]]), "map_statistics expects `volume` to be an array of numbers"),
    "pool of nothing": (lambda: metrics.pool_statistics([]), "pool_statistics expects one `MapStatistics`"),
    "pool of NaN": (
        lambda: metrics.pool_statistics([metrics.map_statistics(MAP)._replace(mean=math.nan)]),
        "pool_statistics expects one `MapStatistics` of finite numbers",
    ),
    "average of None": (lambda: metrics.average_cases([1.0, None]), "average_cases expects one number per case.*None"),
    "average of text": (lambda: metrics.average_cases(["0.5"]), "average_cases expects one number per case.*'0.5'"),
    "uncertainty NaN": (
        lambda: metrics.error_detection_auroc(NAN, MASK),
        "error_detection_auroc expects a finite uncertainty.*in 0.39% of the map",
    ),
    "uncertainty text": (
        lambda: metrics.uncertainty_error_overlap(np.full(MASK.shape, "a"), MASK),
        "uncertainty_error_overlap expects `uncertainty` to be an array of numbers",
    ),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_is_refused(call, message):
    with pytest.raises(ValueError, match=r".*".join(map(re.escape, message.split(".*")))):
        call()


def test_calibrations_are_added_to_calibrations():
    with pytest.raises(TypeError, match=r"expects another Calibration. Received: 3"):
        added() + 3


def test_arrays_are_spacings_and_half_precision_is_a_distribution():
    assert metrics.hausdorff95(MASK, MOVED, np.float32([2, 1, 1])) == 1
    np.testing.assert_allclose(metrics.segment_entropy(TWO.astype("float16")), metrics.segment_entropy(TWO), rtol=1e-3)
    assert metrics.average_cases([1.0, math.inf, math.nan]) == (math.inf, 2, 1)
