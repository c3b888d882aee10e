"""Settings with alternatives, as objects: optimiser, schedule, input and channels of a network, seeds of a row."""

import dataclasses
import enum
from dataclasses import dataclass

import keras
from keras.callbacks import ReduceLROnPlateau

from experiments.described import Described, setting
from keras_uq.callbacks import StepDecay

# What a monitored value should do. Weights are kept of the best epoch by each, so another choice costs no training.
MODES = {"val_dice": "max", "val_loss": "min"}
LEAST_PLATEAU = 3  # Epochs; with less, the noise of an epoch decides.
# Learning rates that a training is given before it stands still: with a factor of 0.1, down to 1e-4 of the first.
USEFUL_STEPS = 5


@dataclass(frozen=True)
class Adam(Described):
    """The optimiser Adam; `build` makes a new one."""

    learning_rate: float = setting("learning rate", key="learning_rate")

    def build(self):
        return keras.optimizers.Adam(self.learning_rate)


@dataclass(frozen=True)
class Nesterov(Adam):
    """Stochastic gradient descent with Nesterov's momentum."""

    momentum: float = setting("Nesterov momentum", 0.9, key="momentum")

    def build(self):
        return keras.optimizers.SGD(self.learning_rate, momentum=self.momentum, nesterov=True)


@dataclass(frozen=True)
class Steps(Described):
    """The learning rate is multiplied by `factor` after each `every` epochs; `callback` does that."""

    factor: float = setting("factor of the rate", key="decay_factor")
    every: int = setting("epochs between steps of the rate", key="decay_every")

    def useful_epochs(self, epochs):
        """Epochs before the rate has fallen too far to move anything."""
        return min(epochs, USEFUL_STEPS * self.every)

    def scaled(self, share):
        return dataclasses.replace(self, every=max(round(self.every * share), 1))

    def callback(self, settings):
        return StepDecay(self.factor, self.every, initial=settings.optimizer.learning_rate)


@dataclass(frozen=True)
class Plateau(Described):
    """The learning rate is multiplied by `factor` after `epochs` epochs without a better monitored value."""

    fixed = {"decay_every": None}

    factor: float = setting("factor of the rate", key="decay_factor")
    epochs: int = setting("epochs without progress before the rate falls", key="plateau")
    min_delta: float | None = setting("what counts as progress", 1e-3, key="plateau_delta")

    def useful_epochs(self, epochs):
        return epochs

    def scaled(self, share):
        """The patience scaled to `share` of the epochs, but no less than 3 epochs."""
        return dataclasses.replace(self, epochs=max(round(self.epochs * share), LEAST_PLATEAU))

    def callback(self, settings):
        mode = MODES[settings.monitor]
        return ReduceLROnPlateau(settings.monitor, self.factor, self.epochs, mode=mode, **self.details())

    def details(self):
        """Arguments of `ReduceLROnPlateau` that the paper's code sets."""
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
        return [(seed, [seed]) for seed in seeds if seed < self.count]


class AllSeeds(EachSeed):
    """A row that is made once, with seed 0, from the cells of all seeds of its inputs."""

    together = True

    def of(self, seeds):
        return [(0, list(seeds))]
