"""Train the network of one cell: a function of its configuration and the data, whenever it is killed and resumed."""

import re
from pathlib import Path

import keras
from keras.callbacks import EarlyStopping, ReduceLROnPlateau

from experiments.augmentation import AUGMENTATIONS
from experiments.batches import Batches, FollowEpoch
from experiments.controls import callbacks_of
from experiments.patches import Patches, Tiles
from keras_uq import losses, metrics, models
from keras_uq.callbacks import AdaptiveTverskyCE, KeepBest, Resume, StepDecay

# Weights are kept of the best epoch by each, so another choice costs no training.
MODES = {"val_dice": "max", "val_loss": "min"}


class Diverged(RuntimeError):
    """A training without one epoch whose value is finite: there is nothing to test."""


def weights_file(keep):
    """Name of the weights of the best epoch."""
    return f"best_{keep}.weights.h5"


def build(table, row, settings, data):
    """The row's network for the data's channels and classes, uncompiled."""
    channels = data.image(data.split["train"][0]).shape[-1]
    shape = (None,) * (3 if settings.volumes or settings.patch else 2) + (channels,)
    changes = {"classes": _outputs(table, row, data), **row.network}
    return table.model(shape, filters=settings.filters, norm_momentum=settings.norm_momentum, **changes)


def _outputs(table, row, data):
    return table.classes(data) - row.multilabel


def model_config(table, row, settings, data):
    """What `build` builds, as JSON types."""
    model, outputs = getattr(table.model, "func", table.model), _outputs(table, row, data)
    place = "keras_uq.models" if hasattr(models, model.__name__) else model.__module__
    changes = {**getattr(table.model, "keywords", {}), **({} if outputs == 1 else {"classes": outputs}), **row.network}
    return {
        "builder": f"{place}.{model.__name__}",
        "arguments": {**changes, "filters": settings.filters, "norm_momentum": settings.norm_momentum},
    }


def train(table, row, seed, settings, data, folder, verbose, tensorboard=None, inputs=()):
    """Train one network; take up an interrupted training.

    Args:
        table: The `Table`.
        row: Its `Row`.
        seed: Of weights, order and dropout.
        settings: The `Settings`.
        data: `Prepared`.
        folder: For weights and for what a resumed training needs.
        verbose: As in `fit`.
        tensorboard: Folder of logs, or `None`.
        inputs: Folders of the cells it is made of.

    Returns:
        Its history, one dictionary an epoch.

    Raises:
        Diverged: If no epoch had a finite value of `settings.keep`.
    """
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model = build(table, row, settings, data)
    score = metrics.DiceMetric(hard=bool(settings.hard_dice), multilabel=row.multilabel)
    loss = _fresh(row.loss)
    model.compile(optimizer=_optimizer(settings), loss=loss, metrics=[score, *getattr(loss, "metrics", [])])
    batches, validation = _data(table, row, seed, settings, data)
    callbacks = [
        FollowEpoch(batches),
        _schedule(settings),
        EarlyStopping(settings.monitor, patience=settings.patience, mode=MODES[settings.monitor]),
        *callbacks_of(row, batches, settings, seed, inputs, folder),
        *([AdaptiveTverskyCE()] if getattr(loss, "adaptive", None) else []),
        *[KeepBest(folder / weights_file(keep), keep, mode) for keep, mode in MODES.items()],
    ]
    if tensorboard:
        name = re.sub(r"\W+", "-", row.name.lower())
        callbacks.append(keras.callbacks.TensorBoard(Path(tensorboard) / f"{name}-seed{seed}"))
    resume = Resume(folder / "resume", callbacks)
    model.fit(
        batches,
        validation_data=validation,
        epochs=settings.epochs,
        shuffle=False,
        callbacks=[*callbacks, resume],
        verbose=verbose,
    )
    if not (folder / weights_file(settings.keep)).exists():
        raise Diverged(f"{row.name}, seed {seed}: {settings.keep} was never finite, so there is no epoch to test.")
    return resume.history


def _fresh(loss):
    """A loss of ours as it is configured: an adaptive one has a state, which no other training must find."""
    if not isinstance(loss, losses.SegmentationLoss):
        return loss
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))


def _data(table, row, seed, settings, data):
    """Batches to train and to validate on."""
    classes = table.classes(data)
    if settings.patch:
        batches = Patches(data, "train", settings.patch, settings.batch, settings.steps, seed, classes)
        return batches, Tiles(data, "validation", settings.patch, settings.batch, classes)
    augment = settings.augmentation and AUGMENTATIONS[settings.augmentation]
    like = {"volumes": settings.volumes, "classes": classes, "multilabel": row.multilabel}
    own = {"augment": augment, "with_epsilon": row.control is not None}
    batches = Batches(data, "train", settings.batch, seed, settings.steps, **own, **like)
    return batches, Batches(data, "validation", settings.batch, **like)


def _optimizer(settings):
    if settings.momentum is None:
        return keras.optimizers.Adam(settings.learning_rate)
    return keras.optimizers.SGD(settings.learning_rate, momentum=settings.momentum, nesterov=True)


def _schedule(settings):
    if settings.plateau is None:
        return StepDecay(settings.decay_factor, settings.decay_every, initial=settings.learning_rate)
    # The last three as in the code of Yeung et al. (2021).
    details = {"min_delta": 1e-7, "cooldown": 1, "min_lr": 1e-4}
    if settings.plateau_delta is not None:
        details = {"min_delta": settings.plateau_delta}
    mode = MODES[settings.monitor]
    return ReduceLROnPlateau(settings.monitor, settings.decay_factor, settings.plateau, mode=mode, **details)
