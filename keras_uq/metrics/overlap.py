"""Overlap of a mask and a predicted mask: each score is a ratio of the four voxel counts of one case."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from keras_uq._kinds import Number, argument
from keras_uq.metrics._checks import two_masks, within_0_and_1


class Counts(NamedTuple):
    """Voxel counts of one case: true positives, false positives, false negatives, true negatives."""

    tp: int
    fp: int
    fn: int
    tn: int


def confusion_counts(mask: npt.ArrayLike, predicted_mask: npt.ArrayLike) -> Counts:
    """Count the true and false positives and negatives of one case.

    Args:
        mask: Booleans, any shape.
        predicted_mask: Booleans, same shape.

    Returns:
        `Counts`, exact integers.

    Raises:
        ValueError: If the shapes differ or an array is not Boolean.
    """
    return _counts("confusion_counts", mask, predicted_mask)


def _counts(caller, mask, predicted_mask):
    mask, predicted_mask = two_masks(caller, mask, predicted_mask)
    tp = int(np.count_nonzero(mask & predicted_mask))
    fp = int(np.count_nonzero(predicted_mask)) - tp
    fn = int(np.count_nonzero(mask)) - tp
    return Counts(tp, fp, fn, mask.size - tp - fp - fn)


def dice(mask: npt.ArrayLike, predicted_mask: npt.ArrayLike) -> float:
    """Return the Dice score of one case.

    Args:
        mask: Booleans, any shape.
        predicted_mask: Booleans, same shape.

    Returns:
        `2 TP / (2 TP + FP + FN)`, a float in `[0, 1]`; NaN if both masks are empty, so that `np.nanmean` ignores the
        case.
    """
    tp, fp, fn, _ = _counts("dice", mask, predicted_mask)
    return _ratio(2 * tp, 2 * tp + fp + fn)


def jaccard(mask: npt.ArrayLike, predicted_mask: npt.ArrayLike) -> float:
    """Return the Jaccard score `TP / (TP + FP + FN)`; NaN if both masks are empty. Arguments as in `dice`."""
    tp, fp, fn, _ = _counts("jaccard", mask, predicted_mask)
    return _ratio(tp, tp + fp + fn)


def sensitivity(mask: npt.ArrayLike, predicted_mask: npt.ArrayLike) -> float:
    """Return the sensitivity (recall) `TP / (TP + FN)`; NaN if the mask is empty. Arguments as in `dice`."""
    tp, _, fn, _ = _counts("sensitivity", mask, predicted_mask)
    return _ratio(tp, tp + fn)


def specificity(mask: npt.ArrayLike, predicted_mask: npt.ArrayLike) -> float:
    """Return the specificity `TN / (TN + FP)`; NaN if the mask fills the image. Arguments as in `dice`."""
    _, fp, _, tn = _counts("specificity", mask, predicted_mask)
    return _ratio(tn, tn + fp)


def precision(mask: npt.ArrayLike, predicted_mask: npt.ArrayLike) -> float:
    """Return the precision `TP / (TP + FP)`; NaN if nothing is predicted. Arguments as in `dice`."""
    tp, fp, _, _ = _counts("precision", mask, predicted_mask)
    return _ratio(tp, tp + fp)


def f_beta(mask: npt.ArrayLike, predicted_mask: npt.ArrayLike, beta: float = 1.0) -> float:
    """Return the F-beta score of one case, in which sensitivity counts `beta` times as much as precision.

    Args:
        mask: Booleans, any shape.
        predicted_mask: Booleans, same shape.
        beta: Number in (0, 1000]; 1 gives the Dice score.

    Returns:
        `(1 + b) TP / ((1 + b) TP + b FN + FP)` with `b = beta ** 2`, a float in `[0, 1]`; NaN if both masks are empty.

    Reference:
        Zhang et al. (2025) report F2 without a formula: 5 TP / (5 TP + 4 FN + FP).
    """
    argument("f_beta", "beta", beta, Number(above=0, most=1000))
    tp, fp, fn, _ = _counts("f_beta", mask, predicted_mask)
    square = beta**2
    return _ratio((1 + square) * tp, (1 + square) * tp + square * fn + fp)


def soft_counts(mask: npt.ArrayLike, probability: npt.ArrayLike) -> tuple[float, float, float]:
    """Return the sums of one case from which a soft Dice score can be pooled over cases.

    Args:
        mask: Booleans, any shape.
        probability: Foreground probability, same shape.

    Returns:
        `(overlap, predicted, labelled)`: the float64 sums of `p g`, `p` and `g`. The pooled soft Dice of Kethavath et
        al. (2025), Eq. 12, is `2 sum(overlap) / (sum(predicted) + sum(labelled))`.

    Raises:
        ValueError: If the shapes differ, the mask is not Boolean, or a probability lies outside [0, 1].
    """
    mask, probability = np.asarray(mask), within_0_and_1("soft_counts", "probability", probability)
    if mask.shape != probability.shape or mask.dtype != bool:
        raise ValueError(
            "soft_counts expects a Boolean mask and a map of one shape. "
            f"Received: {mask.dtype} {mask.shape}, {probability.shape}."
        )
    return (
        float(np.sum(probability[mask], dtype="float64")),
        float(np.sum(probability, dtype="float64")),
        float(np.count_nonzero(mask)),
    )


def _ratio(numerator, denominator):
    return numerator / denominator if denominator else float("nan")
