"""Regions of an image in which scores are computed."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from keras_uq._kinds import Integer, Number, argument
from keras_uq.metrics._checks import spacing_of


def bounding_box(
    labels: npt.ArrayLike, spacing: Sequence[float], margin: float = 8.0, slices: int = 2
) -> tuple[slice, ...]:
    """Return the bounding box of all foreground of a case, extended by a margin and clipped to the image.

    Args:
        labels: Whole numbers or Booleans, `(depth, height, width)` or `(height, width)`; values above 0 are foreground.
        spacing: Distance between voxels in millimetres, one number per axis.
        margin: Margin on each side in the plane (the last two axes), in millimetres, rounded up to whole voxels.
        slices: Margin on each side along the first axis of a volume, in slices.

    Returns:
        A tuple with one slice per axis, for use as `labels[box]`. The box of a case without foreground is empty.

    Raises:
        ValueError: If `labels` has neither 2 nor 3 axes or holds other values, if `spacing` is not one positive number
            per axis, or a margin is negative.

    Reference:
        Mehrtash et al. (2020), Section VI-D: 8 mm in the plane and 2 slices.
    """
    labels = np.asarray(labels)
    if labels.ndim not in (2, 3) or labels.dtype.kind not in "biu":
        raise ValueError(
            "bounding_box expects labels (depth, height, width) or (height, width), whole numbers or Booleans. "
            f"Received: {labels.dtype} {labels.shape}."
        )
    spacing = spacing_of("bounding_box", spacing, labels.ndim)
    argument("bounding_box", "margin", margin, Number(least=0, unit="millimetres"))
    argument("bounding_box", "slices", slices, Integer(least=0))
    foreground = labels > 0
    if not foreground.any():
        return (slice(0, 0),) * labels.ndim
    # Rounding before `ceil` keeps floating-point error from turning 8 / 0.8 into 11 voxels.
    margins = [math.ceil(round(margin / size, 6)) for size in spacing]
    if labels.ndim == 3:
        margins[0] = slices
    box = []
    for axis, width in enumerate(margins):
        others = tuple(other for other in range(labels.ndim) if other != axis)
        occupied = np.flatnonzero(foreground.any(axis=others))
        box.append(slice(max(int(occupied[0]) - width, 0), int(occupied[-1]) + 1 + width))
    return tuple(slice(part.start, min(part.stop, size)) for part, size in zip(box, labels.shape))
