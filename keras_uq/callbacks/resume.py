"""Resume a killed training so that it ends like one that was never killed."""

import json
import os
from pathlib import Path

import numpy as np
from keras import callbacks, ops

# What the callbacks of a training remember between epochs. `best` and its like are plain numbers.
REMEMBERED = ("best", "best_epoch", "wait", "stopped_epoch", "cooldown_counter")


class Resume(callbacks.Callback):
    """Save the whole state of a training after each epoch, and take it up again when training starts.

    `keras.callbacks.BackupAndRestore` keeps weights, optimizer and epoch. This also keeps the counters of the dropout
    masks, what the other callbacks remember (also by `get_state()` and `set_state(state)`, if they have them), and the
    history. Weights and state are renamed into place in that order,
    so a process killed at any moment leaves the last whole epoch.

    Put it *last* in the list of callbacks, since `on_train_begin` resets the others. For the same end bit for bit, the
    order of the batches must be a function of the epoch (`fit(shuffle=False)` with a data set that shuffles itself by
    epoch), and on TensorFlow's CPU `TF_NUM_INTEROP_THREADS=1` must be set before it is imported. On PyTorch,
    give dropout layers a `seed`: Keras draws the masks of those without from a global generator, which is not kept.

    Args:
        folder: Where the state is kept. Another training needs another folder.
        others: The other callbacks of this training, in the same order each time.

    Attributes:
        history: The logs of every epoch so far, one dictionary each, across interruptions.
    """

    def __init__(self, folder, others=()):
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
        for callback, kept in zip(self._with_state(), state.get("states", ()), strict=True):
            callback.set_state(kept)
        self.history = state["history"]
        self.model._initial_epoch = state["epoch"]
        if state["stopped"]:
            # Ended by a callback: `fit` must not run another epoch.
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
        """Callbacks that keep more than plain numbers: they say what, as JSON types, and take it back."""
        return [callback for callback in self.others if hasattr(callback, "get_state")]

    def _seeds(self):
        """The counters of the model's random layers, in the model's order."""
        return [v for v in self.model.non_trainable_variables if "seed_generator_state" in v.path]


def _plain(value):
    return value if value is None or isinstance(value, (int, float)) else float(value)
