"""Masks from probabilities at a threshold of one's own: precision for recall."""

from typing import NamedTuple

import numpy as np

THRESHOLDS = tuple(step / 20 for step in range(1, 20))


def softmax_threshold(probabilities, threshold):
    """Mask of what is foreground with at least this probability.

    Args:
        probabilities: `(*spatial, classes)`: one class is the probability of foreground, else channel 0 is background
            and foreground is the rest together.
        threshold: In [0, 1]; `p >= threshold` is foreground. Lower ones find more and are wrong more often.

    Returns:
        Booleans `(*spatial)`.

    Reference:
        Yeung et al. (2021), Section III-D. Their Eq. 10 prints the inequality the other way round.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"Expected a threshold in [0, 1]. Received: threshold={threshold!r}.")
    probabilities = np.asarray(probabilities)
    foreground = probabilities[..., 0] if probabilities.shape[-1] == 1 else probabilities[..., 1:].sum(axis=-1)
    return foreground >= threshold


class Operating(NamedTuple):
    """A threshold and what it gave on the cases it was chosen on: means over cases."""

    threshold: float
    recall: float
    precision: float


def choose_threshold(cases, target_recall, thresholds=THRESHOLDS):
    """The highest threshold that still finds enough.

    Choose on validation cases and report on others: a threshold is fitted like a weight.

    Args:
        cases: Pairs of a Boolean mask `(*spatial)` and probabilities `(*spatial, classes)`, one a case. Cases with an
            empty mask have no recall and are left out of its mean.
        target_recall: Mean recall over cases to reach, in (0, 1].
        thresholds: Candidates.

    Returns:
        `Operating`. `precision` leaves out cases where nothing is predicted.

    Raises:
        ValueError: If no case has foreground, or no candidate reaches the target; the message names the best.

    Reference:
        Yeung et al. (2021), Section III-D.
    """
    if not 0 < target_recall <= 1:
        raise ValueError(f"Expected a target in (0, 1]. Received: target_recall={target_recall!r}.")
    candidates = sorted(thresholds, reverse=True)
    recalls, precisions = [], []
    for mask, probabilities in cases:
        mask = np.asarray(mask, dtype=bool)
        predicted = [softmax_threshold(probabilities, threshold) for threshold in candidates]
        found = np.array([np.count_nonzero(mask & each) for each in predicted])
        sizes = np.array([np.count_nonzero(each) for each in predicted])
        recalls.append(found / mask.sum() if mask.any() else np.full(len(candidates), np.nan))
        precisions.append(np.divide(found, sizes, out=np.full(len(candidates), np.nan), where=sizes > 0))
    if not recalls or np.isnan(recalls).all():
        raise ValueError("No case has foreground, so there is no recall to choose by.")
    recall, precision = np.nanmean(recalls, axis=0), _mean(np.array(precisions))
    for place, threshold in enumerate(candidates):
        if recall[place] >= target_recall:
            return Operating(float(threshold), float(recall[place]), float(precision[place]))
    raise ValueError(
        f"No threshold reaches a recall of {target_recall:g}: at {candidates[-1]:g} it is {recall[-1]:.3f}. Ask for "
        "less, offer lower thresholds, or train with a loss that finds more."
    )


def _mean(values):
    """Means over cases without NaN; NaN where there is nothing else."""
    known = ~np.isnan(values)
    return np.divide(
        np.where(known, values, 0).sum(axis=0),
        known.sum(axis=0),
        out=np.full(values.shape[1], np.nan),
        where=known.any(axis=0),
    )
