"""Monte Carlo dropout on any Keras model that has dropout layers (Gal and Ghahramani, 2016)."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np
from keras import layers, ops

from keras_uq.inference.maps import MapSum, UncertaintyMaps
from keras_uq.inference.multilabel import exclusive

# The layers that are sampled. `SpatialDropout1D`, `2D` and `3D` inherit from `Dropout`.
FAMILY = (layers.Dropout, layers.GaussianDropout, layers.AlphaDropout)

# Random layers of Keras that act in training only: at inference they return their input unchanged.
TRAINING_ONLY = tuple(
    getattr(layers, name)
    for name in dir(layers)
    if name.startswith("Random") or name in ("AugMix", "CutMix", "GaussianNoise", "MixUp", "Pipeline", "RandAugment")
)


class MCDropout:
    """Sample predictions of a model with dropout active and all other layers in inference mode.

    Works on functional, sequential, nested and subclassed models and on dropout inside custom layers. Batch
    normalisation uses its stored statistics, and augmentation layers are inactive. The model is not modified: its
    weights and random states stay equal bit for bit.

    Args:
        model: A built Keras model with one output of probabilities.
        samples: Number of predictions, T.
        seed: Seed of the dropout masks; `None` draws one, which is then stored in `predictor.seed`.
        shared: Whether all images of one `predict` call use the same masks in each sample. This is the default: all
            slices of a volume are then predicted by the same function, and a sample is a coherent volume. With `False`,
            new masks are drawn for each image.
        deterministic_layers: Classes of further random layers (an LSTM, for example) that may run in inference mode.
        multilabel: Whether the channels are independent foreground classes. Each sample is then converted by
            `exclusive`, with the background first, before the maps are computed.

    Raises:
        ValueError: If nothing in the model would be random, or if a layer outside the dropout family draws random
            numbers and is not listed in `deterministic_layers`.

    Masks are drawn with 8 bits per entry: a rate of 0.15 becomes 1 - 218/256 = 0.148. Outputs are scaled to match, so
    means stay exact. Masks are a function of `seed`, `case`, sample and layer: the same call gives the same maps.
    Predicting is not thread-safe: while the sampler is traced it replaces methods of the model's dropout layers.
    """

    def __init__(
        self,
        model: keras.Model,
        samples: int = 20,
        seed: int | None = None,
        shared: bool = True,
        deterministic_layers: Sequence[type[layers.Layer]] = (),
        multilabel: bool = False,
    ) -> None:
        if samples < 1:
            raise ValueError(f"Expected at least one sample. Received: samples={samples!r}.")
        self.model = model
        self.samples = samples
        self.seed = int(np.random.SeedSequence().entropy % 2**32) if seed is None else int(seed)
        self.shared = shared
        self.multilabel = multilabel
        _check_layers(model, tuple(deterministic_layers))
        self._stem, self._head = _stem_and_head(model)
        self._sampler = _Sampler(self._head, shared)

    @property
    def dropout_layers(self) -> list[dict[str, Any]]:
        """Names, kinds and rates of the layers that are sampled, in the model's order."""
        return [
            {"name": layer.name, "kind": type(layer).__name__, "rate": float(layer.rate)}
            for layer in self._sampler.dropouts
        ]

    def describe(self) -> dict[str, Any]:
        """Return the settings needed to repeat the prediction, as JSON types."""
        return {
            "method": "Monte Carlo dropout",
            "samples": self.samples,
            "seed": self.seed,
            "masks": "one for all slices of a scan" if self.shared else "one for each slice",
            "dropout_layers": self.dropout_layers,
            "other_layers": "as at inference; batch normalisation uses its stored statistics",
            **({"channels": "independent, made exclusive"} if self.multilabel else {}),
        }

    def predict(self, images: np.ndarray, batch_size: int = 8, case: int = 0) -> UncertaintyMaps:
        """Return the uncertainty maps of the images.

        Args:
            images: Network input, `(images, *spatial, channels)`.
            batch_size: Number of images predicted at a time.
            case: Number of the case that the images belong to. Each case gets different masks.

        Returns:
            `UncertaintyMaps`. Memory does not depend on `samples`.
        """
        parts = []
        for start, batch in _batches(images, batch_size):
            total = MapSum()
            features = self._features(batch)
            for sample in range(self.samples):
                total.add(self._sample(features, len(batch), batch_size, case, sample, start))
            parts.append(total.maps())
        return UncertaintyMaps.concatenate(parts)

    def draw(self, images: np.ndarray, batch_size: int = 8, case: int = 0) -> Iterator[np.ndarray]:
        """Yield the samples that `predict` averages, one at a time, each `(images, *spatial, classes)`."""
        for network in self.networks(case):
            yield np.concatenate([network(batch, start, batch_size) for start, batch in _batches(images, batch_size)])

    def networks(self, case: int = 0) -> Iterator[Callable[..., np.ndarray]]:
        """Yield one prediction function per sample.

        Each is `network(images, start=0, batch_size=None, phase=None)` and returns probabilities
        `(images, *spatial, classes)`. `start` is the number of the first image; `phase` is the position of the window
        (see `anchored`).
        """
        for sample in range(self.samples):

            def network(images, start=0, batch_size=None, phase=None, sample=sample):
                features = self._features(images)
                return self._sample(features, len(images), batch_size or len(images), case, sample, start, phase)

            yield network

    def anchored(self, window: Sequence[int]) -> "MCDropout":
        """Return a copy whose dropout masks are fixed to image coordinates, for windows of one size.

        Overlapping windows then drop the same voxels (see `SlidingWindow`). The mask of a layer has the size that the
        window has in this layer, and repeats over the image. `phase`, the first voxel of a window modulo the sides of
        the window, tells by how much the mask is rolled. It must be a multiple of `strides`, an attribute of the copy
        with one number per axis.

        Raises:
            ValueError: If `shared` is `False`, or if a side of the window is not a multiple of the corresponding side
                of the features that a dropout layer receives.
        """
        if not self.shared:
            raise ValueError("Masks anchored to an image need MCDropout(shared=True). Or use consistent=False.")
        shape = getattr(self.model, "input_shape", None)
        if not isinstance(shape, tuple) or shape[-1] is None:
            raise ValueError(
                "Masks anchored to an image need a model that knows its input_shape: a functional or sequential one. "
                "Or use consistent=False."
            )
        other = copy.copy(self)
        other._sampler = _Sampler(self._head, True, tuple(window))
        features = keras.KerasTensor((1, *window, shape[-1]))
        other._sampler(features if self._stem is None else self._stem(features))
        for twin in other._sampler.twins:
            if twin.strides is None:
                raise ValueError(
                    f"Dropout layer {twin.name.removesuffix('_twin')!r} sees {twin.cells} cells of a window of "
                    f"{twin.window} voxels: its masks cannot be anchored. Use sides that are multiples of the "
                    "network's total stride. Or use consistent=False."
                )
        strides = [twin.strides for twin in other._sampler.twins]
        other.strides = tuple(math.lcm(*axis_strides) for axis_strides in zip(*strides))
        return other

    def _features(self, batch):
        """Output of the deterministic first part of the model, which is the same for every sample."""
        return batch if self._stem is None else self._stem.predict_on_batch(batch)

    def _sample(self, features, count, batch_size, case, sample, start, phase=None):
        # Shared masks do not depend on the position in the volume, so batches of any size give the same sample.
        self._sampler.seed([self.seed, case, sample, 0 if self.shared else start])
        if phase is not None:
            self._sampler.place(phase)
        if keras.backend.backend() == "jax" and count < batch_size:
            # JAX compiles again for every batch size, so the last batch is filled up.
            features = keras.tree.map_structure(
                lambda x: np.concatenate([x, np.repeat(x[:1], batch_size - count, axis=0)]), features
            )
        output = self._sampler.predict_on_batch(features)
        if isinstance(output, (list, tuple, dict)):
            raise ValueError(f"MCDropout needs a model with one output. Received: {len(output)} outputs.")
        output = np.asarray(output, dtype="float32")[:count]
        return exclusive(output) if self.multilabel else output


