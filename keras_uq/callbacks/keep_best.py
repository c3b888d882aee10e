"""Save the weights of the best epoch, safely even if the process is killed while it writes."""

import math
import os
from pathlib import Path

import keras


class KeepBest(keras.callbacks.Callback):
    """Save the weights whenever `monitor` improves on its best value so far.

    The file is written under a temporary name and then renamed, so it is complete at every moment.

    Args:
        path: File to write, ending in `.weights.h5`.
        monitor: Entry of the logs, such as `"val_dice"`.
        mode: `"max"` or `"min"`.

    Attributes:
        best: The best value so far.
        best_epoch: Epoch of the best value, counted from 0; -1 before the first one. An epoch with a value that is not
            finite is never the best.
    """

    def __init__(self, path: str | os.PathLike, monitor: str, mode: str) -> None:
        super().__init__()
        if mode not in ("max", "min"):
            raise ValueError(f'`mode` must be "max" or "min". Received: mode={mode!r}.')
        self.path = Path(path)
        self.monitor = monitor
        self.mode = mode
        self.best = -math.inf if mode == "max" else math.inf
        self.best_epoch = -1

    def on_epoch_end(self, epoch, logs=None):
        if self.monitor not in (logs or {}):
            raise ValueError(f"KeepBest monitors {self.monitor!r}. The logs contain {sorted(logs or {})}.")
        value = float(logs[self.monitor])
        better = value > self.best if self.mode == "max" else value < self.best
        if math.isfinite(value) and better:
            self.best, self.best_epoch = value, epoch
            temporary = self.path.with_name("partial-" + self.path.name)
            self.model.save_weights(temporary)
            os.replace(temporary, self.path)
