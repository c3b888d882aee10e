"""Distances between the surfaces of a mask and a predicted mask, in millimetres."""

import math
import numbers
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage, spatial

from keras_uq._kinds import Choice, argument, shown
from keras_uq.metrics._checks import spacing_of, two_masks

# Two surfaces are searched with a k-d tree if each fills at most the share THIN of their bounding box; the search
# radius is the share CLOSE of the box's diagonal.
THIN, CLOSE = 0.15, 0.1


def hausdorff95(
    mask: npt.ArrayLike,
    predicted_mask: npt.ArrayLike,
    spacing: Sequence[float],
    convention: str = "max_directed",
    empty: float = math.nan,
) -> float:
    """Return the 95th percentile of the distances between two surfaces (95 % Hausdorff distance), in millimetres.

    The surface of a mask consists of the voxels that an erosion with face connectivity removes; voxels outside the
    image count as background. Each distance is from a surface voxel to the nearest surface voxel of the other mask.

    Args:
        mask: Booleans, `(depth, height, width)` or `(height, width)`.
        predicted_mask: Booleans, same shape.
        spacing: Distance between voxels in millimetres, one number per axis.
        convention: `"max_directed"` takes the percentile of each direction and returns the larger one, as MONAI,
            MetricsReloaded and surface-distance do. `"pooled"` takes one percentile of both directions together, as
            MedPy does. The two can differ by millimetres, so report the convention with the result.
        empty: Value if exactly one of the masks is empty (the structure was missed, or predicted where there is none):
            a number, infinity or NaN. If both are empty, the result is NaN.

    Returns:
        The distance in millimetres.

    Raises:
        ValueError: If the masks are not Boolean arrays of equal shape, `spacing` is not one positive finite number per
            axis, or an option has another value.

    Reference:
        Mehrtash et al. (2020), Table S2, which does not name its convention.
    """
    argument("hausdorff95", "convention", convention, Choice("max_directed", "pooled"))
    distances = _distances("hausdorff95", mask, predicted_mask, spacing, empty)
    if isinstance(distances, float):
        return distances
    if convention == "pooled":
        return float(np.percentile(np.concatenate(distances), 95))
    return float(max(np.percentile(direction, 95) for direction in distances))


def average_surface_distance(
    mask: npt.ArrayLike, predicted_mask: npt.ArrayLike, spacing: Sequence[float], empty: float = math.nan
) -> float:
    """Return the mean distance between two surfaces in millimetres, over the surface voxels of both (symmetric form).

    Arguments, surfaces and empty masks are those of `hausdorff95`.
    """
    distances = _distances("average_surface_distance", mask, predicted_mask, spacing, empty)
    return distances if isinstance(distances, float) else float(np.mean(np.concatenate(distances)))


class Averaged(NamedTuple):
    """A mean over cases with the number of cases behind it.

    Attributes:
        mean: Mean over the cases that have a value; NaN if there is none.
        n: Number of cases with a value.
        missing: Number of cases without a value.
    """

    mean: float
    n: int
    missing: int


def average_cases(values: Iterable[float]) -> Averaged:
    """Average over cases that have a value (not NaN), and count the cases with and without one.

    Args:
        values: One number per case; NaN if the case has no value.

    Returns:
        `Averaged`. The mean is infinite if a value is.

    Raises:
        ValueError: If a value is no number, such as `None`.
    """
    values = list(values)
    wrong = [value for value in values if isinstance(value, bool) or not isinstance(value, numbers.Real)]
    if wrong:
        raise ValueError(f"average_cases expects one number per case, or NaN. Received: {shown(wrong[0])}.")
    values = np.asarray(values, dtype="float64")
    present = values[~np.isnan(values)]
    return Averaged(float(present.mean()) if len(present) else math.nan, len(present), len(values) - len(present))


def _distances(caller, mask, predicted_mask, spacing, empty):
    """Distances in both directions, or one float if a mask is empty."""
    mask, predicted_mask = two_masks(caller, mask, predicted_mask, axes=1)
    spacing = spacing_of(caller, spacing, mask.ndim)
    if isinstance(empty, bool) or not isinstance(empty, numbers.Real):
        raise ValueError(f"{caller} expects `empty` to be a number, infinity or NaN. Received: empty={shown(empty)}.")
    box = _union_box(mask, predicted_mask)
    if box is None:
        return math.nan
    # The box contains both masks, so every nearest voxel lies in it, and everything outside it is background.
    surfaces = [_surface(array, box) for array in (mask, predicted_mask)]
    if not all(surface.any() for surface in surfaces):
        return float(empty)
    one, other = surfaces
    return (_to_nearest(one, other, spacing), _to_nearest(other, one, spacing))


def _to_nearest(surface, other, spacing):
    """Distance of each voxel of a surface to the nearest voxel of another surface.

    For thin surfaces that lie close together, a k-d tree takes a third of the time of a distance transform of the whole
    box. For other surfaces it can take far longer, so the distance transform is used.
    """
    if max(np.count_nonzero(surface), np.count_nonzero(other)) <= THIN * surface.size:
        points = [np.argwhere(array) * np.asarray(spacing, dtype="float64") for array in (surface, other)]
        radius = CLOSE * float(np.linalg.norm(np.multiply(surface.shape, spacing)))
        distances, _ = spatial.cKDTree(points[1], balanced_tree=False).query(points[0], distance_upper_bound=radius)
        if np.isfinite(distances).all():
            return distances
    return _by_transform(surface, other, spacing)


def _by_transform(surface, other, spacing):
    nearest = ndimage.distance_transform_edt(~other, sampling=spacing, return_distances=False, return_indices=True)
    # Distances are computed for surface voxels only, because those of the whole box would double the time.
    voxels = np.nonzero(surface)
    return np.sqrt(sum(((target[voxels] - start) * size) ** 2 for target, start, size in zip(nearest, voxels, spacing)))


def _surface(mask, box):
    """The voxels that an erosion with face connectivity removes from the mask; all outside the box is background."""
    inside = mask[box]
    core = inside.copy()
    for axis in range(inside.ndim):
        along, filled = np.moveaxis(core, axis, 0), np.moveaxis(inside, axis, 0)
        along[1:] &= filled[:-1]
        along[:-1] &= filled[1:]
        along[[0, -1]] = False
    return inside & ~core


def _union_box(mask, predicted_mask):
    union = mask | predicted_mask
    box = []
    for axis in range(union.ndim):
        occupied = np.flatnonzero(union.any(axis=tuple(other for other in range(union.ndim) if other != axis)))
        if not len(occupied):
            return None
        box.append(slice(occupied[0], occupied[-1] + 1))
    return tuple(box)
