"""Does uncertainty lie where the errors are? Measures of one case, exact under ties (mean over their orders)."""

from typing import NamedTuple

import numpy as np


class RiskCoverage(NamedTuple):
    """Error rate of the most certain voxels, against their share.

    Attributes:
        coverage: Shares of the voxels that are kept, rising to 1.
        risk: Error rate among the kept voxels, in `[0, 1]`.
        area: Mean risk over all coverages (AURC), in `[0, 1]`; lower is better. It grows with the error rate.
        excess_area: `area` above that of an ideal order, in which every error is less certain than every hit.
    """

    coverage: np.ndarray
    risk: np.ndarray
    area: float
    excess_area: float


def error_detection_auroc(uncertainty, error):
    """Probability that a wrong voxel is more uncertain than a right one: area under the ROC curve.

    Args:
        uncertainty: A map of one case, any shape, such as `UncertaintyMaps.entropy`.
        error: Booleans of the same shape: where the predicted mask differs from the label.

    Returns:
        A float in `[0, 1]`, 0.5 for an uncertainty that knows nothing; NaN if no voxel or every voxel is wrong. Over a
        whole scan it is high for every network, since the distant background is certain and right.

    Raises:
        ValueError: If the shapes differ, `error` is not boolean, or the map is empty or not finite.

    Reference:
        Hendrycks and Gimpel (2017). Kethavath et al. (2025), Section 3.5, claim by eye what this measures.
    """
    sizes, errors = _levels(uncertainty, error)
    hits = sizes - errors
    if errors.sum() == 0 or hits.sum() == 0:
        return float("nan")
    below = np.cumsum(hits) - hits
    return float(errors @ (below + hits / 2) / (errors.sum() * hits.sum()))


def uncertainty_error_overlap(uncertainty, error):
    """Dice between the errors and as many of the most uncertain voxels: overlap at matched area.

    Arguments and errors as in `error_detection_auroc`.

    Returns:
        A float in `[0, 1]`; by chance it is the error rate. NaN if no voxel is wrong.

    Reference:
        The uncertainty-error overlap of Jungo et al. (2020), with the threshold that makes both areas equal.
    """
    sizes, errors = (values[::-1] for values in _levels(uncertainty, error))
    wanted = errors.sum()
    if wanted == 0:
        return float("nan")
    before = np.cumsum(sizes) - sizes
    # Of the level at the threshold only a share is taken, and with it that share of its errors.
    taken = np.clip((wanted - before) / sizes, 0, 1)
    return float(errors @ taken / wanted)


def risk_coverage(uncertainty, error, points=101):
    """Error rate of the voxels that are kept when the most uncertain ones are set aside.

    Arguments and errors as in `error_detection_auroc`.

    Args:
        points: Number of points of the curve, at equal distances of coverage; the areas are of all voxels.

    Returns:
        `RiskCoverage`.

    Reference:
        Geifman and El-Yaniv (2017); the excess area is that of Geifman et al. (2019).
    """
    sizes, errors = _levels(uncertainty, error)
    kept = np.arange(1, sizes.sum() + 1)
    risk = np.cumsum(np.repeat(errors / sizes, sizes)) / kept
    ideal = np.maximum(kept - (kept[-1] - errors.sum()), 0) / kept
    at = np.unique(np.ceil(np.linspace(1, kept[-1], points)).astype("int64")) - 1
    area = float(risk.mean())
    return RiskCoverage(kept[at] / kept[-1], risk[at], area, area - float(ideal.mean()))


def _levels(uncertainty, error):
    """Voxels and errors (float64) at each value of the uncertainty, rising."""
    uncertainty, error = np.asarray(uncertainty), np.asarray(error)
    if uncertainty.shape != error.shape or error.dtype != bool or error.size == 0:
        raise ValueError(
            "Expected a map and booleans of one shape, not empty. "
            f"Received: {uncertainty.shape}, {error.dtype} {error.shape}. Errors are `mask != predicted_mask`."
        )
    if not np.isfinite(uncertainty).all():
        raise ValueError("Expected a finite uncertainty. Received NaN or infinity.")
    _, level, sizes = np.unique(uncertainty.ravel(), return_inverse=True, return_counts=True)
    return sizes, np.bincount(level.ravel(), weights=error.ravel())
