"""Resume an interrupted training so that it gives the same result as an uninterrupted one."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from keras import callbacks, ops

from keras_uq._kinds import Anything, Flag, Integer, Items, Kind, Mapping, Maybe, Mismatch, Text, shown
from keras_uq.files import BadFile, check, read, sweep, write_text

# Attributes in which callbacks of Keras keep their state between epochs. All of them are plain numbers.
REMEMBERED = ("best", "best_epoch", "wait", "stopped_epoch", "cooldown_counter")


class _Real(Kind):
    """A number as Python's JSON writes it, NaN and infinity included."""

    def __str__(self):
        return "a number"

    def read(self, value):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Mismatch
        return value


# Fields of `state.json`.
STATE = {
    "epoch": Integer(least=1),
    "weights": Text(pattern=r"epoch[0-9]+\.weights\.h5", described="the name of a file, epoch<number>.weights.h5"),
    "stopped": Flag(),
    "seeds": Items(Items(Integer(-(2**63), 2**63 - 1))),
    "callbacks": Items(Mapping(Maybe(_Real()))),
    "states": Items(Anything()),
    "history": Items(Mapping(_Real())),
}


class Unfit(Exception):
    """A folder from which this training cannot be resumed."""


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

    Raises:
        ValueError: At the start of training, if the files of the folder are damaged or those of another training. The
            message names the file and the folder to delete.

    Attributes:
        history: The logs of all epochs so far, one dictionary per epoch, including those before an interruption.
    """

    def __init__(self, folder: str | os.PathLike, others: Sequence[callbacks.Callback] = ()) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.others = list(others)
        self.history = []

    def on_train_begin(self, logs=None):
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"Resume expects `folder` to be a folder. Received: {self.folder}, which is a file.")
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep(self.folder)
        file = self.folder / "state.json"
        if not file.exists():
            return
        try:
            state = self._restored(file)
        except Unfit as error:
            raise ValueError(
                f"{error} This training cannot be resumed: delete {self.folder} to train again from the first epoch."
            ) from error.__cause__
        self.history = list(state["history"])
        # Private API of Keras, also used by its BackupAndRestore: nothing public tells a running `fit` where to begin.
        # If it changes, test_an_interrupted_training_ends_like_an_uninterrupted_one fails.
        self.model._initial_epoch = state["epoch"]
        if state["stopped"]:
            # A callback had stopped the training, so `fit` must not run another epoch.
            self.model._initial_epoch = self.params["epochs"]

    def _restored(self, file):
        """Restore everything but the epoch from the files of the folder, and return the state."""
        try:
            state = check(read(file), STATE, file, optional=["states"])
        except BadFile as error:
            raise Unfit(str(error)) from None
        for what, expected in (("seeds", self._seeds()), ("callbacks", self.others), ("states", self._with_state())):
            if len(state.get(what, expected)) != len(expected):
                raise Unfit(
                    f"{file} is of another training: expected {len(expected)} {what}, as the model and the callbacks "
                    f"have now. Received: {len(state[what])}."
                )
        weights = self.folder / state["weights"]
        if not weights.is_file():
            raise Unfit(f"{file} names {weights.name}, which is not in {self.folder}.")
        self.model.optimizer.build(self.model.trainable_variables)
        try:
            self.model.load_weights(weights)
        except Exception as error:  # Keras and h5py raise exceptions of many kinds.
            first = str(error).strip().partition("\n")[0]
            raise Unfit(f"{weights} is damaged or of another model: {shown(first)}.") from error
        for variable, value in zip(self._seeds(), state["seeds"]):
            try:
                variable.assign(np.asarray(value, dtype=variable.dtype))
            except (OverflowError, ValueError):
                raise Unfit(f"{file}: expected a random state of a layer. Received: {shown(value)}.") from None
        for callback, remembered in zip(self.others, state["callbacks"]):
            for name, value in remembered.items():
                if name not in REMEMBERED or not hasattr(callback, name):
                    raise Unfit(f"{file}: {type(callback).__name__} has no {shown(name)} to restore.")
                setattr(callback, name, value)
        for callback, saved in zip(self._with_state(), state.get("states", ())):
            try:
                callback.set_state(saved)
            except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
                raise Unfit(f"{file}: the state of {type(callback).__name__} cannot be restored: {error}") from error
        return state

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
        write_text(self.folder / "state.json", json.dumps(state))
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
