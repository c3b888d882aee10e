"""What a model cannot do, told before it predicts: from its shapes and its weights."""

import contextlib
import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_uq._kinds import shown
from keras_uq.files import BadFile, gibibytes, max_memory

# Weights that a layer may have beyond those in its file, for tables that it makes anew, in bytes.
BEYOND = 16 * 2**20
# One model is loaded at a time, because weights are counted in the class of all layers.
LOADING = threading.Lock()
# Multiples that the sides of images may need. They are tried times an odd number, large enough for every kernel.
MULTIPLES, ODD = tuple(2**power for power in range(11)), 33


@contextlib.contextmanager
def bounded_weights(name: str, size: int) -> Iterator[None]:
    """A context in which layers of this thread cannot allocate more weights than a file holds, or than memory may.

    Args:
        name: File that errors name.
        size: Bytes of its weights.

    Raises:
        BadFile: Before a weight is allocated that is too much.
    """
    add_weight, thread, limit, total = keras.layers.Layer.add_weight, threading.get_ident(), max_memory(), 0
    refusal = None

    def bounded(layer, shape=None, *arguments, **options):
        nonlocal total, refusal
        if threading.get_ident() == thread:
            total += math.prod(() if shape is None else (shape,) if isinstance(shape, int) else shape)
            # A weight takes at least half a byte in the file (int4), and 4 bytes while it is initialised.
            if total / 2 > size + BEYOND or 4 * total > limit:
                refusal = BadFile(
                    f"{name} asks for a weight of shape {shown(shape)} in layer {shown(layer.name)}. The weights file "
                    f"of {gibibytes(size)} cannot hold all weights, or they need more than "
                    f"{gibibytes(limit)} (KERAS_UQ_MAX_MEMORY)."
                )
                raise refusal
        return add_weight(layer, shape, *arguments, **options)

    with LOADING:
        keras.layers.Layer.add_weight = bounded
        try:
            yield
        except Exception:
            if refusal is not None:  # Keras may have packed it into an error of its own.
                raise refusal from None
            raise
        finally:
            keras.layers.Layer.add_weight = add_weight


def check_network(model: keras.Model, name: str = "The model") -> None:
    """Check that a model segments: one image in, one map of the same grid out, and finite weights.

    Args:
        model: Any Keras model. What it does not know of itself, as subclassed models do not know their shapes, is not
            checked.
        name: File or argument that errors name.

    Raises:
        ValueError: If it has several inputs or outputs, returns something else than a map of the image's grid, or has
            weights that are NaN or infinite.
    """
    for word, tensors, hint in (
        ("inputs", getattr(model, "inputs", None), "the image. Stack several scans as channels of one image"),
        (
            "outputs",
            getattr(model, "outputs", None),
            "the probabilities. Choose one: keras.Model(model.inputs, model.outputs[0])",
        ),
    ):
        if tensors is not None and len(keras.tree.flatten(tensors)) != 1:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in keras.tree.flatten(tensors))
            raise ValueError(f"{name} has {len(keras.tree.flatten(tensors))} {word} ({shapes}). Expected one, {hint}.")
    images, maps = _shape(model, "input_shape"), _shape(model, "output_shape")
    if images is not None and len(images) < 3:
        raise ValueError(f"{name} takes arrays of shape {images}. Expected images, (batch, *spatial, channels).")
    if images is not None and maps is not None:
        sides = zip(images[1:-1], maps[1:-1])
        if len(maps) != len(images) or any(a != b for a, b in sides if a is not None and b is not None):
            raise ValueError(_other_grid(name, images, maps))
    _check_weights(model, name)


