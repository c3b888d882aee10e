"""A Keras metric for training: the Dice score pooled over a whole validation set."""

from typing import Any

import keras
from keras import ops

from keras_uq._kinds import Flag, Maybe, Number, argument
from keras_uq._values import FIX_LABELS, MOST, TOLERANCE, at_hand, check_numbers

FIX_LOGITS = "Does the network return logits? Let it end in a sigmoid or softmax."


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
        ignore_value: Voxels with this value in every channel of `y_true` are left out, as in the losses.

    Returns:
        A value in `[0, 1]`. A class that is neither labelled nor predicted scores 1. The value before any data is 0.

    Raises:
        ValueError: For labels or probabilities outside [0, 1], but for 1e-3 of rounding. In `fit` and `evaluate`, where
            the step is compiled, the error comes at the end of the epoch, and the score of the step is NaN.

    Reference:
        Kethavath et al. (2025), Eq. 12 (soft); Mehrtash et al. (2020), Section VI-A (hard).
    """

    def __init__(
        self,
        name: str = "dice",
        dtype: Any = None,
        hard: bool = False,
        multilabel: bool = False,
        ignore_value: float | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.hard = argument("DiceMetric", "hard", hard, Flag())
        self.multilabel = argument("DiceMetric", "multilabel", multilabel, Flag())
        argument("DiceMetric", "ignore_value", ignore_value, Maybe(Number()))
        self.ignore_value = ignore_value
        self._sums = None

    def update_state(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:
            raise ValueError(
                "DiceMetric pools voxels and takes no `sample_weight`. Pass it to `compile` in `metrics`, not in "
                "`weighted_metrics`."
            )
        check_numbers("DiceMetric", y_true=y_true, y_pred=y_pred)
        # The sums of a float16 image overflow.
        dtype = keras.backend.result_type(self.dtype, "float32")
        y_pred = ops.cast(y_pred, dtype)
        y_true = ops.cast(y_true, dtype)
        if not _same_shape(y_true.shape, y_pred.shape):
            raise ValueError(
                "DiceMetric expects `y_true` and `y_pred` of one shape, (batch, *spatial, classes). "
                f"Received: {tuple(y_true.shape)} and {tuple(y_pred.shape)}. One-hot encode integer labels first."
            )
        y_true, y_pred = self._without_ignored(y_true, y_pred)
        # The arg-max of logits is that of their probabilities.
        any_scale = self.hard and y_pred.shape[-1] > 1 and not self.multilabel
        extremes = _extremes(y_true, ops.zeros((1,), dtype) if any_scale else y_pred)
        _outside(extremes)
        if self.hard:
            y_pred = self._predicted(y_pred)
        if y_pred.shape[-1] > 1 and not self.multilabel:
            y_true, y_pred = y_true[..., 1:], y_pred[..., 1:]
        if self._sums is None:
            self._sums = self.add_variable((2, y_pred.shape[-1]), "zeros", dtype=dtype, name="sums")
            # Several replicas add their sums; what they each assign is averaged, or 2 would have seen 2 times 1.
            self._seen = self.add_variable((), "zeros", dtype=dtype, aggregation="mean", name="seen")
            # The largest label, minus the smallest label, and the same of the probabilities.
            self._extremes = self.add_variable((4,), "zeros", dtype=dtype, aggregation="mean", name="extremes")
        axes = tuple(range(len(y_pred.shape) - 1))
        overlap = ops.sum(y_true * y_pred, axis=axes)
        size = ops.sum(y_true, axis=axes) + ops.sum(y_pred, axis=axes)
        self._sums.assign_add(ops.stack([overlap, size]))
        self._seen.assign(1.0)
        self._extremes.assign(ops.maximum(self._extremes, extremes))

    def result(self):
        if self._sums is None:
            return ops.zeros((), self.dtype)
        overlap, size = self._sums[0], self._sums[1]
        empty = size <= 0
        score = ops.where(empty, ops.ones_like(size), 2 * overlap / ops.where(empty, ops.ones_like(size), size))
        score = ops.mean(score) * self._seen
        return ops.where(_outside(ops.convert_to_tensor(self._extremes)), float("nan"), score)

    def _without_ignored(self, y_true, y_pred):
        """Zeros in both maps where a voxel is ignored."""
        if self.ignore_value is None:
            return y_true, y_pred
        ignored = ops.all(ops.equal(y_true, self.ignore_value), axis=-1, keepdims=True)
        return tuple(ops.where(ignored, ops.zeros_like(values), values) for values in (y_true, y_pred))

    def _predicted(self, y_pred):
        """One-hot encoding of the predicted class."""
        classes = y_pred.shape[-1]
        if classes == 1:
            return ops.cast(y_pred >= 0.5, y_pred.dtype)
        if not self.multilabel:
            return ops.one_hot(ops.argmax(y_pred, axis=-1), classes, dtype=y_pred.dtype)
        background = ops.prod(1 - y_pred, axis=-1, keepdims=True)
        chosen = ops.argmax(ops.concatenate([background, y_pred], axis=-1), axis=-1)
        return ops.one_hot(chosen, classes + 1, dtype=y_pred.dtype)[..., 1:]

    def get_config(self) -> dict[str, Any]:
        ignored = {} if self.ignore_value is None else {"ignore_value": self.ignore_value}
        return {**super().get_config(), "hard": self.hard, "multilabel": self.multilabel, **ignored}


def _same_shape(true, pred):
    """Whether two shapes agree, where sizes are known."""
    return len(true) == len(pred) >= 2 and all(a is None or b is None or a == b for a, b in zip(true, pred))


def _extremes(y_true, y_pred):
    """The largest label, minus the smallest label, and the same of the probabilities; 0 if the batch is empty."""
    return ops.stack([extreme for x in (y_true, y_pred) for extreme in (ops.max(x, initial=0), -ops.min(x, initial=0))])


def _outside(extremes):
    """Whether labels or probabilities with these extremes lie outside [0, 1]; an error where that can be told."""
    limits = ops.convert_to_tensor([MOST, TOLERANCE], dtype=extremes.dtype)
    # NaN labels are wrong, NaN probabilities are those of a diverged network.
    labels = ops.logical_not(ops.all(extremes[:2] <= limits))
    outside = ops.logical_or(labels, ops.any(extremes[2:] > limits))
    if at_hand(outside):
        labels = bool(at_hand(labels))
        largest, smallest = at_hand(extremes)[:2] if labels else at_hand(extremes)[2:]
        expected, fix = (
            ("labels in [0, 1] as `y_true`", FIX_LABELS)
            if labels
            else ("probabilities in [0, 1] as `y_pred`", FIX_LOGITS)
        )
        raise ValueError(f"DiceMetric expects {expected}. Received: values from {0 - smallest:g} to {largest:g}. {fix}")
    return outside
