"""Train the network of one job: a function of its configuration and the data, whenever it is killed and resumed."""

import errno
import math
import re
import shutil
from pathlib import Path

import keras
from keras.callbacks import EarlyStopping

from experiments.choices import MODES, Patches, Volumes
from experiments.inputs.batches import Batches, FollowEpoch
from experiments.inputs.patches import RandomPatches, Tiles
from keras_uq import losses, metrics
from keras_uq.callbacks import AdaptiveTverskyCE, KeepBest, Resume
from keras_uq.files import gibibytes

# Files of weights that an epoch may write: the best by each monitored value, and the state to resume from.
FILES_OF_EPOCH = len(MODES) + 1
# Bytes of such a file: of each number, and those that HDF5 adds for a variable (935 measured).
NUMBER, VARIABLE = 4, 1000


class Diverged(RuntimeError):
    """No epoch of a training had a finite value, so there is nothing to test."""


class Room(keras.callbacks.Callback):
    """Raise `OSError` before weights are written to a disk without room for them: HDF5 may end the whole process then.

    Args:
        folder: In which the weights are written.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = Path(folder)

    def on_train_begin(self, logs=None):
        variables = {id(variable): variable for variable in (*self.model.variables, *self.model.optimizer.variables)}
        size = FILES_OF_EPOCH * sum(NUMBER * math.prod(each.shape) + VARIABLE for each in variables.values())
        if shutil.disk_usage(self.folder).free < size:
            raise OSError(errno.ENOSPC, f"the weights of an epoch take up to {gibibytes(size)}", str(self.folder))

    def on_epoch_end(self, epoch, logs=None):
        self.on_train_begin()


def weights_file(keep):
    """Name of the weights of the best epoch."""
    return f"best_{keep}.weights.h5"


def trained_files(job):
    """Names of the files of a training, its record last."""
    control = job.row.control
    return (*map(weights_file, MODES), *(control.files if control else ()), "history.csv", "training.json")


def build(job):
    """The job's network for the data's channels and classes, uncompiled."""
    row, settings = job.row, job.settings
    shape = (None,) * settings.input.rank + (job.data.channels,)
    changes = {"classes": row.channels.outputs(job.data), **row.channels.arguments, **row.network}
    return job.table.model(shape, filters=settings.filters, norm_momentum=settings.norm_momentum, **changes)


def train(job, folder, inputs=(), verbose=2, tensorboard=None):
    """Train one network; take up an interrupted training.

    Args:
        job: The `Job`.
        folder: For weights and for what a resumed training needs.
        inputs: Folders of the cells that the job is made of.
        verbose: As in `fit`.
        tensorboard: Folder of logs, or `None`.

    Returns:
        Its history, one dictionary per epoch. Raises `Diverged` if no epoch had a finite value of `settings.keep`.
    """
    row, settings = job.row, job.settings
    keras.utils.clear_session()
    keras.utils.set_random_seed(job.seed)
    model = build(job)
    score = metrics.DiceMetric(hard=settings.hard_dice, multilabel=row.channels.multilabel)
    loss = _fresh(row.loss)
    model.compile(optimizer=settings.optimizer.build(), loss=loss, metrics=[score, *getattr(loss, "metrics", [])])
    batches, validation = _data(job)
    callbacks = [
        FollowEpoch(batches),
        settings.schedule.callback(settings),
        EarlyStopping(settings.monitor, patience=settings.patience, mode=MODES[settings.monitor]),
        *(row.control.callbacks(batches, job, inputs, folder) if row.control else []),
        *([AdaptiveTverskyCE()] if getattr(loss, "adaptive", None) else []),
        *[KeepBest(folder / weights_file(keep), keep, mode) for keep, mode in MODES.items()],
    ]
    if tensorboard:
        name = re.sub(r"\W+", "-", row.name.lower())
        callbacks.append(keras.callbacks.TensorBoard(Path(tensorboard) / f"{name}-seed{job.seed}"))
    resume = Resume(folder / "resume", callbacks)
    order = {"epochs": settings.epochs, "shuffle": False}
    watched = [Room(folder), *callbacks, resume]
    model.fit(batches, validation_data=validation, callbacks=watched, verbose=verbose, **order)
    if not (folder / weights_file(settings.keep)).exists():
        raise Diverged(f"{settings.keep} was never finite, so there is no epoch to test.")
    return resume.history


def _fresh(loss):
    """A loss of ours as it is configured: an adaptive one has a state, which no other training must find."""
    if not isinstance(loss, losses.SegmentationLoss):
        return loss
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))


def _data(job):
    """Batches to train and to validate on."""
    data, settings, channels = job.data, job.settings, job.row.channels
    classes, batch = channels.classes(data), settings.batch
    if isinstance(settings.input, Patches):
        sides = settings.input.sides
        batches = RandomPatches(data, "train", sides, batch, settings.steps, job.seed, classes)
        return batches, Tiles(data, "validation", sides, batch, classes)
    volumes = isinstance(settings.input, Volumes)
    shared = {"volumes": volumes, "classes": classes, "multilabel": channels.multilabel}
    order = {"seed": job.seed, "steps": settings.steps}
    changes = {"augment": settings.augmentation, "with_epsilon": job.row.control is not None}
    batches = Batches(data, "train", batch, **order, **changes, **shared)
    return batches, Batches(data, "validation", batch, **shared)