def check_scan(model: Any, shape: Sequence[int], name: str = "The images") -> None:
    """Check that a model takes images of a shape and returns maps of their grid. Takes milliseconds.

    Args:
        model: Any Keras model. A model that does not know its shapes is not checked.
        shape: `(images, *spatial, channels)`.
        name: Scan or argument that errors name.

    Raises:
        ValueError: If rank, channels or sides are others than the model takes; the message says what to do, such as
            which `multiple` the preprocessing needs. If a layer would need more memory for one image than
            `keras_uq.files.max_memory()`.
    """
    known, shape = _shape(model, "input_shape"), tuple(shape)
    if known is None:
        return
    if len(shape) != len(known):
        hint = {3: "", 4: " Predict slices.", 5: " Use SlidingWindow (command: --window 96,96,96)."}.get(len(known), "")
        raise ValueError(
            f"{name}: the model takes {len(known) - 2} spatial axes, {known}. Received: shape={shape}.{hint}"
        )
    if known[-1] not in (None, shape[-1]):
        raise ValueError(f"{name}: the model takes {known[-1]} channels. Received: {shape[-1]}, shape={shape}.")
    if any(side not in (None, given) for side, given in zip(known[1:-1], shape[1:-1])):
        sides = _sides(known)
        raise ValueError(
            f"{name}: the model takes images of exactly {sides}. Received: {_sides(shape)}. Give the preprocessing "
            f"`size` or `crop` of these sides, as for its training images."
        )
    layer, limit = _largest(model, shape[1:]), max_memory()
    if layer is not None and 4 * math.prod(layer[1]) > limit:
        raise ValueError(
            f"{name}: layer {shown(layer[0])} would return {layer[1]} for one image of {shape}, which needs "
            f"{gibibytes(4 * math.prod(layer[1]))}; the limit is {gibibytes(limit)} (KERAS_UQ_MAX_MEMORY)."
        )
    if not _keeps(model, shape[1:]):
        spatial = len(shape) - 2
        multiple = next((m for m in MULTIPLES if _keeps(model, (*[ODD * m] * spatial, shape[-1]))), None)
        if multiple is not None and any(side % multiple for side in shape[1:-1]):
            raise ValueError(
                f"{name}: the model needs sides that are multiples of {multiple}. Received: {_sides(shape)}. Set "
                f"`multiple={multiple}` of the preprocessing, or use windows of such sides."
            )
        if multiple is None and (maps := _output(model, shape[1:])) is not None:
            raise ValueError(_other_grid("The model", shape, maps))


def _other_grid(name, images, maps):
    return (
        f"{name} returns {maps} for images of {images}. Expected a segmentation, (batch, *spatial, classes), on the "
        "grid of the image. Add layers that bring the output to this grid, such as Conv2DTranspose or UpSampling2D."
    )


def _check_weights(model, name):
    """Find NaN and infinity in the weights; every map would be NaN, or quietly wrong."""
    for weight in model.weights:
        if not keras.backend.is_float_dtype(weight.dtype):
            continue
        finite = np.isfinite(keras.ops.convert_to_numpy(weight))
        if not finite.all():
            raise ValueError(
                f"{name}: {(~finite).sum()} of the {finite.size} numbers of weight {weight.path} are NaN or infinite. "
                "Did the training diverge? Use an earlier checkpoint, or train again with a lower learning rate."
            )


def _shape(model, name):
    """A shape that the model knows of itself, or `None`."""
    try:
        shape = getattr(model, name)
    except (AttributeError, ValueError):
        return None
    return shape if isinstance(shape, tuple) and all(side is None or isinstance(side, int) for side in shape) else None


def _largest(model, shape):
    """`(name, shape)` of the layer that returns most for one image `(*spatial, channels)`, or `None` if unknown."""
    try:
        outputs = {layer.name: layer.output for layer in model.layers}
        shapes = keras.Model(model.inputs, outputs).compute_output_shape((1, *shape))
        return max(shapes.items(), key=lambda item: math.prod(item[1]))
    except Exception:  # Shared layers have several outputs; layers of strangers raise what they like.
        return None


def _output(model, shape):
    """Shape of the output for one image of `(*spatial, channels)`; `None` if the model cannot say it."""
    try:
        return tuple(model.compute_output_shape((1, *shape)))
    except Exception:  # Layers of strangers raise what they like.
        return None


def _keeps(model, shape):
    """Whether the maps of an image `(*spatial, channels)` have its grid, as far as the model can say."""
    try:
        maps = model.compute_output_shape((1, *shape))
    except NotImplementedError:
        return True
    except Exception:  # The sides do not fit, such as those of two layers to be added or concatenated.
        return False
    return not isinstance(maps, tuple) or math.prod(maps[1:-1]) == 0 or tuple(maps[1:-1]) == tuple(shape[:-1])


def _sides(shape):
    return " x ".join(str(side) for side in shape[1:-1])
