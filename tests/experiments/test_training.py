"""A training stops before its weights would not fit on the disk."""

import errno
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from experiments import training
from experiments.plan import plan
from experiments.training import Diverged, Room, train
from keras_uq.callbacks import Resume
from tests.experiments.test_plan import Data
from tests.experiments.tiny import TABLE, small_unet


def free(monkeypatch, size):
    monkeypatch.setattr(training.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(size, 0, size))


@pytest.mark.parametrize("event", ["on_train_begin", "on_epoch_end"])
def test_without_room_for_the_weights_of_an_epoch_training_stops(tmp_path, monkeypatch, event):
    model = small_unet((None, None, 1), 2, 0.9)
    model.compile(keras.optimizers.Adam(), "mse")
    model.optimizer.build(model.trainable_variables)
    model.save_weights(tmp_path / "x.weights.h5")
    written = 3 * (tmp_path / "x.weights.h5").stat().st_size
    room = Room(tmp_path)
    room.set_model(model)
    arguments = () if event == "on_train_begin" else (0,)
    free(monkeypatch, written)
    with pytest.raises(OSError, match="the weights of an epoch take up to") as error:
        getattr(room, event)(*arguments)
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(tmp_path))
    free(monkeypatch, int(1.2 * written))  # The estimate is close to what is written.
    getattr(room, event)(*arguments)


def test_room_is_looked_for_before_anything_is_written(tmp_path, monkeypatch):
    used = []
    monkeypatch.setattr(keras.Model, "fit", lambda *_, callbacks, **__: used.extend(callbacks))
    monkeypatch.setattr(training, "_data", lambda job: (SimpleNamespace(), None))
    job = plan(TABLE, TABLE.settings, Data(), [0], row="Dice Loss")[0]
    with pytest.raises(Diverged):
        train(job, tmp_path)
    assert isinstance(used[0], Room)
    assert isinstance(used[-1], Resume)
    assert used[0] not in used[-1].others  # States that were saved without it are still taken up.
    assert np.unique([type(callback) is Room for callback in used[1:]]).tolist() == [False]
