"""Monte Carlo dropout on any Keras model that has dropout layers (Gal and Ghahramani, 2016)."""

import copy
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np
from keras import layers

from keras_uq._kinds import Flag, Integer, Maybe, argument, shown
from keras_uq.inference._checks import check_images, check_model, check_options, check_output, input_shape
from keras_uq.inference._forward import (
    FAMILY,
    TRAINING_ONLY,
    all_layers,
    check_repeats,
    custom_layers,
    deterministic,
    explained,
    forward,
)
from keras_uq.inference._sampler import Sampler
from keras_uq.inference.maps import MapSum, UncertaintyMaps
from keras_uq.inference.multilabel import exclusive


class MCDropout:
    """Sample predictions of a model with dropout active and all other layers in inference mode.

    Works on functional, sequential, nested and subclassed models and on dropout inside custom layers. Batch
    normalisation uses its stored statistics, and augmentation layers are inactive. The model is not modified: its
    weights and random states stay equal bit for bit.

    Args:
        model: A built Keras model with one input `(images, *spatial, channels)` and one output of probabilities for
            each voxel, `(images, *spatial, classes)`.
        samples: Number of predictions, T, at least 1.
        seed: Seed of the dropout masks, at least 0; `None` draws one, which is then stored in `predictor.seed`.
        shared: Whether all images of one `predict` call use the same masks in each sample. This is the default: all
            slices of a volume are then predicted by the same function, and a sample is a coherent volume. With `False`,
            new masks are drawn for each image.
        deterministic_layers: Classes of further random layers (an LSTM, for example) that may run in inference mode.
        multilabel: Whether the channels are independent foreground classes. Each sample is then converted by
            `exclusive`, with the background first, before the maps are computed.

    Raises:
        ValueError: If an argument is not what is described here, if nothing in the model would be random, or if a layer
            outside the dropout family draws random numbers and is not listed in `deterministic_layers`.

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
        self.model = check_model("MCDropout", model)
        self.samples = argument("MCDropout", "samples", samples, Integer(least=1))
        seed = argument("MCDropout", "seed", seed, Maybe(Integer(least=0)))
        self.seed = int(np.random.SeedSequence().entropy % 2**32) if seed is None else seed
        self.shared = argument("MCDropout", "shared", shared, Flag())
        self.multilabel = argument("MCDropout", "multilabel", multilabel, Flag())
        _check_layers(model, _classes(deterministic_layers))
        # Custom code may draw random numbers that no check of layers sees: its first sample is drawn twice.
        self._repeats = not custom_layers(model)
        self._stem, self._head = _stem_and_head(model)
        self._sampler = Sampler(self._head, shared)

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
            images: Network input, `(images, *spatial, channels)`, finite numbers.
            batch_size: Number of images predicted at a time, at least 1.
            case: Number of the case that the images belong to, at least 0. Each case gets different masks.

        Returns:
            `UncertaintyMaps`. Memory does not depend on `samples`.

        Raises:
            ValueError: If the images are not what the model takes, if a value is not finite, or if the model does not
                return probabilities for each voxel: logits, NaN, or classes that do not sum to 1.
        """
        images, batch_size, case = self._checked(images, batch_size, case)
        return UncertaintyMaps.concatenate(self._parts(images, batch_size, case), len(images))

    def _parts(self, images, batch_size, case):
        """Yield the maps of one batch after the other."""
        for start, batch in _batches(images, batch_size):
            total = MapSum()
            features = self._features(batch)
            for sample in range(self.samples):
                total.add(self._sample(batch, features, batch_size, case, sample, start))
            yield total.maps()

    def draw(self, images: np.ndarray, batch_size: int = 8, case: int = 0) -> Iterator[np.ndarray]:
        """Yield the samples that `predict` averages, one at a time, each `(images, *spatial, classes)`."""
        images, batch_size, case = self._checked(images, batch_size, case)
        return (
            np.concatenate([network(batch, start, batch_size) for start, batch in _batches(images, batch_size)])
            for network in self.networks(case)
        )

    def networks(self, case: int = 0) -> Iterator[Callable[..., np.ndarray]]:
        """Yield one prediction function per sample.

        Each is `network(images, start=0, batch_size=None, phase=None)` and returns probabilities
        `(images, *spatial, classes)`. `start` is the number of the first image; `phase` is the position of the window
        (see `anchored`).
        """
        for sample in range(self.samples):

            def network(images, start=0, batch_size=None, phase=None, sample=sample):
                images = check_images("MCDropout", images, input_shape(self.model))
                features = self._features(images)
                return self._sample(images, features, batch_size or len(images), case, sample, start, phase)

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
        shape = input_shape(self.model)
        if shape is None or shape[-1] is None:
            raise ValueError(
                "Masks anchored to an image need a model that knows its input_shape: a functional or sequential one. "
                "Or use consistent=False."
            )
        other = copy.copy(self)
        other._sampler = Sampler(self._head, True, tuple(window))
        features = keras.KerasTensor((1, *window, shape[-1]))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # If the network fails, Keras first warns that it is not built.
                other._sampler(features if self._stem is None else self._stem(features))
        except Exception as error:
            raise ValueError(explained("MCDropout", tuple(features.shape), error)) from error
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

    def _checked(self, images, batch_size, case):
        return check_images("MCDropout", images, input_shape(self.model)), *check_options("MCDropout", batch_size, case)

    def _features(self, batch):
        """Output of the deterministic first part of the model, which is the same for every sample."""
        return batch if self._stem is None else forward("MCDropout", self._stem, batch, batch.shape)

    def _sample(self, batch, features, *which):
        """One sample of a batch with its features, checked and made exclusive."""
        output = self._run(batch, features, *which)
        if not self._repeats:
            check_repeats("MCDropout", self.model, lambda: self._run(batch, self._features(batch), *which), output)
            self._repeats = True
        return output

    def _run(self, batch, features, batch_size, case, sample, start, phase=None):
        # Shared masks do not depend on the position in the volume, so batches of any size give the same sample.
        self._sampler.seed([self.seed, case, sample, 0 if self.shared else start])
        if phase is not None:
            self._sampler.place(phase)
        count = len(batch)
        if keras.backend.backend() == "jax" and count < batch_size:
            # JAX compiles again for every batch size, so the last batch is filled up.
            features = keras.tree.map_structure(
                lambda x: np.concatenate([x, np.repeat(x[:1], batch_size - count, axis=0)]), features
            )
        output = forward("MCDropout", self._sampler, features, batch.shape)
        output = keras.tree.map_structure(lambda x: x[:count], output)
        output = check_output("MCDropout", output, batch.shape, self.multilabel)
        return exclusive(output) if self.multilabel else output


