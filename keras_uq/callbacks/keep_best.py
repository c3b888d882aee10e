"""Save the weights of the best epoch, safely even if the process is killed while it writes."""

import math
import os
from pathlib import Path

import keras

from keras_uq._kinds import Choice, Text, argument, shown
from keras_uq.files import replacing, sweep


class KeepBest(keras.callbacks.Callback):
    """Save the weights whenever `monitor` improves on its best value so far.

    The file is written under a temporary name and then renamed, so it is complete at every moment.

    Args:
        path: File to write, ending in `.weights.h5`. Its folder is made.
        monitor: Entry of the logs, such as `"val_dice"`.
        mode: `"max"` or `"min"`.

    Raises:
        ValueError: For another ending or mode, and after the first epoch if the logs have no such entry.

    Attributes:
        best: The best value so far.
        best_epoch: Epoch of the best value, counted from 0; -1 before the first one. An epoch with a value that is not
            finite is never the best.
    """

    def __init__(self, path: str | os.PathLike, monitor: str, mode: str) -> None:
        super().__init__()
        argument("KeepBest", "mode", mode, Choice("max", "min"))
        argument("KeepBest", "monitor", monitor, Text(described="the name of an entry of the logs"))
        if not isinstance(path, (str, os.PathLike)) or not str(path).endswith(".weights.h5"):
            raise ValueError(f"KeepBest expects `path` to end in .weights.h5. Received: path={shown(path)}.")
        self.path = Path(path)
        self.monitor = monitor
        self.mode = mode
        self.best = -math.inf if mode == "max" else math.inf
        self.best_epoch = -1

    def on_train_begin(self, logs=None):
        sweep(self.path.parent)

    def on_epoch_end(self, epoch, logs=None):
        if self.monitor not in (logs or {}):
            raise ValueError(
                f"KeepBest monitors {self.monitor!r}. The logs contain {sorted(logs or {})}. Entries that begin with "
                f"`val_` need `validation_data` in `fit`."
            )
        value = float(logs[self.monitor])
        better = value > self.best if self.mode == "max" else value < self.best
        if math.isfinite(value) and better:
            self.best, self.best_epoch = value, epoch
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as temporary:
                self.model.save_weights(temporary)
