"""Combine several models into one predictor: a deep ensemble (Lakshminarayanan et al., 2017)."""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_uq._kinds import Flag, argument, shown
from keras_uq.inference._checks import check_images, check_model, check_options, check_output, input_shape, input_shapes
from keras_uq.inference._forward import check_repeats, deterministic, forward
from keras_uq.inference.maps import MapSum, UncertaintyMaps
from keras_uq.inference.model_file import load_model
from keras_uq.inference.multilabel import exclusive
from keras_uq.inference.predictor import Predictor


class Ensemble:
    """Average the predictions of several models, with the same interface as `MCDropout`.

    Models are predicted deterministically: no dropout or augmentation layer acts, also where custom code in the model
    calls it with `training=True`.

    Args:
        models: Keras models, paths of `.keras` files, or predictors such as `MCDropout`. Files are loaded one at a
            time, so memory does not grow with their number. Each sample of a predictor counts as one member.
        multilabel: Whether the models' channels are independent foreground classes. Each prediction is then converted
            by `exclusive`, with the background first. Set `multilabel` of a predictor among the members on the
            predictor itself.

    Raises:
        ValueError: If there is no model, if a member is something else, or if a file does not exist.
    """

    def __init__(self, models: Iterable[keras.Model | str | os.PathLike | Predictor], multilabel: bool = False) -> None:
        if isinstance(models, (str, os.PathLike, keras.Model, dict)) or not isinstance(models, Iterable):
            raise ValueError(
                f"Ensemble expects a list of models. Received: {shown(models)}. For one model, use Ensemble([model])."
            )
        self.models = list(models)
        self.multilabel = argument("Ensemble", "multilabel", multilabel, Flag())
        if not self.models:
            raise ValueError("An ensemble needs at least one model. Received: none.")
        for index, member in enumerate(self.models):
            _check_member(index, member)
        self._deterministic = {}
        # Custom code may draw random numbers unseen by Keras: its first batch is predicted twice.
        self._repeating = set()

    def describe(self) -> dict[str, Any]:
        """Return the settings needed to repeat the prediction, as JSON types."""
        channels = {"channels": "independent, made exclusive"} if self.multilabel else {}
        return {"method": "ensemble", "members": [_describe(member) for member in self.models], **channels}

    def predict(self, images: np.ndarray, batch_size: int = 8, case: int = 0) -> UncertaintyMaps:
        """Return the maps of the images, as `MCDropout.predict` does; each member is one sample.

        Raises:
            ValueError: As `MCDropout.predict`, and if members differ in their number of classes.
        """
        total = MapSum()
        for sample in self.draw(images, batch_size, case):
            total.add(sample)
        return total.maps()

    def draw(self, images: np.ndarray, batch_size: int = 8, case: int = 0) -> Iterator[np.ndarray]:
        """Yield the prediction of each member, `(images, *spatial, classes)`."""
        for expected in input_shapes(self) or [None]:
            images = check_images("Ensemble", images, expected)
        batch_size, case = check_options("Ensemble", batch_size, case)
        return self._draw(images, batch_size, case)

    def _draw(self, images, batch_size, case):
        for index, member in enumerate(self.models):
            if hasattr(member, "draw"):
                yield from member.draw(images, batch_size, case)
                continue
            network, starts = self._network(index, member), range(0, len(images), batch_size)
            yield np.concatenate([network(images[start : start + batch_size]) for start in starts])

    def networks(self, case: int = 0) -> Iterator[Callable[..., np.ndarray]]:
        """Yield one prediction function per member, as `MCDropout.networks` does.

        Raises:
            ValueError: If a member is a predictor without `networks`.
        """
        for index, member in enumerate(self.models):
            if hasattr(member, "networks"):
                yield from member.networks(case)
            elif hasattr(member, "draw"):
                raise ValueError(f"A {type(member).__name__} among the members cannot be asked window by window.")
            else:
                yield self._network(index, member)

    def _network(self, index, member):
        caller = "Ensemble" if len(self.models) == 1 else f"Ensemble, model {index} ({_describe(member)})"
        if isinstance(member, (str, os.PathLike)):
            model = check_model(caller, load_model(member))
            at_rest = deterministic(model)
        else:
            model = member
            if index not in self._deterministic:
                self._deterministic[index] = deterministic(model)
            at_rest = self._deterministic[index]

        def predict(images):
            output = forward(caller, at_rest, images, images.shape)
            return check_output(caller, output, images.shape, self.multilabel)

        def network(images, start=0, batch_size=None, phase=None):
            del start, batch_size, phase  # These select dropout masks; a deterministic model has none.
            images = check_images(caller, images, input_shape(model))
            probabilities = predict(images)
            if index not in self._repeating:
                check_repeats(caller, model, lambda: predict(images), probabilities)
                self._repeating.add(index)
            return exclusive(probabilities) if self.multilabel else probabilities

        return network

    def anchored(self, window: Sequence[int]) -> "Ensemble":
        """Return a copy in which the dropout masks of the members are anchored to the image.

        See `MCDropout.anchored`. Members without dropout masks are used as they are.
        """
        members = [member.anchored(window) if hasattr(member, "anchored") else member for member in self.models]
        other = Ensemble(members, self.multilabel)
        strides = [member.strides for member in members if hasattr(member, "strides")] or [(1,) * len(window)]
        other.strides = tuple(math.lcm(*axis_strides) for axis_strides in zip(*strides))
        return other


def _check_member(index, member):
    caller = f"Ensemble, model {index}"
    if isinstance(member, (str, os.PathLike)):
        if not Path(member).is_file():
            raise ValueError(f"{caller}: there is no model file {os.fspath(member)!r}.")
    elif isinstance(member, type) or not hasattr(member, "draw"):
        check_model(caller, member)


def _describe(member):
    if hasattr(member, "describe"):
        return member.describe()
    return Path(member).name if isinstance(member, (str, os.PathLike)) else member.name