def _classes(deterministic_layers):
    """The argument as a tuple of classes."""
    if isinstance(deterministic_layers, type):
        deterministic_layers = (deterministic_layers,)
    if isinstance(deterministic_layers, str) or not all(isinstance(kind, type) for kind in deterministic_layers):
        raise ValueError(
            "MCDropout expects `deterministic_layers` to be a tuple of classes, such as (keras.layers.LSTM,). "
            f"Received: {shown(deterministic_layers)}."
        )
    return tuple(deterministic_layers)


def _check_layers(model, deterministic_layers):
    every_layer = all_layers(model)
    dropouts = [layer for layer in every_layer if isinstance(layer, FAMILY)]
    if not any(layer.rate > 0 for layer in dropouts):
        names = [layer.name for layer in dropouts]
        reason = (
            f"its dropout layers {names} have rate 0" if names else f"it has none among its {len(every_layer)} layers"
        )
        raise ValueError(
            f"MCDropout needs a model with dropout layers, but {reason}: every sample would be the same. Train with "
            f"dropout, or use `Ensemble` with several models."
        )
    handled = (*FAMILY, *TRAINING_ONLY)
    handled_seeds = {id(seed) for layer in every_layer if isinstance(layer, handled) for seed in _seeds(layer)}
    for layer in every_layer:
        layer_seeds = {id(seed) for seed in _seeds(layer)} - handled_seeds
        child_seeds = {id(seed) for child in all_layers(layer)[1:] for seed in _seeds(child)}
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
        stem, head = parts
        _SPLITS[model] = deterministic(stem), head
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
        sampled = any(isinstance(part, FAMILY) and part.rate > 0 for part in all_layers(layer))
        if sampled or any(id(tensor) in random for tensor in inputs):
            boundary.update({id(tensor): tensor for tensor in inputs if id(tensor) not in random})
            random.update(id(tensor) for tensor in outputs)
    boundary = list(boundary.values())
    if {id(tensor) for tensor in boundary} == {id(tensor) for tensor in model.inputs}:
        return None
    features = boundary[0] if len(boundary) == 1 else boundary
    return keras.Model(model.input, features), keras.Model(features, model.output)


def _batches(images, batch_size):
    for start in range(0, len(images), batch_size):
        yield start, images[start : start + batch_size]
