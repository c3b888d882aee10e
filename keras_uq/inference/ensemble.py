"""Several models as one predictor (Lakshminarayanan et al., 2017)."""

import math
from pathlib import Path

import numpy as np

from keras_uq.inference.maps import MapSum
from keras_uq.inference.multilabel import exclusive
from keras_uq.inference.published import load_model


class Ensemble:
    """Members that predict one after the other, with the interface of `MCDropout`.

    Args:
        models: Keras models, `.keras` files, or predictors such as `MCDropout`. Files are loaded one at a time, so the
            memory needed does not grow with their number. The samples of a predictor count as members of their own.
        multilabel: The models' channels are independent foreground classes: each prediction becomes the `exclusive`
            vector, with the background first. A predictor among the members has an argument of its own for it.

    Raises:
        ValueError: If there is no model.
    """

    def __init__(self, models, multilabel=False):
        self.models = list(models)
        self.multilabel = multilabel
        if not self.models:
            raise ValueError("An ensemble needs at least one model. Received: none.")

    def describe(self):
        """What is needed to repeat the prediction, as JSON types."""
        channels = {"channels": "independent, made exclusive"} if self.multilabel else {}
        return {"method": "ensemble", "members": [_describe(member) for member in self.models], **channels}

    def predict(self, images, batch_size=8, case=0):
        """Maps of the images, as `MCDropout.predict`; a member is a sample."""
        total = MapSum()
        for sample in self.draw(images, batch_size, case):
            total.add(sample)
        return total.maps()

    def draw(self, images, batch_size=8, case=0):
        """Yield the members' predictions, one after the other, each `(images, *spatial, classes)`."""
        for member in self.models:
            if hasattr(member, "draw"):
                yield from member.draw(images, batch_size, case)
                continue
            network, starts = self._network(member), range(0, len(images), batch_size)
            yield np.concatenate([network(images[start : start + batch_size]) for start in starts])

    def networks(self, case=0):
        """Yield the members' networks, as `MCDropout.networks` does.

        Raises:
            ValueError: If a member is a predictor that has none.
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
            del start, batch_size, phase  # It has no masks.
            found = np.asarray(model.predict_on_batch(images), dtype="float32")
            return exclusive(found) if self.multilabel else found

        return network

    def anchored(self, window):
        """A copy whose members have anchored masks, if they have masks: see `MCDropout.anchored`."""
        members = [member.anchored(window) if hasattr(member, "anchored") else member for member in self.models]
        other = Ensemble(members, self.multilabel)
        strides = [member.strides for member in members if hasattr(member, "strides")] or [(1,) * len(window)]
        other.strides = tuple(math.lcm(*of_axis) for of_axis in zip(*strides))
        return other


def _describe(member):
    if hasattr(member, "describe"):
        return member.describe()
    return Path(member).name if isinstance(member, (str, Path)) else member.name
