"""Reduce the learning rate in steps."""

import keras

from keras_uq._kinds import Integer, Maybe, Number, argument


class StepDecay(keras.callbacks.Callback):
    """Multiply the learning rate by `factor` every `every` epochs.

    Epoch `e`, counted from 0, runs at `initial * factor ** (e // every)`. The rate depends on the epoch only, so a
    resumed training runs at the same rates as an uninterrupted one.

    Args:
        factor: Factor of each step, above 0.
        every: Number of epochs between steps, at least 1.
        initial: Learning rate of epoch 0. `None` takes the optimizer's rate at the start of training; give a number if
            the training may be resumed, because the restored optimizer already has a reduced rate.

    Reference:
        Kethavath et al. (2025), Section 4: 0.01, times 0.1 every 4 epochs.
    """

    def __init__(self, factor: float = 0.1, every: int = 4, initial: float | None = None) -> None:
        super().__init__()
        argument("StepDecay", "factor", factor, Number(above=0))
        argument("StepDecay", "every", every, Integer(least=1))
        argument("StepDecay", "initial", initial, Maybe(Number(above=0)))
        self.factor = factor
        self.every = every
        self.initial = initial

    def on_train_begin(self, logs=None):
        if self.initial is None:
            self.initial = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = self.rate(epoch)

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        return self.initial * self.factor ** (epoch // self.every)
