"""What a cell is trained and tested with, apart from its loss and seed.

Each field is declared once, with its label under a table and its key in a cell's configuration. What has alternatives
is an object: a schedule, an optimiser, the network's input, the seeds of a row, the channels of a network.
"""

import dataclasses
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras.callbacks import ReduceLROnPlateau

from keras_uq.callbacks import StepDecay
from keras_uq.preprocessing import Preprocessing

# With less patience the noise of an epoch decides.
LEAST_PATIENCE = 6
LEAST_PLATEAU = 3
# Learning rates that a training is given before it stands still: with a factor of 0.1, down to 1e-4 of the first.
USEFUL_STEPS = 5
# What a monitored value should do. Weights are kept of the best epoch by each, so another choice costs no training.
MODES = {"val_dice": "max", "val_loss": "min"}
PREPROCESSING_LABELS = {"size": "slice size", "spacing": "voxel size in mm", "crop": "crop"}
AS_SCANNED = {"size": "as scanned", "spacing": "as scanned", "crop": "none"}


def setting(label, default=dataclasses.MISSING, key=None, none="all", optional=False):
    """A field of settings.

    Args:
        label: Its name under a table.
        default: As in `dataclasses.field`.
        key: Its name in the configuration of a training; `None` if no training depends on it.
        none: How a table names the value `None`.
        optional: `None` and `False` are left out of the configuration.
    """
    return dataclasses.field(default=default, metadata={"label": label, "key": key, "none": none, "optional": optional})


class Described:
    """Base of settings: their configuration and their description follow from the fields."""

    fixed = {}  # Keys of the configuration that do not depend on a field.

    def config(self):
        """What a training depends on, JSON types by recorded key."""
        config = dict(self.fixed)
        for field in dataclasses.fields(self):
            value, about = getattr(self, field.name), field.metadata
            if isinstance(value, Described):
                config |= value.config()
            elif about.get("key") and not (about["optional"] and value in (None, False)):
                config[about["key"]] = getattr(value, "recorded_name", value)
        return config

    def described(self):
        """`{label: value as text}` for the list of departures under a table."""
        described = {}
        for field in dataclasses.fields(self):
            value, about = getattr(self, field.name), field.metadata
            if isinstance(value, Described):
                described |= value.described()
            elif about.get("label"):
                described[about["label"]] = about["none"] if value is None else as_text(value)
        return described

    def tested(self):
        """What a cell depends on beside its training, JSON types by recorded key."""
        return {}

    def scaled(self, share):
        """The same for a training of `share` of the epochs."""
        return self


def as_text(value):
    """A value of a setting as a person reads it: `80 x 80`."""
    if isinstance(value, (tuple, list)):
        return " x ".join("as scanned" if part is None else str(part) for part in value)
    return str(getattr(value, "recorded_name", value))


@dataclass(frozen=True)
class Adam(Described):
    """The optimiser Adam."""

    learning_rate: float = setting("learning rate", key="learning_rate")

    def build(self):
        """A new `keras.optimizers.Optimizer`."""
        return keras.optimizers.Adam(self.learning_rate)


@dataclass(frozen=True)
class Nesterov(Adam):
    """Stochastic gradient descent with Nesterov's momentum."""

    momentum: float = setting("Nesterov momentum", 0.9, key="momentum")

    def build(self):
        """A new `keras.optimizers.Optimizer`."""
        return keras.optimizers.SGD(self.learning_rate, momentum=self.momentum, nesterov=True)


@dataclass(frozen=True)
class Steps(Described):
    """The learning rate is multiplied by `factor` after each `every` epochs."""

    factor: float = setting("factor of the rate", key="decay_factor")
    every: int = setting("epochs between steps of the rate", key="decay_every")

    def useful_epochs(self, epochs):
        """Epochs before the rate has fallen too far to move anything."""
        return min(epochs, USEFUL_STEPS * self.every)

    def scaled(self, share):
        """The same number of steps in `share` of the epochs."""
        return dataclasses.replace(self, every=max(round(self.every * share), 1))

    def callback(self, settings):
        """The `keras.callbacks.Callback` that sets the rate."""
        return StepDecay(self.factor, self.every, initial=settings.optimizer.learning_rate)


@dataclass(frozen=True)
class Plateau(Described):
    """The learning rate is multiplied by `factor` after `epochs` epochs without a better monitored value."""

    fixed = {"decay_every": None}

    factor: float = setting("factor of the rate", key="decay_factor")
    epochs: int = setting("epochs without progress before the rate falls", key="plateau")
    min_delta: float | None = setting("what counts as progress", 1e-3, key="plateau_delta")

    def useful_epochs(self, epochs):
        """All of them: nobody knows when the rate will fall."""
        return epochs

    def scaled(self, share):
        """The patience scaled to `share` of the epochs, but no less than 3 epochs."""
        return dataclasses.replace(self, epochs=max(round(self.epochs * share), LEAST_PLATEAU))

    def callback(self, settings):
        """The `keras.callbacks.Callback` that sets the rate."""
        mode = MODES[settings.monitor]
        return ReduceLROnPlateau(settings.monitor, self.factor, self.epochs, mode=mode, **self.details())

    def details(self):
        """Further arguments of `ReduceLROnPlateau`."""
        return {"min_delta": self.min_delta}


@dataclass(frozen=True)
class Slices(Described):
    """The network takes slices."""

    fixed = {"volumes": False}
    rank = 2


@dataclass(frozen=True)
class Volumes(Described):
    """The network takes whole volumes, padded to one depth."""

    fixed = {"volumes": True}
    rank = 3

    def described(self):
        """Named, since slices are not."""
        return {"input of the network": "whole volumes"}


