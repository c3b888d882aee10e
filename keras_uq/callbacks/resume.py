"""Resume an interrupted training so that it gives the same result as an uninterrupted one."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from keras import callbacks, ops

# Attributes in which callbacks of Keras keep their state between epochs. All of them are plain numbers.
REMEMBERED = ("best", "best_epoch", "wait", "stopped_epoch", "cooldown_counter")


class Resume(callbacks.Callback):
    """Save the whole state of a training after each epoch, and restore it when training starts again.

    `keras.callbacks.BackupAndRestore` saves weights, optimizer and epoch. This callback also saves the random states of
    dropout layers, the state of the other callbacks (with `get_state()` and `set_state(state)`, if they have them), and
    the history. The weights are written first and the state is then renamed into place, so a process killed at any
    moment leaves a complete epoch to resume from.

    Put it *last* in the list of callbacks, because `on_train_begin` resets the others. The result is equal bit for bit
    only if the order of the batches is a function of the epoch (`fit(shuffle=False)` with a data set that shuffles
    itself by epoch) and, on TensorFlow's CPU, if `TF_NUM_INTEROP_THREADS=1` is set before TensorFlow is imported. On
    PyTorch, give dropout layers a `seed`: without one, Keras draws masks from a global generator, which is not saved.

    Args:
        folder: Folder for the state. Each training needs a separate folder.
        others: The other callbacks of this training, in the same order each time.

    Attributes:
        history: The logs of all epochs so far, one dictionary per epoch, including those before an interruption.
    """

    def __init__(self, folder: str | os.PathLike, others: Sequence[callbacks.Callback] = ()) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.others = list(others)
        self.history = []

    def on_train_begin(self, logs=None):
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "state.json"
        if not file.exists():
            return
        state = json.loads(file.read_text())
        self.model.optimizer.build(self.model.trainable_variables)
        self.model.load_weights(self.folder / state["weights"])
        for variable, value in zip(self._seeds(), state["seeds"], strict=True):
            variable.assign(np.asarray(value, dtype=variable.dtype))
        for callback, remembered in zip(self.others, state["callbacks"], strict=True):
            for name, value in remembered.items():
                setattr(callback, name, value)
        for callback, saved in zip(self._with_state(), state.get("states", ()), strict=True):
            callback.set_state(saved)
        self.history = state["history"]
        # Private API of Keras, also used by its BackupAndRestore: nothing public tells a running `fit` where to begin.
        # If it changes, test_an_interrupted_training_ends_like_an_uninterrupted_one fails.
        self.model._initial_epoch = state["epoch"]
        if state["stopped"]:
            # A callback had stopped the training, so `fit` must not run another epoch.
            self.model._initial_epoch = self.params["epochs"]

    def on_epoch_end(self, epoch, logs=None):
        self.history.append({"epoch": epoch, **{name: float(value) for name, value in (logs or {}).items()}})
        weights = self.folder / f"epoch{epoch + 1}.weights.h5"
        self.model.save_weights(weights)
        state = {
            "epoch": epoch + 1,
            "weights": weights.name,
            "stopped": bool(self.model.stop_training),
            "seeds": [np.asarray(ops.convert_to_numpy(seed)).tolist() for seed in self._seeds()],
            "callbacks": [
                {name: _plain(getattr(callback, name)) for name in REMEMBERED if hasattr(callback, name)}
                for callback in self.others
            ],
            "states": [callback.get_state() for callback in self._with_state()],
            "history": self.history,
        }
        (self.folder / "state.partial").write_text(json.dumps(state))
        os.replace(self.folder / "state.partial", self.folder / "state.json")
        for old in self.folder.glob("epoch*.weights.h5"):
            if old != weights:
                old.unlink()

    def _with_state(self):
        """The callbacks that save and restore their own state, as JSON types."""
        return [callback for callback in self.others if hasattr(callback, "get_state")]

    def _seeds(self):
        """The random states of the model's layers, in the model's order."""
        return [v for v in self.model.non_trainable_variables if "seed_generator_state" in v.path]


def _plain(value):
    return value if value is None or isinstance(value, (int, float)) else float(value)
