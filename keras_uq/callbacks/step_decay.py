"""A learning rate that falls in steps."""

import keras


class StepDecay(keras.callbacks.Callback):
    """Multiply the learning rate by `factor` every `every` epochs.

    Epoch `e`, counted from 0, runs at `initial * factor ** (e // every)`: a function of the epoch alone, so a resumed
    training runs at the rate it would have had.

    Args:
        factor: Of each step.
        every: Epochs between steps.
        initial: The rate of epoch 0; the optimizer's own when training starts, if `None`. Name it if the training may
            be resumed, since the optimizer then comes with a rate that has already fallen.

    Reference:
        Kethavath et al. (2025), Section 4: 0.01, times 0.1 every 4 epochs.
    """

    def __init__(self, factor=0.1, every=4, initial=None):
        super().__init__()
        if every < 1 or factor <= 0:
            raise ValueError(f"Expected `every` >= 1 and `factor` > 0. Received: every={every!r}, factor={factor!r}.")
        self.factor = factor
        self.every = every
        self.initial = initial

    def on_train_begin(self, logs=None):
        if self.initial is None:
            self.initial = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = self.rate(epoch)

    def rate(self, epoch):
        """Learning rate of an epoch, counted from 0."""
        return self.initial * self.factor ** (epoch // self.every)
