"""Where a score is taken."""

import math

import numpy as np


def bounding_box(labels, spacing, margin=8.0, slices=2):
    """The box around all foreground of a case, widened, within the image.

    Args:
        labels: `(depth, height, width)`, or `(height, width)`; anything above 0 is foreground.
        spacing: Millimetres between voxels, one number an axis.
        margin: Millimetres on each side in the plane (the last two axes); a started voxel counts as a whole one.
        slices: Slices on each side along the first axis of a volume.

    Returns:
        A tuple of slices, one an axis: `labels[box]`. A case without foreground has an empty box.

    Raises:
        ValueError: If `labels` is no picture or volume, or `spacing` is not one positive number an axis.

    Reference:
        Mehrtash et al. (2020), Section VI-D: 8 mm in the plane and 2 slices.
    """
    labels = np.asarray(labels)
    if labels.ndim not in (2, 3) or len(spacing) != labels.ndim or min(spacing) <= 0:
        raise ValueError(
            "Expected labels (depth, height, width) or (height, width) and one positive spacing an axis. "
            f"Received: {labels.shape} and spacing={tuple(spacing)}."
        )
    foreground = labels > 0
    if not foreground.any():
        return (slice(0, 0),) * labels.ndim
    # Rounded first: 8 / 0.8 is not to be 11 voxels for a last bit.
    margins = [math.ceil(round(margin / size, 6)) for size in spacing]
    if labels.ndim == 3:
        margins[0] = slices
    box = []
    for axis, by in enumerate(margins):
        others = tuple(other for other in range(labels.ndim) if other != axis)
        where = np.flatnonzero(foreground.any(axis=others))
        box.append(slice(max(int(where[0]) - by, 0), int(where[-1]) + 1 + by))
    return tuple(slice(part.start, min(part.stop, size)) for part, size in zip(box, labels.shape))