class _Sampler(keras.Model):
    """The model with its dropout layers redirected to `_Twin` layers while it is traced. It is never saved.

    `call` replaces the `call` method of the model's own dropout layers and restores it afterwards. This is not
    thread-safe: a second thread that traces or calls the model at the same time may get dropout where it expects
    none, or the other way round. Use one predictor and one model per thread.
    """

    def __init__(self, model, shared, window=None):
        super().__init__(name="sampler")
        self.model = model
        self.dropouts = [layer for layer in _all_layers(model) if isinstance(layer, FAMILY) and layer.rate > 0]
        self.twins = [_Twin(layer, shared, window) for layer in self.dropouts]

    def call(self, images, training=False):
        for layer, twin in zip(self.dropouts, self.twins):
            # The attribute is a function, because Keras would track an assigned layer as a part of the model.
            layer.call = lambda x, training=False, twin=twin: twin(x)
        try:
            return self.model(images, training=False)
        finally:
            for layer in self.dropouts:
                del layer.call

    def seed(self, identity):
        """Select the masks of the next prediction: a function of `identity` (integers) and the layer."""
        for index, twin in enumerate(self.twins):
            state = np.random.SeedSequence([*identity, index]).generate_state(2) >> 1
            twin.random.state.assign(ops.cast(state.astype("int64"), twin.random.state.dtype))

    def place(self, phase):
        """Roll the masks of the next prediction to the position of its windows."""
        for twin in self.twins:
            twin.phase.assign(np.asarray(phase, dtype="int32"))


