"""The Keras metric of training: one Dice of a whole validation set."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_uq")
class DiceMetric(keras.metrics.Metric):
    """Soft Dice pooled over everything since the last reset; in `fit`, `val_dice` is that of the validation set.

    `2 sum(p g) / (sum(p) + sum(g))`, with probabilities: the mean over the foreground classes where there are two or
    more (channel 0 is background), of the one class where there is one.

    Args:
        name: Name in logs.
        dtype: Type of the sums.

    Returns:
        A value in `[0, 1]`; 1 for a class that is in neither map, 0 before any data.

    Reference:
        Kethavath et al. (2025), Eq. 12.
    """

    def __init__(self, name="dice", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self._sums = None

    def update_state(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:
            raise ValueError("DiceMetric pools voxels and takes no `sample_weight`; list it in `metrics`.")
        y_pred = ops.cast(y_pred, self.dtype)
        y_true = ops.cast(y_true, self.dtype)
        if len(y_true.shape) != len(y_pred.shape) or y_true.shape[-1] != y_pred.shape[-1]:
            raise ValueError(
                "DiceMetric expects `y_true` and `y_pred` of one shape, (batch, *spatial, classes). "
                f"Received: {tuple(y_true.shape)} and {tuple(y_pred.shape)}. One-hot encode integer labels first."
            )
        if y_pred.shape[-1] > 1:
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
