"""Train the network of one job: a function of its configuration and the data, whenever it is killed and resumed."""

import re
from pathlib import Path

import keras
from keras.callbacks import EarlyStopping

from experiments.choices import MODES, Patches, Volumes
from experiments.inputs.batches import Batches, FollowEpoch
from experiments.inputs.patches import RandomPatches, Tiles
from keras_uq import losses, metrics
from keras_uq.callbacks import AdaptiveTverskyCE, KeepBest, Resume


class Diverged(RuntimeError):
    """No epoch of a training had a finite value, so there is nothing to test."""


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
    model.fit(batches, validation_data=validation, callbacks=[*callbacks, resume], verbose=verbose, **order)
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
