"""How the epsilon of a row's images is set while it trains, by the row's `control`."""

import json

import keras
import numpy as np
import pandas as pd

from data_prep.prepared import write_text
from keras_uq.callbacks import AdaptiveEpsilon

# What is kept beside the weights of a training with refreshes.
RECORD = "epsilon.json"
QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)


class Shuffled(AdaptiveEpsilon):
    """The same distribution of epsilon, each given to another image: does it matter whose it is?

    The images are exchanged once, by the seed.
    """

    def refresh(self, epoch):
        super().refresh(epoch)
        self._epsilon = self._epsilon[np.random.default_rng([self.seed, 1]).permutation(len(self._epsilon))]
        self.refreshes[-1]["epsilon"] = self._epsilon.tolist()


class Replayed(keras.callbacks.Callback):
    """Every image has the mean epsilon that another training had in the same epoch: is it the schedule alone?

    Args:
        data: The training data.
        history: Of the other training, a CSV with `epsilon_mean`. After its last epoch, that one's value stays.
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


class Kept(keras.callbacks.Callback):
    """Write what the refreshes of `adaptive` found to a file after each epoch: quantiles, and the last one whole."""

    def __init__(self, adaptive, path):
        super().__init__()
        self.adaptive = adaptive
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        refreshes = self.adaptive.refreshes
        found = {"quantiles": QUANTILES, "refreshes": [_quantiles(refresh) for refresh in refreshes]}
        if refreshes:
            found |= {name: _short(refreshes[-1][name]) for name in ("difficulty", "epsilon")}
        write_text(self.path, json.dumps(found))


def _quantiles(refresh):
    line = {name: refresh[name] for name in ("epoch", "seconds", "sampled")}
    for name in ("difficulty", "epsilon"):
        known = [value for value in refresh[name] if value is not None]
        line[name] = _short(np.quantile(known, QUANTILES).tolist())
    return line


def _short(values):
    return [None if value is None else float(f"{value:.6g}") for value in values]


def callbacks_of(row, batches, settings, seed, inputs, folder):
    """Callbacks that a row's `control` needs: none, or what sets the epsilon of `batches`.

    Args:
        row: Of the table; its control is `None`, `"adaptive"`, `"shuffled"` or `"replayed"`.
        batches: Of the training.
        settings: `Settings`, for when to refresh and how much.
        seed: Of the cell.
        inputs: Folders of the cells the row is made of; `"replayed"` follows the first.
        folder: For the record.
    """
    if row.control is None:
        return []
    if row.control == "replayed":
        return [Replayed(batches, inputs[0] / "history.csv")]
    kind = {"adaptive": AdaptiveEpsilon, "shuffled": Shuffled}[row.control]
    adaptive = kind(
        batches,
        start_epoch=settings.epsilon_start,
        every=settings.epsilon_every,
        samples=settings.epsilon_samples,
        subset=settings.epsilon_subset,
        batch_size=settings.batch,
        seed=seed,
    )
    return [adaptive, Kept(adaptive, folder / RECORD)]
