"""What sets the epsilon of each training image while a row trains: an uncertainty, or one of two controls."""

import dataclasses
import json
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd

from experiments.described import Described, setting
from keras_uq.callbacks import AdaptiveEpsilon
from keras_uq.files import write_text

# What is kept beside the weights of a training with refreshes.
RECORD = "epsilon.json"
QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)


@dataclass(frozen=True)
class Refreshes(Described):
    """When and how the epsilon of rows with a control is set anew.

    Args:
        start: Epoch before which the first refresh is made, counted from 1.
        every: Epochs between refreshes.
        samples: Of Monte Carlo dropout in a refresh.
        subset: Share of the images that a refresh samples.
    """

    start: int = setting("epoch of the first refresh")
    every: int = setting("epochs between refreshes")
    samples: int = setting("samples of a refresh")
    subset: float = setting("share of the images that a refresh samples")

    def scaled(self, share):
        """The same number of refreshes in `share` of the epochs."""
        return dataclasses.replace(
            self, start=max(round(self.start * share), 1), every=max(round(self.every * share), 1)
        )


class Adaptive:
    """Each image's epsilon follows its uncertainty."""

    name = "adaptive"
    files = (RECORD,)

    def config(self, refreshes, inputs):
        numbers = {f"epsilon_{name}": value for name, value in dataclasses.asdict(refreshes).items()}
        return {"control": self.name, **numbers, **({"inputs": inputs} if inputs else {})}

    def callbacks(self, batches, job, inputs, folder):
        refreshes = job.settings.extra
        adaptive = self.callback(
            batches,
            start_epoch=refreshes.start,
            every=refreshes.every,
            samples=refreshes.samples,
            subset=refreshes.subset,
            batch_size=job.settings.batch,
            seed=job.seed,
        )
        return [adaptive, KeepRefreshes(adaptive, folder / RECORD)]

    callback = AdaptiveEpsilon


class ShuffledEpsilon(AdaptiveEpsilon):
    """The epsilons of `AdaptiveEpsilon`, permuted between images once, by the seed."""

    def refresh(self, epoch):
        super().refresh(epoch)
        self._epsilon = self._epsilon[np.random.default_rng([self.seed, 1]).permutation(len(self._epsilon))]
        self.refreshes[-1]["epsilon"] = self._epsilon.tolist()


class Shuffled(Adaptive):
    """Control: each refresh's epsilons, permuted between images. Does the assignment matter?"""

    name = "shuffled"
    callback = ShuffledEpsilon


class Replayed:
    """Control: every image has the mean epsilon that the first input had in the same epoch. Is it the schedule?"""

    name = "replayed"
    files = ()

    def config(self, refreshes, inputs):
        return {"control": self.name, "inputs": inputs}

    def callbacks(self, batches, job, inputs, folder):
        return [ReplayEpsilon(batches, inputs[0] / "history.csv")]


class ReplayEpsilon(keras.callbacks.Callback):
    """Give every image the mean epsilon of another training.

    Args:
        data: The training data.
        history: Of the other training, a CSV with `epsilon_mean`. After its last epoch, that epoch's value stays.
    """

    def __init__(self, data, history):
        super().__init__()
        self.data = data
        self.values = pd.read_csv(history)["epsilon_mean"].to_numpy()

    def on_epoch_begin(self, epoch, logs=None):
        value = self.values[min(epoch, len(self.values) - 1)]
        self.data.epsilon_of = lambda ids: np.full(len(ids), value)
        self.value = float(value)

    def on_epoch_end(self, epoch, logs=None):
        logs["epsilon_mean"] = self.value


class KeepRefreshes(keras.callbacks.Callback):
    """Write what the refreshes of `adaptive` measured to a file after each epoch: quantiles, and the last one whole."""

    def __init__(self, adaptive, path):
        super().__init__()
        self.adaptive = adaptive
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        refreshes = self.adaptive.refreshes
        record = {"quantiles": QUANTILES, "refreshes": [_quantiles(refresh) for refresh in refreshes]}
        if refreshes:
            record |= {name: _short(refreshes[-1][name]) for name in ("difficulty", "epsilon")}
        write_text(self.path, json.dumps(record))


def _quantiles(refresh):
    line = {name: refresh[name] for name in ("epoch", "seconds", "sampled")}
    for name in ("difficulty", "epsilon"):
        measured = [value for value in refresh[name] if value is not None]
        line[name] = _short(np.quantile(measured, QUANTILES).tolist())
    return line


def _short(values):
    return [None if value is None else float(f"{value:.6g}") for value in values]
