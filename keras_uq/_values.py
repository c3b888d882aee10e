"""Values of tensors, checked where they are at hand: in eager calls, not while a step is traced or compiled.

The losses and the metrics share this check, and nothing else.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

# Labels and probabilities may leave [0, 1] by this much, for rounding and interpolation.
TOLERANCE = 1e-3
LEAST, MOST = -TOLERANCE, 1 + TOLERANCE
FIX_LABELS = (
    "Divide masks of 0 and 255 by 255, one-hot encode class numbers with `keras.ops.one_hot`, and leave voxels without "
    "a label out with `ignore_value`."
)


def check_numbers(caller: str, **arrays: Any) -> None:
    """Refuse what holds no real numbers: `None`, text, objects, complex numbers. Tensors may be symbolic.

    Args:
        caller: Name of the loss or metric.
        **arrays: Arrays, tensors or nested lists, by the names of the arguments.

    Raises:
        ValueError: With the name of the argument and its type.
    """
    for name, array in arrays.items():
        received = getattr(array, "dtype", None)
        if received is None and array is not None:
            try:
                received = np.asarray(array).dtype
            except Exception:  # A list of symbolic tensors, for example, which Keras converts.
                continue
        try:
            received = received and keras.backend.standardize_dtype(received)
        except ValueError:  # A type that no tensor has, such as that of objects or text.
            received = str(received)
        if not str(received).startswith(("float", "bfloat", "int", "uint", "bool")):
            raise ValueError(f"{caller} expects `{name}` to be an array of numbers. Received: {received} values.")


def at_hand(tensor: Any) -> np.ndarray | None:
    """Return the values of a tensor, or `None` while a step is traced or compiled, when it has none yet."""
    try:
        return np.asarray(ops.convert_to_numpy(tensor))
    except Exception:  # Each backend raises exceptions of its own.
        return None


def outside(tensor: Any, least: float, most: float, nan: bool = False) -> str | None:
    """Return a description of the values if one lies outside `[least, most]`, or `None` if all lie inside.

    The comparison runs on the device. In a compiled step the result is `None`, and nothing is left to be computed.

    Args:
        tensor: Tensor of a floating type.
        least: Smallest value that is allowed.
        most: Largest value that is allowed.
        nan: Whether NaN are allowed.
    """
    tensor = ops.stop_gradient(tensor)
    if nan:
        inside = ops.logical_not(ops.any(ops.logical_or(tensor < least, tensor > most)))
    else:
        inside = ops.all(ops.logical_and(tensor >= least, tensor <= most))
    inside = at_hand(inside)
    if inside is None or inside:
        return None
    values = at_hand(tensor).astype("float64")
    missing = int(np.isnan(values).sum())
    if missing and not nan:
        return f"NaN in {missing} of {values.size} values"
    return f"values from {np.nanmin(values):g} to {np.nanmax(values):g}"


def check_labels(caller: str, y_true: Any) -> None:
    """Refuse labels outside [0, 1] and NaN, where they are at hand.

    Raises:
        ValueError: With the range of the labels and what to do.
    """
    received = outside(y_true, LEAST, MOST)
    if received is not None:
        raise ValueError(f"{caller} expects labels in [0, 1] as `y_true`. Received: {received}. {FIX_LABELS}")


def check_probabilities(caller: str, y_pred: Any, fix: str) -> None:
    """Refuse predictions outside [0, 1], where they are at hand. NaN passes: the loss of a diverged network is NaN.

    Raises:
        ValueError: With the range of the predictions, and `fix`.
    """
    received = outside(y_pred, LEAST, MOST, nan=True)
    if received is not None:
        raise ValueError(f"{caller} expects probabilities in [0, 1] as `y_pred`. Received: {received}. {fix}")
