"""What the NumPy metrics accept: masks, class numbers, probabilities and spacings, each checked in one place."""

import numpy as np

from keras_uq._kinds import Items, Number, argument

# Sums over the classes of a voxel may differ from 1 by this much: half precision, and means of many samples.
SUM_TOLERANCE = 0.01
# Number of voxels of which sums are checked at a time.
CHUNK = 2**18


def real(caller, name, values):
    """An array of real numbers. Refuses text, objects and complex numbers."""
    values = np.asarray(values)
    if values.dtype.kind not in "biuf" and values.dtype.name != "bfloat16":
        raise ValueError(
            f"{caller} expects `{name}` to be an array of numbers. Received: {values.dtype} {values.shape}."
        )
    return values


def two_masks(caller, mask, predicted_mask, axes=0):
    """Two Boolean arrays of one shape, with at least so many axes."""
    mask, predicted_mask = np.asarray(mask), np.asarray(predicted_mask)
    if mask.shape != predicted_mask.shape or mask.ndim < axes:
        raise ValueError(
            f"{caller} expects two masks of one shape{' with at least one axis' if axes else ''}. "
            f"Received: {mask.shape} and {predicted_mask.shape}."
        )
    if mask.dtype != bool or predicted_mask.dtype != bool:
        raise ValueError(
            f"{caller} expects Boolean masks. Received: {mask.dtype} and {predicted_mask.dtype}. Threshold "
            f"probabilities (`p >= 0.5`), compare class numbers (`labels == 1`)."
        )
    return mask, predicted_mask


def within_0_and_1(caller, name, values):
    """An array of numbers in [0, 1], without NaN."""
    values = real(caller, name, values)
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        missing = int(np.isnan(values).sum()) if values.dtype.kind == "f" else 0
        received = f"NaN in {missing} of {values.size} values" if missing else f"{values.min()} to {values.max()}"
        raise ValueError(f"{caller} expects `{name}` to hold probabilities in [0, 1]. Received: {received}.")
    return values


def distributions(caller, name, probabilities):
    """Probabilities `(*spatial, classes)`, which sum to 1 over two or more classes."""
    probabilities = within_0_and_1(caller, name, probabilities)
    if probabilities.ndim < 2 or not probabilities.shape[-1]:
        raise ValueError(
            f"{caller} expects `{name}` of shape (*spatial, classes). Received: shape={probabilities.shape}."
        )
    if probabilities.shape[-1] > 1:
        rows = probabilities.reshape(-1, probabilities.shape[-1])
        for start in range(0, len(rows), CHUNK):
            check_sums(caller, rows[start : start + CHUNK])
    return probabilities


def check_sums(caller, rows):
    """Refuse rows `(voxels, classes)` that do not sum to 1."""
    largest = float(np.abs(rows.sum(axis=1, dtype=np.result_type(rows.dtype, "float32")) - 1).max())
    if largest > SUM_TOLERANCE:
        raise ValueError(
            f"{caller} expects probabilities that sum to 1 over the classes. Received: sums that differ from 1 by up "
            f"to {largest:.3g}. Convert independent channels with keras_uq.inference.exclusive first."
        )


def spacing_of(caller, spacing, axes):
    """One positive distance in millimetres for each axis, as a tuple."""
    return argument(caller, "spacing", spacing, Items(Number(above=0, unit="millimetres"), count=axes))