class _Twin(layers.Layer):
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


def _all_layers(model):
    # Private API of Keras: no public method also lists layers inside custom layers and subclassed models. If it
    # changes, test_any_model_is_sampled_and_left_as_it_was fails.
    return model._flatten_layers(include_self=True, recursive=True)


def _check_layers(model, deterministic_layers):
    if not getattr(model, "built", False):
        raise ValueError("MCDropout needs a built model. Call it once on a batch of images first.")
    all_layers = _all_layers(model)
    dropouts = [layer for layer in all_layers if isinstance(layer, FAMILY)]
    if not any(layer.rate > 0 for layer in dropouts):
        names = [layer.name for layer in dropouts]
        reason = (
            f"its dropout layers {names} have rate 0" if names else f"it has none among its {len(all_layers)} layers"
        )
        raise ValueError(
            f"MCDropout needs a model with dropout layers, but {reason}: every sample would be the same. Train with "
            f"dropout, or use `Ensemble` with several models."
        )
    handled = (*FAMILY, *TRAINING_ONLY)
    handled_seeds = {id(seed) for layer in all_layers if isinstance(layer, handled) for seed in _seeds(layer)}
    for layer in all_layers:
        layer_seeds = {id(seed) for seed in _seeds(layer)} - handled_seeds
        child_seeds = {id(seed) for child in _all_layers(layer)[1:] for seed in _seeds(child)}
        if layer_seeds - child_seeds and not isinstance(layer, deterministic_layers) and _draws(layer):
            raise ValueError(
                f"Layer {layer.name!r} ({type(layer).__name__}) draws random numbers that MCDropout cannot sample. "
                f"Use a Keras dropout layer inside it, or pass `deterministic_layers=({type(layer).__name__},)` to "
                f"run it in inference mode."
            )


def _seeds(layer):
    return [variable for variable in layer.variables if "seed_generator_state" in variable.path]


def _draws(layer):
    """Whether a layer draws random numbers: recurrent layers have a generator even if both dropout rates are 0."""
    rates = [getattr(layer, name) for name in ("dropout", "recurrent_dropout") if hasattr(layer, name)]
    return not rates or any(rates)


# Splitting adds nodes to the graph of the layers, so each model is split only once.
_SPLITS = WeakKeyDictionary()


def _stem_and_head(model):
    """Split a functional model before its first dropout layer; `(None, model)` if it cannot be split."""
    if type(model).__name__ != "Functional":
        return None, model
    if model not in _SPLITS:
        parts = _split(model)
        if parts is None:
            return None, model
        _SPLITS[model] = parts
    return _SPLITS[model]


def _split(model):
    inner = [layer for layer in model.layers if not isinstance(layer, layers.InputLayer)]
    # `_inbound_nodes` is private API of Keras: it holds the only record of which tensors connect the layers. If it
    # changes, test_the_stem_is_computed_once_and_changes_nothing fails.
    if any(len(layer._inbound_nodes) != 1 for layer in inner):
        return None  # A shared layer is called several times; running the whole model is always correct.
    random, boundary = set(), {}
    for layer in inner:
        # The node gives the tensors of the outer graph; `input` of a nested model belongs to its inner graph.
        inputs, outputs = layer._inbound_nodes[0].input_tensors, layer._inbound_nodes[0].outputs
        sampled = any(isinstance(part, FAMILY) and part.rate > 0 for part in _all_layers(layer))
        if sampled or any(id(tensor) in random for tensor in inputs):
            boundary.update({id(tensor): tensor for tensor in inputs if id(tensor) not in random})
            random.update(id(tensor) for tensor in outputs)
    boundary = list(boundary.values())
    if {id(tensor) for tensor in boundary} == {id(tensor) for tensor in model.inputs}:
        return None
    features = boundary[0] if len(boundary) == 1 else boundary
    return keras.Model(model.input, features), keras.Model(features, model.output)


def _batches(images, batch_size):
    if len(images) == 0:
        raise ValueError("There is no image to predict. Received an empty array.")
    for start in range(0, len(images), batch_size):
        yield start, np.asarray(images[start : start + batch_size])
