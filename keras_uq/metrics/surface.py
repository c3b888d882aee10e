"""Distances between the surfaces of a mask and a predicted mask, in millimetres."""

import math
from typing import NamedTuple

import numpy as np
from scipy import ndimage, spatial

CONVENTIONS = ("max_directed", "pooled")
# Surfaces are thin up to this share of their box, and close within this share of its diagonal.
THIN, CLOSE = 0.15, 0.1


def hausdorff95(mask, predicted_mask, spacing, convention="max_directed", empty=math.nan):
    """95th percentile of the distances between two surfaces.

    A surface is what a mask loses by an erosion through faces; the border of the image counts as outside. Distances are
    from each surface voxel to the nearest one of the other mask, exactly, by SciPy.

    Args:
        mask: Booleans, `(depth, height, width)` or `(height, width)`.
        predicted_mask: Booleans, same shape.
        spacing: Millimetres between voxels, one number an axis.
        convention: `"max_directed"`: the percentile of each direction, then the larger; as MONAI, MetricsReloaded and
            surface-distance. `"pooled"`: one percentile of both directions together; as MedPy. They can differ by
            millimetres, so say which.
        empty: Value if exactly one of the masks is empty: a missed or an invented structure. Both empty: NaN.

    Returns:
        Millimetres.

    Raises:
        ValueError: If the arrays are not Booleans of one shape, or `spacing` is not one positive number an axis.

    Reference:
        Mehrtash et al. (2020), Table S2, which does not say which convention it has.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"`convention` must be one of {CONVENTIONS}. Received: convention={convention!r}.")
    found = _distances(mask, predicted_mask, spacing, empty)
    if isinstance(found, float):
        return found
    if convention == "pooled":
        return float(np.percentile(np.concatenate(found), 95))
    return float(max(np.percentile(each, 95) for each in found))


def average_surface_distance(mask, predicted_mask, spacing, empty=math.nan):
    """Mean distance between two surfaces, over the voxels of both (the symmetric form), in millimetres.

    Arguments, surfaces and empty masks as in `hausdorff95`.
    """
    found = _distances(mask, predicted_mask, spacing, empty)
    return found if isinstance(found, float) else float(np.mean(np.concatenate(found)))


class Averaged(NamedTuple):
    """A mean that says what it is of.

    Attributes:
        mean: Over the cases that have a value; NaN if there is none.
        n: How many have one.
        missing: How many have none: a structure that was missed, invented, or is not there.
    """

    mean: float
    n: int
    missing: int


def average_cases(values):
    """Mean over cases with its denominator: NaN is counted as missing, never dropped in silence.

    Args:
        values: One number a case, NaN where there is none.

    Returns:
        `Averaged`.
    """
    values = np.asarray(list(values), dtype="float64")
    known = values[~np.isnan(values)]
    return Averaged(float(known.mean()) if len(known) else math.nan, len(known), len(values) - len(known))


def _distances(mask, predicted_mask, spacing, empty):
    """Distances of both directions, or the value of empty masks."""
    mask, predicted_mask = np.asarray(mask), np.asarray(predicted_mask)
    if mask.shape != predicted_mask.shape or mask.dtype != bool or predicted_mask.dtype != bool:
        raise ValueError(
            "Expected two Boolean masks of one shape. "
            f"Received: {mask.dtype} {mask.shape} and {predicted_mask.dtype} {predicted_mask.shape}."
        )
    if len(spacing) != mask.ndim or min(spacing) <= 0:
        raise ValueError(f"Expected one positive spacing an axis, {mask.ndim}. Received: spacing={tuple(spacing)}.")
    box = _union_box(mask, predicted_mask)
    if box is None:
        return math.nan
    # The box holds both masks, so no nearest voxel lies outside it, and its border is background or the image's.
    surfaces = [_surface(each, box) for each in (mask, predicted_mask)]
    if not all(surface.any() for surface in surfaces):
        return float(empty)
    one, other = surfaces
    return (_to_nearest(one, other, spacing), _to_nearest(other, one, spacing))


def _to_nearest(surface, other, spacing):
    """Distance of each voxel of a surface to the nearest of another.

    Between thin surfaces that lie close to each other a tree of their voxels finds it in a third of the time that the
    distance transform of the whole box takes; between others it may take far longer, so it is not asked.
    """
    if max(np.count_nonzero(surface), np.count_nonzero(other)) <= THIN * surface.size:
        points = [np.argwhere(of) * np.asarray(spacing, dtype="float64") for of in (surface, other)]
        reach = CLOSE * float(np.linalg.norm(np.multiply(surface.shape, spacing)))
        found, _ = spatial.cKDTree(points[1], balanced_tree=False).query(points[0], distance_upper_bound=reach)
        if np.isfinite(found).all():
            return found
    return _by_transform(surface, other, spacing)


def _by_transform(surface, other, spacing):
    nearest = ndimage.distance_transform_edt(~other, sampling=spacing, return_distances=False, return_indices=True)
    # Only where it is asked for: the distances of the whole box would take as long as finding the nearest voxels.
    here = np.nonzero(surface)
    return np.sqrt(sum(((to[here] - at) * size) ** 2 for to, at, size in zip(nearest, here, spacing)))


def _surface(mask, box):
    """What an erosion through faces takes from the mask; outside the box there is nothing."""
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
        where = np.flatnonzero(union.any(axis=tuple(other for other in range(union.ndim) if other != axis)))
        if not len(where):
            return None
        box.append(slice(where[0], where[-1] + 1))
    return tuple(box)
