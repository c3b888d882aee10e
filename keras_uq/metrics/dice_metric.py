"""A Keras metric for training: the Dice score pooled over a whole validation set."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_uq")
class DiceMetric(keras.metrics.Metric):
    """Dice score pooled over all data since the last reset; in `fit`, `val_dice` is the score of the validation set.

    The score of a class is `2 sum(p g) / (sum(p) + sum(g))`. With two or more classes, channel 0 is background and the
    result is the mean over the foreground classes.

    Args:
        name: Name in the logs.
        dtype: Type of the sums.
        hard: Whether to count the predicted class of each voxel instead of its probabilities.
        multilabel: Whether the channels are independent foreground classes without a background channel. With `hard`,
            the predicted class is the arg-max of `keras_uq.inference.exclusive`.

    Returns:
        A value in `[0, 1]`. A class that is neither labelled nor predicted scores 1. The value before any data is 0.

    Reference:
        Kethavath et al. (2025), Eq. 12 (soft); Mehrtash et al. (2020), Section VI-A (hard).
    """

    def __init__(self, name: str = "dice", dtype: Any = None, hard: bool = False, multilabel: bool = False) -> None:
        super().__init__(name=name, dtype=dtype)
        self.hard = hard
        self.multilabel = multilabel
        self._sums = None

    def update_state(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:
            raise ValueError(
                "DiceMetric pools voxels and takes no `sample_weight`. Pass it to `compile` in `metrics`, not in "
                "`weighted_metrics`."
            )
        y_pred = ops.cast(y_pred, self.dtype)
        y_true = ops.cast(y_true, self.dtype)
        if len(y_true.shape) != len(y_pred.shape) or y_true.shape[-1] != y_pred.shape[-1]:
            raise ValueError(
                "DiceMetric expects `y_true` and `y_pred` of one shape, (batch, *spatial, classes). "
                f"Received: {tuple(y_true.shape)} and {tuple(y_pred.shape)}. One-hot encode integer labels first."
            )
        if self.hard:
            y_pred = self._predicted(y_pred)
        if y_pred.shape[-1] > 1 and not self.multilabel:
            y_true, y_pred = y_true[..., 1:], y_pred[..., 1:]
        if self._sums is None:
            self._sums = self.add_variable((2, y_pred.shape[-1]), "zeros", name="sums")
            self._seen = self.add_variable((), "zeros", name="seen")
        axes = tuple(range(len(y_pred.shape) - 1))
        overlap = ops.sum(y_true * y_pred, axis=axes)
        size = ops.sum(y_true, axis=axes) + ops.sum(y_pred, axis=axes)
        self._sums.assign_add(ops.stack([overlap, size]))
        self._seen.assign(1.0)

    def result(self):
        if self._sums is None:
            return ops.zeros((), self.dtype)
        overlap, size = self._sums[0], self._sums[1]
        empty = size <= 0
        score = ops.where(empty, ops.ones_like(size), 2 * overlap / ops.where(empty, ops.ones_like(size), size))
        return ops.mean(score) * self._seen

    def _predicted(self, y_pred):
        """One-hot encoding of the predicted class."""
        classes = y_pred.shape[-1]
        if classes == 1:
            return ops.cast(y_pred >= 0.5, self.dtype)
        if not self.multilabel:
            return ops.one_hot(ops.argmax(y_pred, axis=-1), classes, dtype=self.dtype)
        background = ops.prod(1 - y_pred, axis=-1, keepdims=True)
        chosen = ops.argmax(ops.concatenate([background, y_pred], axis=-1), axis=-1)
        return ops.one_hot(chosen, classes + 1, dtype=self.dtype)[..., 1:]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "hard": self.hard, "multilabel": self.multilabel}
