"""Measure how well uncertainty detects the errors of one case. Ties count as the mean over all their orders."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from keras_uq._kinds import Integer, argument
from keras_uq.metrics._checks import real


class RiskCoverage(NamedTuple):
    """A risk-coverage curve: the error rate of the most certain voxels against their share.

    Attributes:
        coverage: Shares of the voxels that are kept, rising to 1.
        risk: Error rate among the kept voxels, in `[0, 1]`.
        area: Mean risk over all coverages (AURC), in `[0, 1]`; lower is better. It grows with the error rate.
        excess_area: `area` minus that of the ideal order, in which every wrong voxel is less certain than every right
            voxel.
    """

    coverage: np.ndarray
    risk: np.ndarray
    area: float
    excess_area: float


def error_detection_auroc(uncertainty: npt.ArrayLike, error: npt.ArrayLike) -> float:
    """Return the area under the ROC curve: the probability that a wrong voxel is more uncertain than a right one.

    Args:
        uncertainty: A map of one case, any shape, such as `UncertaintyMaps.entropy`.
        error: Booleans of the same shape, true where the predicted mask differs from the label.

    Returns:
        A float in `[0, 1]`. An uncertainty that is unrelated to the errors gives 0.5. NaN if no voxel or every voxel is
        wrong. Over a whole scan the value is high for every network, because distant background is certain and right.

    Raises:
        ValueError: If the shapes differ, `error` is not Boolean, or the map is empty or not finite.

    Reference:
        Hendrycks and Gimpel (2017). Kethavath et al. (2025), Section 3.5, judge this relation by eye.
    """
    sizes, errors = _levels("error_detection_auroc", uncertainty, error)
    hits = sizes - errors
    if errors.sum() == 0 or hits.sum() == 0:
        return float("nan")
    below = np.cumsum(hits) - hits
    return float(errors @ (below + hits / 2) / (errors.sum() * hits.sum()))


def uncertainty_error_overlap(uncertainty: npt.ArrayLike, error: npt.ArrayLike) -> float:
    """Return the Dice score between the wrong voxels and an equal number of the most uncertain voxels.

    The arguments are those of `error_detection_auroc`.

    Returns:
        A float in `[0, 1]`. An uncertainty that is unrelated to the errors gives the error rate. NaN if no voxel is
        wrong.

    Reference:
        The uncertainty-error overlap of Jungo et al. (2020), with the threshold that makes both areas equal.
    """
    sizes, errors = (values[::-1] for values in _levels("uncertainty_error_overlap", uncertainty, error))
    wrong = errors.sum()
    if wrong == 0:
        return float("nan")
    before = np.cumsum(sizes) - sizes
    # Among the voxels with exactly the threshold's uncertainty, only a share is taken, with the same share of errors.
    taken = np.clip((wrong - before) / sizes, 0, 1)
    return float(errors @ taken / wrong)


def risk_coverage(uncertainty: npt.ArrayLike, error: npt.ArrayLike, points: int = 101) -> RiskCoverage:
    """Compute the error rate of the remaining voxels when the most uncertain voxels are removed.

    Args:
        uncertainty: As in `error_detection_auroc`.
        error: As in `error_detection_auroc`.
        points: Number of points of the curve, 2 or more, equally spaced in coverage. The areas are computed over all
            voxels.

    Returns:
        `RiskCoverage`.

    Reference:
        Geifman and El-Yaniv (2017); the excess area is from Geifman et al. (2019).
    """
    argument("risk_coverage", "points", points, Integer(least=2))
    sizes, errors = _levels("risk_coverage", uncertainty, error)
    kept = np.arange(1, sizes.sum() + 1)
    risk = np.cumsum(np.repeat(errors / sizes, sizes)) / kept
    ideal = np.maximum(kept - (kept[-1] - errors.sum()), 0) / kept
    selected = np.unique(np.ceil(np.linspace(1, kept[-1], points)).astype("int64")) - 1
    area = float(risk.mean())
    return RiskCoverage(kept[selected] / kept[-1], risk[selected], area, area - float(ideal.mean()))


def _levels(caller, uncertainty, error):
    """Number of voxels and of errors (float64) at each distinct value of the uncertainty, in rising order."""
    uncertainty, error = real(caller, "uncertainty", uncertainty), np.asarray(error)
    if uncertainty.shape != error.shape or error.dtype != bool or error.size == 0:
        raise ValueError(
            f"{caller} expects a map and Booleans of one shape, not empty. "
            f"Received: {uncertainty.shape}, {error.dtype} {error.shape}. Errors are `mask != predicted_mask`."
        )
    finite = np.isfinite(uncertainty)
    if not finite.all():
        raise ValueError(
            f"{caller} expects a finite uncertainty. Received: NaN or infinity in {1 - finite.mean():.2%} of the map."
        )
    _, level, sizes = np.unique(uncertainty.ravel(), return_inverse=True, return_counts=True)
    return sizes, np.bincount(level.ravel(), weights=error.ravel())