@dataclass(frozen=True)
class Patches(Described):
    """The network takes patches of volumes, which keep their size, and is tested by sliding window."""

    fixed = {"volumes": False}
    rank = 3

    sides: tuple = setting("patch in voxels", key="patch")


class Channels(enum.Enum):
    """What the output channels of a network are."""

    FOREGROUND = "one sigmoid where the data have one foreground class, softmax over the classes elsewhere"
    SOFTMAX = "softmax over the classes, background included"
    INDEPENDENT = "a sigmoid for each foreground class"

    def classes(self, data):
        """Number of classes with the background; 1 is a foreground alone."""
        return data.classes if self is Channels.FOREGROUND else max(data.classes, 2)

    def outputs(self, data):
        """Number of channels."""
        return self.classes(data) - self.multilabel

    @property
    def multilabel(self):
        """Whether the channels are independent and none is the background's."""
        return self is Channels.INDEPENDENT

    @property
    def arguments(self):
        """Of the network's builder."""
        return {"multilabel": True} if self.multilabel else {}


class EachSeed:
    """A row that is run with every seed."""

    together = False  # Made once, from the cells of all seeds.

    def of(self, seeds):
        """`(seed of the cell, seeds of its inputs)` of each cell."""
        return [(seed, [seed]) for seed in seeds]


@dataclass(frozen=True)
class FirstSeeds(EachSeed):
    """A row that is run with the seeds below `count`; with 0 it stands in the table and is not run."""

    count: int

    def of(self, seeds):
        """`(seed of the cell, seeds of its inputs)` of each cell."""
        return [(seed, [seed]) for seed in seeds if seed < self.count]


class AllSeeds(EachSeed):
    """A row that is made once, with seed 0, from the cells of all seeds of its inputs."""

    together = True

    def of(self, seeds):
        """`(seed of the cell, seeds of its inputs)` of the one cell."""
        return [(0, list(seeds))]


@dataclass(frozen=True)
class Settings(Described):
    """What a cell is trained and tested with.

    Args:
        preprocessing: `{"CT": Preprocessing, "other": Preprocessing}`, by the modality of the scans.
        optimizer, schedule, input: Objects of this module.
        max_cases: Use at most so many cases.
        split: Name of one of the dataset's ways to split it; `None` for its usual one.
        filters: Of the network's first stage.
        norm_momentum: Of batch normalisation.
        batch: Slices, volumes or patches per batch.
        epochs: At most.
        steps: Batches per epoch; `None` for all.
        patience: Training stops after so many epochs without a better `monitor`.
        monitor: `"val_dice"` or `"val_loss"`: decides when training stops.
        keep: Likewise: decides which epoch is tested.
        samples: Of Monte Carlo dropout.
        augmentation: `(image, mask, seed) -> (image, mask)` with a `recorded_name`, or `None`.
        hard_dice: `val_dice` is that of predicted classes, not of probabilities.
        extra: Settings that one paper alone has, an object of its folder, or `None`.
    """

    preprocessing: dict
    optimizer: Any
    schedule: Any
    input: Any = Slices()
    max_cases: int | None = setting("cases", None)
    split: str | None = setting("split over", "patients", none="the usual")
    filters: int = setting("filters of the first stage", 16)
    norm_momentum: float = setting("batch-norm momentum", 0.99)
    batch: int = setting("batch size", 16, key="batch")
    epochs: int = setting("epochs", 20, key="epochs")
    steps: int | None = setting("batches per epoch", None, key="steps")
    patience: int = setting("patience", 10, key="patience")
    monitor: str = setting("stops early by", "val_dice", key="monitor")
    keep: str = setting("best epoch by", "val_dice")
    samples: int = setting("samples", 20)
    augmentation: Callable | None = setting("augmentation", None, key="augmentation", none="none", optional=True)
    hard_dice: bool = setting("validation Dice of predicted classes", False, key="hard_dice", optional=True)
    extra: Any = None

    def described(self):
        """`{label: value as text}`, those of the preprocessing first."""
        steps = self.preprocessing["other"]
        shown = {
            label: AS_SCANNED[name] if getattr(steps, name) is None else as_text(getattr(steps, name))
            for name, label in PREPROCESSING_LABELS.items()
        }
        return shown | super().described()

    def replace(self, **changes):
        """The settings with some fields changed; fields of `Preprocessing` change for every modality."""
        steps = {name: changes.pop(name) for name in PREPROCESSING_LABELS if name in changes}
        preprocessing = {name: dataclasses.replace(of, **steps) for name, of in self.preprocessing.items()}
        return dataclasses.replace(self, preprocessing=preprocessing, **changes)

    def scale_epochs(self, epochs):
        """At most `epochs` epochs, schedule and patience scaled with them.

        Epochs at a rate that has fallen too far to move anything are dropped first: a protocol of 40 epochs and one of
        20 with the same steps are cut to the same schedule.
        """
        if epochs >= self.epochs:
            return self
        share = min(epochs / self.schedule.useful_epochs(self.epochs), 1.0)
        if share == 1:
            return self.replace(epochs=epochs)
        return self.replace(
            epochs=epochs,
            schedule=self.schedule.scaled(share),
            patience=max(round(self.patience * share), LEAST_PATIENCE),
            extra=self.extra and self.extra.scaled(share),
        )


def any_modality(steps):
    """The same `Preprocessing` for scans of every modality."""
    return {"CT": steps, "other": steps}


def preprocessing_of(settings, modality) -> Preprocessing:
    """The `Preprocessing` for scans of a modality."""
    return settings.preprocessing["CT" if modality == "CT" else "other"]


def takes_patches(settings):
    """Whether the network takes patches of volumes."""
    return isinstance(settings.input, Patches)
