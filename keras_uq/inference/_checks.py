"""Checks of what all predictors are given: models, options, images and probabilities. What one refuses, all refuse."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from keras_uq._kinds import Integer, argument, shown

# How far the sum over exclusive classes may lie from 1: what a softmax in float32 and in half precision rounds by.
SUM_TOLERANCE, HALF_SUM_TOLERANCE = 1e-3, 1e-2
# How far a probability of a model may lie outside [0, 1], as an interpolation of ones rounds. It is clipped.
OVERSHOOT = 1e-5
# `UncertaintyMaps.mask` holds class numbers in uint8.
MOST_CLASSES = 256
FLOAT32_MAX = float(np.finfo("float32").max)


def check_model(caller: str, model: Any) -> keras.Model:
    """Return a built Keras model with one input and one output, which is the only thing that can be predicted with.

    Raises:
        ValueError: If it is anything else.
    """
    if not isinstance(model, keras.Model):
        hint = ""
        if isinstance(model, str):
            hint = f" Load it first: load_model({model!r})."
        elif isinstance(model, type):
            hint = " Create an instance of the class."
        raise ValueError(f"{caller} expects a Keras model. Received: {shown(model)}, a {type(model).__name__}.{hint}")
    if not model.built:
        raise ValueError(
            f"{caller} needs a built model, and {model.name!r} has no weights yet. Call it once on a batch of images "
            "first."
        )
    for kind in ("input", "output"):
        tensors = getattr(model, f"{kind}s", None)
        if tensors is not None and len(tensors) != 1:
            raise ValueError(
                f"{caller} needs a model with one {kind}. Received: {model.name!r} with {len(tensors)} {kind}s. Make "
                "one of them a model: keras.Model(inputs, output)."
            )
    return model


def input_shape(model: Any) -> tuple[int | None, ...] | None:
    """Return the shape `(None, *spatial, channels)` that a model expects, or `None` if it does not say so."""
    inputs = getattr(model, "inputs", None)
    return tuple(inputs[0].shape) if inputs else None


def input_shapes(predictor: Any) -> list[tuple[int | None, ...]]:
    """Return what the models of a predictor expect, as `input_shape`, without those that do not say so or are files."""
    members = [getattr(predictor, "model", None), *getattr(predictor, "models", ())]
    shapes = [input_shape(getattr(member, "model", member)) for member in members]
    return [shape for shape in shapes if shape is not None]


def check_options(caller: str, batch_size: Any, case: Any) -> tuple[int, int]:
    """Return `batch_size` and `case` as Python integers. Raises `ValueError` if one is out of its range."""
    return (
        argument(caller, "batch_size", batch_size, Integer(least=1)),
        argument(caller, "case", case, Integer(least=0)),
    )


def check_images(caller: str, images: Any, expected: Sequence[int | None] | None = None) -> np.ndarray:
    """Return images as a NumPy array of real and finite numbers, `(images, *spatial, channels)`.

    The values are neither copied nor converted, and a memory map stays one; only types that backends do not know
    (bfloat16 of NumPy, more than 64 bits) become float32 or float64.

    Args:
        caller: Name of the predictor, for messages.
        images: What the predictor was given.
        expected: `(None, *spatial, channels)` as the model says it, `None` for a size that may vary.

    Raises:
        ValueError: If there is no image, if the shape is not that of the model, or if a value is no finite number.
    """
    images = _real(caller, "images", images)
    shape = f"Received: shape={images.shape}."
    rank = 3 if expected is None else len(expected)
    if images.ndim < rank or (expected is not None and images.ndim > rank):
        axes = "(images, *spatial, channels)" if expected is None else _written(expected)
        hint = " For one image, add the first axis: images[None]." if images.ndim == rank - 1 else ""
        raise ValueError(f"{caller} expects `images` of shape {axes}, {rank} axes. {shape}{hint}")
    if len(images) == 0:
        raise ValueError(f"{caller}: there is no image to predict. {shape}")
    if images.size == 0:
        raise ValueError(f"{caller} expects `images` with at least one voxel along every axis. {shape}")
    if expected is not None and any(want not in (None, size) for want, size in zip(expected[1:], images.shape[1:])):
        raise ValueError(f"{caller} expects `images` of shape {_written(expected)}, as the model does. {shape}")
    _check_finite(caller, images)
    return images


def _written(expected):
    return "(" + ", ".join(["images", *("any" if size is None else str(size) for size in expected[1:])]) + ")"


def _real(caller, name, values):
    """The values as an array of real numbers."""
    if np.ma.is_masked(values):
        raise ValueError(f"{caller} cannot predict masked values. Fill the masked array `{name}` first: .filled(0).")
    try:
        array = keras.ops.convert_to_numpy(values) if keras.ops.is_tensor(values) else np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{caller} expects `{name}` to be an array of numbers. Received: {error}") from error
    if array.dtype.name == "bfloat16":
        return array.astype("float32")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return array.astype("float64")
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{caller} expects `{name}` to be an array of real numbers. Received: {shown(values)}, an array of type "
            f"{array.dtype}."
        )
    return array


def _check_finite(caller, images):
    if images.dtype.kind != "f":
        return
    # The minimum and the maximum are NaN where a value is, and need no memory.
    ends = float(images.min()), float(images.max())
    if all(math.isfinite(end) and abs(end) <= FLOAT32_MAX for end in ends):
        return
    wrong = [np.count_nonzero(~(np.abs(image.astype("float64")) <= FLOAT32_MAX)) for image in images]
    first = next(index for index, number in enumerate(wrong) if number)
    raise ValueError(
        f"{caller} expects finite `images`. Received: {wrong[first] / images[first].size:.2%} of the values of image "
        f"{first} are NaN, infinite or beyond float32, and {np.count_nonzero(wrong)} of {len(images)} images have such "
        "values. Replace them first, for example with the value of air or with numpy.nan_to_num."
    )


def check_output(caller: str, output: Any, shape: Sequence[int], multilabel: bool) -> np.ndarray:
    """Return the output of a model as float32 probabilities, `(images, *spatial, classes)`.

    Probabilities that were rounded to half precision are divided by their sum over exclusive classes.

    Args:
        caller: Name of the predictor, for messages.
        output: What the model returned.
        shape: Shape of the images that it was given.
        multilabel: Whether its channels are independent, so that they need not sum to 1.

    Raises:
        ValueError: If the output is no array of probabilities on the grid of the images.
    """
    outputs = keras.tree.flatten(output)
    if len(outputs) != 1:
        raise ValueError(f"{caller} needs a model with one output. Received: {len(outputs)} outputs.")
    output = np.asarray(outputs[0])
    kind = output.dtype.kind
    if kind in "biuc":
        raise ValueError(
            f"{caller} needs a model that returns probabilities. Received: type {output.dtype}. "
            + ("" if kind == "c" else "If these are class numbers, end the model before its arg-max.")
        )
    half, output = output.dtype.itemsize < 4, output.astype("float32", copy=False)
    grid = tuple(shape[:-1])
    if output.ndim != len(shape) or output.shape[:-1] != grid or output.shape[-1] == 0:
        raise ValueError(
            f"{caller} needs a model that returns probabilities for each voxel of its input, "
            f"({', '.join(map(str, grid))}, classes). Received: an output of shape {output.shape} for images of shape "
            f"{tuple(shape)}."
        )
    if output.shape[-1] > MOST_CLASSES:
        raise ValueError(
            f"{caller} takes at most {MOST_CLASSES} classes, because masks are uint8. Received: {output.shape[-1]}. "
            "Does the model end in a softmax or a sigmoid over the classes?"
        )
    output = check_probabilities(caller, output, exclusive=False, computed=True)
    if output.shape[-1] > 1 and not multilabel:
        sums = check_sums(caller, output, HALF_SUM_TOLERANCE if half else SUM_TOLERANCE)
        if half:
            output /= sums[..., np.newaxis]
    return output


def check_probabilities(
    caller: str, values: npt.ArrayLike, exclusive: bool = True, computed: bool = False
) -> np.ndarray:
    """Return probabilities `(*spatial, classes)` as an array of float32 or wider.

    Args:
        caller: What the message begins with.
        values: The probabilities.
        exclusive: Whether two or more classes must sum to 1.
        computed: Whether a model returned them for finite images.

    Raises:
        ValueError: If there is no class axis, if a value is NaN or lies outside [0, 1], or if classes do not sum to 1.
    """
    array = _real(caller, "probabilities", values)
    tolerance = HALF_SUM_TOLERANCE if array.dtype.itemsize < 4 else SUM_TOLERANCE
    array = array.astype(np.promote_types(array.dtype, "float32"), copy=False)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"{caller} expects probabilities (*spatial, classes). Received: shape={array.shape}.")
    if array.size == 0:
        return array
    low, high = float(array.min()), float(array.max())
    if math.isnan(low):
        share = np.count_nonzero(np.isnan(array)) / array.size
        why = (
            "the model returns NaN for finite images, so its weights may be damaged, or half precision overflows"
            if computed
            else "expected probabilities in [0, 1]"
        )
        raise ValueError(f"{caller}: {why}. Received: {share:.2%} of the values are NaN.")
    if computed and (low < 0 or high > 1) and low >= -OVERSHOOT and high <= 1 + OVERSHOOT:
        array = np.clip(array, 0, 1)
    elif not (low >= 0 and high <= 1):
        raise ValueError(
            f"{caller}: expected probabilities in [0, 1]. Received values from {low:g} to {high:g}. Does the model "
            "return logits? End it in a sigmoid or softmax."
        )
    if exclusive and array.shape[-1] > 1:
        check_sums(caller, array, tolerance)
    return array


def check_sums(caller: str, probabilities: np.ndarray, tolerance: float = SUM_TOLERANCE) -> np.ndarray:
    """Return the sums over the classes. Raises `ValueError` if one is not 1: these are no exclusive classes."""
    # A product with ones is several times faster than `sum` along a short axis.
    sums = probabilities @ np.ones(probabilities.shape[-1], probabilities.dtype)
    low, high = float(sums.min()), float(sums.max())
    if not (low >= 1 - tolerance and high <= 1 + tolerance):
        raise ValueError(
            f"{caller}: the probabilities of the {probabilities.shape[-1]} classes must sum to 1 in every voxel. "
            f"Received: sums from {low:g} to {high:g}. For independent channels (sigmoids), pass multilabel=True to "
            "the predictor, which makes them exclusive; else end the model in a softmax."
        )
    return sums


def numbered_pairs(caller: str, cases: Iterable[Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield what messages call a case, and its two parts. Raises `ValueError` if a case has not two parts."""
    if not isinstance(cases, Iterable):
        raise ValueError(f"{caller} expects `cases` to be a list of pairs. Received: {shown(cases)}.")
    for index, case in enumerate(cases):
        if not isinstance(case, Sequence) or len(case) != 2:
            raise ValueError(
                f"{caller} expects `cases` to be a list of pairs. Received as case {index}: {shown(case)}."
            )
        yield f"{caller}, case {index}", *case
