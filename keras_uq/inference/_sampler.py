"""A model whose dropout layers act, with masks that a seed selects: what `MCDropout` runs."""

import math

import keras
import numpy as np
from keras import layers, ops

from keras_uq.inference._forward import FAMILY, Redirected, all_layers, resting


class Sampler(keras.Model):
    """The model with its dropout layers redirected to `Twin` layers while it is traced. It is never saved.

    All other random layers of Keras are at rest, also where custom code calls them with `training=True`.
    """

    def __init__(self, model, shared, window=None):
        super().__init__(name="sampler")
        self.model = model
        self.dropouts = [layer for layer in all_layers(model) if isinstance(layer, FAMILY) and layer.rate > 0]
        self.twins = [Twin(layer, shared, window) for layer in self.dropouts]
        calls = [
            (layer, lambda x, training=False, twin=twin: twin(x)) for layer, twin in zip(self.dropouts, self.twins)
        ]
        self._calls = Redirected([*calls, *resting(model, sampled=FAMILY)])

    def call(self, images, training=False):
        with self._calls:
            return self.model(images, training=False)

    def seed(self, identity):
        """Select the masks of the next prediction: a function of `identity` (integers) and the layer."""
        for index, twin in enumerate(self.twins):
            state = np.random.SeedSequence([*identity, index]).generate_state(2) >> 1
            twin.random.state.assign(ops.cast(state.astype("int64"), twin.random.state.dtype))

    def place(self, phase):
        """Roll the masks of the next prediction to the position of its windows."""
        for twin in self.twins:
            twin.phase.assign(np.asarray(phase, dtype="int32"))


class Twin(layers.Layer):
    """Apply the dropout of another layer with masks from a separate random generator.

    With a `window`, the masks are anchored to the image.
    """

    def __init__(self, layer, shared, window=None):
        super().__init__(dtype=layer.dtype_policy, name=f"{layer.name}_twin")
        # The layer is kept in a list, because Keras would track an attribute that is a layer.
        self._original = [layer]
        self.shared = shared
        self.random = keras.random.SeedGenerator(0)
        self.window = window
        self.strides = None
        if window is not None:
            self.phase = self.add_weight(
                shape=(len(window),), initializer="zeros", dtype="int32", trainable=False, name="phase"
            )

    def call(self, x):
        layer = self._original[0]
        shape = self._noise_shape(x)
        if isinstance(layer, layers.GaussianDropout):
            deviation = math.sqrt(layer.rate / (1 - layer.rate))
            noise = keras.random.normal(shape, mean=1.0, stddev=deviation, dtype=x.dtype, seed=self.random)
            return x * self._anchored(noise, x)
        levels = round(256 * (1 - layer.rate))
        if 0 < levels < 256:
            keep_rate = levels / 256
            keep = self._bytes(shape) < ops.cast(levels, "uint8")
        else:
            keep_rate = 1 - layer.rate
            keep = keras.random.uniform(shape, dtype="float32", seed=self.random) < keep_rate
        keep = self._anchored(keep, x)
        if isinstance(layer, layers.AlphaDropout):
            return _alpha_dropout(x, keep, keep_rate)
        return ops.where(keep, x * (1 / keep_rate if keep_rate else 0.0), ops.zeros((), x.dtype))

    def _anchored(self, mask, x):
        """Roll the mask by the phase of the window, in cells of this layer."""
        if self.window is None:
            return mask
        axes = len(self.window)
        sides = x.shape[1:-1]
        if len(sides) != axes:
            self.strides = (1,) * axes  # The features have no spatial axes, for example after global pooling.
            return mask
        if any(side is None or window % side for window, side in zip(self.window, sides)):
            self.strides = None  # `anchored` raises an error.
            self.cells = tuple(sides)
            return mask
        self.strides = tuple(window // side for window, side in zip(self.window, sides))
        for axis, (side, stride) in enumerate(zip(sides, self.strides)):
            if mask.shape[axis + 1] == side > 1:
                cells = (ops.arange(side, dtype="int32") + self.phase[axis] // stride) % side
                rolled = ops.take(ops.cast(mask, "uint8") if mask.dtype == bool else mask, cells, axis=axis + 1)
                mask = ops.cast(rolled, mask.dtype)
        return mask

    def _noise_shape(self, x):
        layer = self._original[0]
        batch, *rest = ops.shape(x)
        if "Spatial" in type(layer).__name__:
            channels_first = getattr(layer, "data_format", None) == "channels_first"
            rest = [rest[0], *[1] * (len(rest) - 1)] if channels_first else [*[1] * (len(rest) - 1), rest[-1]]
        elif getattr(layer, "noise_shape", None) is not None:
            given = list(layer.noise_shape)
            rest = [size if fixed is None else fixed for size, fixed in zip(rest, given[1:])]
            batch = batch if given[0] is None else given[0]
        return [1 if self.shared else batch, *rest]

    def _bytes(self, shape):
        """Random bytes, drawn as 32-bit words and split: random numbers dominate the cost of a sample."""
        size = math.prod(shape)
        words = keras.random.randint((-(-size // 4), 1), -(2**31), 2**31 - 1, "int32", self.random)
        return ops.reshape(ops.reshape(ops.view(words, "uint8"), (-1,))[:size], shape)


def _alpha_dropout(x, keep, keep_rate):
    """Set dropped units to the negative saturation value, then restore mean and variance (Klambauer et al., 2017)."""
    saturation = -1.6732632423543772 * 1.0507009873554805
    scale = (keep_rate * (1 + (1 - keep_rate) * saturation**2)) ** -0.5
    shift = -scale * saturation * (1 - keep_rate)
    return scale * ops.where(keep, x, ops.cast(saturation, x.dtype)) + shift
