"""Run a Keras model at inference: what in it is random, how that is put to rest, and what its errors mean."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

# The layers that `MCDropout` samples. `SpatialDropout1D`, `2D` and `3D` inherit from `Dropout`.
FAMILY = (layers.Dropout, layers.GaussianDropout, layers.AlphaDropout)

# Random layers of Keras that act in training only: at inference they return their input unchanged.
TRAINING_ONLY = tuple(
    getattr(layers, name)
    for name in dir(layers)
    if name.startswith("Random") or name in ("AugMix", "CutMix", "GaussianNoise", "MixUp", "Pipeline", "RandAugment")
)

# Layers of Keras that run code which Keras has not written.
FOREIGN = tuple(
    getattr(layers, name)
    for name in ("Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper")
    if hasattr(layers, name)
)

# Largest difference that rounding may make between two predictions of the same images.
ROUNDING = 1e-4

# Lines of Keras's and TensorFlow's messages that say nothing about the cause, and the ends of lines that do not.
NOISE = re.compile(
    r"Graph execution error|Could not automatically infer|"
    r"Detected at node|defined at|stack traces|File \"|Arguments received|Exception encountered|"
    r"\[\[\{\{node|^[•<]|^$"
)
TAIL = re.compile(r"\s*( for '\{\{node.*|\[Op:.*)")
# What colours letters on a terminal.
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Causes that sides of unsuitable size have.
UNEQUAL = re.compile(r"dimension|matching shape|incompatible shapes|concat", re.IGNORECASE)


def all_layers(model: keras.Layer) -> list[keras.Layer]:
    """Return a model with all layers in it, also those inside custom layers and subclassed models."""
    # Private API of Keras: no public method also lists layers inside custom layers and subclassed models. If it
    # changes, test_any_model_is_sampled_and_left_as_it_was fails.
    return model._flatten_layers(include_self=True, recursive=True)


def custom_layers(model: keras.Model) -> list[str]:
    """Return the names of the classes in a model that Keras has not written."""
    kinds = {
        type(layer).__name__
        for layer in all_layers(model)
        if isinstance(layer, FOREIGN) or type(layer).__module__.partition(".")[0] != "keras"
    }
    return sorted(kinds)


class Redirected:
    """A context in which layers run functions instead of their `call` methods.

    It is entered while a model is traced and is not thread-safe: a second thread that traces or calls the model at the
    same time may get the functions, too. Use one predictor and one model per thread.
    """

    def __init__(self, calls: list[tuple[keras.Layer, Callable[..., Any]]]) -> None:
        self.calls = calls

    def __enter__(self) -> None:
        for layer, call in self.calls:
            # A function and not a layer, because Keras would track an assigned layer as a part of the model.
            layer.call = call

    def __exit__(self, *error: object) -> None:
        for layer, _ in self.calls:
            del layer.call


def resting(model: keras.Model, sampled: tuple[type, ...] = ()) -> list[tuple[keras.Layer, Callable[..., Any]]]:
    """Return the random layers of a model, each with a function that runs it as at inference, whatever it is told.

    A custom layer may call them with `training=True`, and so may the `call` of a subclass.
    """
    kinds = (*FAMILY, *TRAINING_ONLY, layers.RNN)
    return [
        (layer, _at_inference(layer))
        for layer in all_layers(model)
        if isinstance(layer, kinds) and not isinstance(layer, sampled)
    ]


def _at_inference(layer):
    written_by_keras = next(kind for kind in type(layer).__mro__ if kind.__module__.partition(".")[0] == "keras")
    signature = inspect.signature(written_by_keras.call)

    def call(*args, **kwargs):
        bound = signature.bind_partial(layer, *args, **kwargs)
        bound.arguments["training"] = False
        return written_by_keras.call(*bound.args, **bound.kwargs)

    return call


class AtRest(keras.Model):
    """A model in which no random layer of Keras acts, whatever custom code in it says. It is never saved."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__(name="at_rest")
        self.model = model
        self._calls = Redirected(resting(model))

    def call(self, images, training=False):
        """Predict as at inference."""
        with self._calls:
            return self.model(images, training=False)


def deterministic(model: keras.Model) -> keras.Model:
    """Return a model that predicts without random layers: the model itself, or one `AtRest` if it has custom code.

    Keras calls its layers with `training=False`, also those whose `training=True` is a part of a functional model. Only
    custom code can call them otherwise.
    """
    return AtRest(model) if custom_layers(model) else model


def check_repeats(caller: str, model: keras.Model, predict: Callable[[], np.ndarray], output: np.ndarray) -> None:
    """Predict once more and compare, if the model has custom code: it may draw random numbers unseen by Keras.

    Raises:
        ValueError: If the two predictions of the same images differ by more than rounding.
    """
    custom = custom_layers(model)
    if custom and not np.allclose(predict(), output, rtol=0, atol=ROUNDING):
        raise ValueError(
            f"{caller}: two predictions of the same images differ, so custom code in {model.name!r} "
            f"({', '.join(custom)}) draws random numbers at inference. Draw them only if `training` is true, or use a "
            "dropout layer of Keras inside the custom layer, which MCDropout samples."
        )


def forward(caller: str, model: keras.Model, inputs: Any, shape: tuple[int, ...]) -> Any:
    """Return `model.predict_on_batch(inputs)`.

    Args:
        caller: Name of the predictor, for messages.
        model: The model, or a part of it.
        inputs: Its input.
        shape: Shape of the images, for messages.

    Raises:
        ValueError: If Keras or the backend raises; the message names the shape, the reason and what to try.
    """
    try:
        return model.predict_on_batch(inputs)
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(explained(caller, shape, error)) from error


def explained(caller: str, shape: tuple[int, ...], error: Exception) -> str:
    """Return what an error of Keras or of the backend means for someone who predicts images of this shape."""
    if "ResourceExhausted" in type(error).__name__ or "OutOfMemory" in type(error).__name__:
        return f"{caller}: a batch of shape {shape} needs more memory than there is. Use a smaller batch_size."
    lines = [TAIL.sub("", line).strip() for line in COLOURS.sub("", str(error)).splitlines()]
    reason = next((line for line in lines if not NOISE.search(line)), type(error).__name__)[:300].rstrip(". ")
    hint = (
        " If the model halves its input, each side must be a multiple of its total stride, 16 for four poolings: pad "
        "the images, for example with Preprocessing(multiple=16), or choose such a window."
    )
    return f"{caller}: the model cannot predict images of shape {shape}: {reason}.{hint * bool(UNEQUAL.search(reason))}"
