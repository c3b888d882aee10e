"""Choose and apply a probability threshold for foreground, which trades precision for recall."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from keras_uq._kinds import Items, Number, argument
from keras_uq.inference._checks import check_probabilities, numbered_pairs

THRESHOLDS = tuple(step / 20 for step in range(1, 20))


def softmax_threshold(probabilities: npt.ArrayLike, threshold: float) -> np.ndarray:
    """Return the mask of all voxels with at least this foreground probability.

    Args:
        probabilities: `(*spatial, classes)`. One class is the probability of foreground. Of several, channel 0 is
            background, and the probability of foreground is the sum of the others.
        threshold: In [0, 1]; `p >= threshold` is foreground. Lower thresholds raise recall and lower precision.

    Returns:
        Booleans `(*spatial)`.

    Raises:
        ValueError: If the threshold or a probability is NaN or lies outside [0, 1], or if classes do not sum to 1.

    Reference:
        Yeung et al. (2021), Section III-D. Their Eq. 10 prints the inequality the other way round.
    """
    threshold = argument("softmax_threshold", "threshold", threshold, Number(0, 1))
    return _foreground(check_probabilities("softmax_threshold", probabilities)) >= threshold


def _foreground(probabilities):
    return probabilities[..., 0] if probabilities.shape[-1] == 1 else probabilities[..., 1:].sum(axis=-1)


class Operating(NamedTuple):
    """An operating point: a threshold with its mean recall and precision over the cases it was chosen on."""

    threshold: float
    recall: float
    precision: float


def choose_threshold(
    cases: Iterable[tuple[npt.ArrayLike, npt.ArrayLike]],
    target_recall: float,
    thresholds: Iterable[float] = THRESHOLDS,
) -> Operating:
    """Choose the highest threshold that reaches a mean recall.

    Choose it on validation cases and report on others, because the choice fits the threshold to its cases.

    Args:
        cases: One pair per case: a Boolean mask `(*spatial)` and probabilities `(*spatial, classes)`. Cases with an
            empty mask have no recall and do not enter its mean.
        target_recall: Mean recall over cases to reach, in (0, 1].
        thresholds: Candidate thresholds, at least one, each in [0, 1].

    Returns:
        `Operating`. The mean precision is over the cases in which something is predicted.

    Raises:
        ValueError: If an argument is out of its range, if mask and probabilities of a case are not what is described
            here (the message names the case by its number), if no case has foreground, or if no candidate reaches the
            target; the message then names the best recall.

    Reference:
        Yeung et al. (2021), Section III-D.
    """
    target_recall = argument("choose_threshold", "target_recall", target_recall, Number(above=0, most=1))
    thresholds = thresholds if isinstance(thresholds, str) else list(thresholds)
    candidates = argument("choose_threshold", "thresholds", thresholds, Items(Number(0, 1), least=1))
    candidates = sorted(candidates, reverse=True)
    recalls, precisions = [], []
    for caller, mask, probabilities in numbered_pairs("choose_threshold", cases):
        mask, probabilities = np.asarray(mask), check_probabilities(caller, probabilities)
        if mask.dtype != bool or mask.shape != probabilities.shape[:-1]:
            raise ValueError(
                f"{caller} expects a Boolean mask (*spatial) and probabilities (*spatial, classes). Received: "
                f"{mask.dtype} {mask.shape} and {probabilities.shape}. For class numbers, pass `labels > 0`."
            )
        foreground = _foreground(probabilities)
        predicted = [foreground >= threshold for threshold in candidates]
        hits = np.array([np.count_nonzero(mask & predicted_mask) for predicted_mask in predicted])
        sizes = np.array([np.count_nonzero(predicted_mask) for predicted_mask in predicted])
        recalls.append(hits / mask.sum() if mask.any() else np.full(len(candidates), np.nan))
        precisions.append(np.divide(hits, sizes, out=np.full(len(candidates), np.nan), where=sizes > 0))
    if not recalls or np.isnan(recalls).all():
        raise ValueError("No case has foreground, so there is no recall to choose by.")
    recall, precision = np.nanmean(recalls, axis=0), _mean(np.array(precisions))
    for index, threshold in enumerate(candidates):
        if recall[index] >= target_recall:
            return Operating(float(threshold), float(recall[index]), float(precision[index]))
    raise ValueError(
        f"No threshold reaches a recall of {target_recall:g}: at {candidates[-1]:g} it is {recall[-1]:.3f}. Ask for "
        "less, offer lower thresholds, or train with a loss that favours recall."
    )


def _mean(values):
    """Means over cases, ignoring NaN; NaN in a column without numbers."""
    defined = ~np.isnan(values)
    return np.divide(
        np.where(defined, values, 0).sum(axis=0),
        defined.sum(axis=0),
        out=np.full(values.shape[1], np.nan),
        where=defined.any(axis=0),
    )
