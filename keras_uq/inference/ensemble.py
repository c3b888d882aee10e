"""Combine several models into one predictor: a deep ensemble (Lakshminarayanan et al., 2017)."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_uq.inference.maps import MapSum, UncertaintyMaps
from keras_uq.inference.model_file import load_model
from keras_uq.inference.multilabel import exclusive


class Ensemble:
    """Average the predictions of several models, with the same interface as `MCDropout`.

    Args:
        models: Keras models, paths of `.keras` files, or predictors such as `MCDropout`. Files are loaded one at a
            time, so memory does not grow with their number. Each sample of a predictor counts as one member.
        multilabel: Whether the models' channels are independent foreground classes. Each prediction is then converted
            by `exclusive`, with the background first. Set `multilabel` of a predictor among the members on the
            predictor itself.

    Raises:
        ValueError: If there is no model.
    """

    def __init__(self, models: Iterable[Any], multilabel: bool = False) -> None:
        self.models = list(models)
        self.multilabel = multilabel
        if not self.models:
            raise ValueError("An ensemble needs at least one model. Received: none.")

    def describe(self) -> dict[str, Any]:
        """Return the settings needed to repeat the prediction, as JSON types."""
        channels = {"channels": "independent, made exclusive"} if self.multilabel else {}
        return {"method": "ensemble", "members": [_describe(member) for member in self.models], **channels}

    def predict(self, images: np.ndarray, batch_size: int = 8, case: int = 0) -> UncertaintyMaps:
        """Return the maps of the images, as `MCDropout.predict` does; each member is one sample."""
        total = MapSum()
        for sample in self.draw(images, batch_size, case):
            total.add(sample)
        return total.maps()

    def draw(self, images: np.ndarray, batch_size: int = 8, case: int = 0) -> Iterator[np.ndarray]:
        """Yield the prediction of each member, `(images, *spatial, classes)`."""
        for member in self.models:
            if hasattr(member, "draw"):
                yield from member.draw(images, batch_size, case)
                continue
            network, starts = self._network(member), range(0, len(images), batch_size)
            yield np.concatenate([network(images[start : start + batch_size]) for start in starts])

    def networks(self, case: int = 0) -> Iterator[Callable[..., np.ndarray]]:
        """Yield one prediction function per member, as `MCDropout.networks` does.

        Raises:
            ValueError: If a member is a predictor without `networks`.
        """
        for member in self.models:
            if hasattr(member, "networks"):
                yield from member.networks(case)
            elif hasattr(member, "draw"):
                raise ValueError(f"A {type(member).__name__} among the members cannot be asked window by window.")
            else:
                yield self._network(member)

    def _network(self, member):
        model = load_model(member) if isinstance(member, (str, Path)) else member

        def network(images, start=0, batch_size=None, phase=None):
            del start, batch_size, phase  # These select dropout masks; a deterministic model has none.
            probabilities = np.asarray(model.predict_on_batch(images), dtype="float32")
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


def _describe(member):
    if hasattr(member, "describe"):
        return member.describe()
    return Path(member).name if isinstance(member, (str, Path)) else member.name
