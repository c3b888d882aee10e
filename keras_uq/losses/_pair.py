"""Labels and predictions, checked and converted to one form: the first step of every loss."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy
from keras import ops

from keras_uq._values import check_labels, check_probabilities

# Lower bound of the argument of a logarithm, or of a power with an infinite slope at 0.
SMALLEST = 1e-7
FIX_LOGITS = "For logits, set `from_logits=True`, or let the network end in a sigmoid or softmax."


class Pair:
    """Labels `y_true` and probabilities `y_pred` of one batch, both `(batch, *spatial, classes)`.

    Its options are those of every loss in this package. The docstrings of the losses repeat the explanations below.

    Where values are at hand, outside a compiled step, labels and probabilities must lie in [0, 1], but for 1e-3 of
    rounding and for voxels that are left out. NaN in labels are refused; a NaN probability gives a NaN loss.

    Args:
        caller: Name of the loss, for error messages.
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities or logits, same shape.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Attributes:
        caller: Name of the loss.
        y_true: Labels, float32 or wider. Zero where a voxel is ignored.
        y_pred: Probabilities, same type. Zero where a voxel is ignored.
        logits: The predictions before softmax or sigmoid if `from_logits`, else `None`.
        exclusive: Whether the channels are one distribution over classes.
        pooled: Whether sums run over the whole batch.
        class_weights: Weights of the mean over classes, `(classes,)`, or `None` for equal ones.
        valid: 1 where a voxel counts and 0 where not, `(batch, *spatial, 1)`, or `None` if all count.
    """

    def __init__(
        self,
        caller,
        y_true,
        y_pred,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        mask: Any = None,
    ):
        y_pred = ops.convert_to_tensor(y_pred)
        # The sums of a float16 image overflow.
        dtype = keras.backend.result_type(y_pred.dtype, "float32")
        y_pred = ops.cast(y_pred, dtype)
        y_true = ops.cast(ops.convert_to_tensor(y_true), dtype)
        _check_shapes(caller, y_true.shape, y_pred.shape)
        self.caller = caller
        classes = y_pred.shape[-1]
        exclusive = classes > 1 and not multilabel
        self.logits = y_pred if from_logits else None
        self.exclusive = exclusive
        if from_logits:
            y_pred = ops.softmax(y_pred, axis=-1) if exclusive else ops.sigmoid(y_pred)
        self.valid = _valid(caller, y_true, mask, ignore_value)
        if self.valid is not None:
            # `where`, not a product: an ignored prediction may be NaN.
            y_true = ops.where(self.valid > 0, y_true, ops.zeros_like(y_true))
            y_pred = ops.where(self.valid > 0, y_pred, ops.zeros_like(y_pred))
            if from_logits:
                self.logits = ops.where(self.valid > 0, self.logits, ops.zeros_like(self.logits))
        check_labels(caller, y_true)
        if not from_logits:
            check_probabilities(caller, y_pred, FIX_LOGITS)
        self.y_true, self.y_pred = y_true, y_pred
        self.pooled = over == "batch"
        self.class_weights = _weights(caller, classes, class_weights, dtype, exclusive and not include_background)

    @property
    def spatial_axes(self):
        """The axes between batch and classes."""
        return tuple(range(1, len(self.y_pred.shape) - 1))

    def soft_counts(self, penalty_gamma=1.0, clip_labels=False):
        """Soft true positives, false positives and false negatives of each class, each `(batch, classes)`.

        The false positive and the false negative of each voxel are raised to the power `penalty_gamma` before they are
        summed. `clip_labels` clips labels and probabilities to `[1e-7, 1 - 1e-7]`.
        """
        label, no_label, pred, no_pred = self.y_true, 1 - self.y_true, self.y_pred, 1 - self.y_pred
        if clip_labels:
            # All four from below: in float32, 1 minus a number near 1 - 1e-7 is not 1e-7.
            label, no_label, pred, no_pred = (ops.maximum(x, SMALLEST) for x in (label, no_label, pred, no_pred))
        false_positive, false_negative = no_label * pred, label * no_pred
        if penalty_gamma != 1:
            smallest = SMALLEST**2 if clip_labels else SMALLEST
            false_positive = _power(false_positive, penalty_gamma, smallest)
            false_negative = _power(false_negative, penalty_gamma, smallest)
        counts = (label * pred, false_positive, false_negative)
        # Ignored voxels are no longer zero after clipping.
        return tuple(self.voxel_sum(count) if clip_labels else self._sum(count) for count in counts)

    def voxel_mean(self, values):
        """Mean over the voxels that count, `(batch, classes)`; 0 if no voxel counts."""
        return self.voxel_sum(values) / self._count(values)

    def voxel_sum(self, values):
        """Sum over the voxels that count, `(batch, classes)`."""
        return self._sum(values if self.valid is None else values * self.valid)

    def class_sum(self, values):
        """Weighted sum over exclusive classes, or weighted mean over independent channels, `(batch,)`.

        For losses such as cross-entropy, which are a sum over the whole distribution.
        """
        if not self.exclusive:
            return self.class_mean(values)
        return ops.sum(values if self.class_weights is None else values * self.class_weights, axis=-1)

    def class_mean(self, values):
        """Weighted mean over classes, from `(batch, classes)` to `(batch,)`."""
        if self.class_weights is None:
            return ops.mean(values, axis=-1)
        return ops.sum(values * self.class_weights, axis=-1) / ops.sum(self.class_weights)

    def _sum(self, values):
        total = ops.sum(values, axis=self.spatial_axes)
        if self.pooled:
            total = ops.broadcast_to(ops.sum(total, axis=0, keepdims=True), ops.shape(total))
        return total

    def _count(self, values):
        if self.valid is not None:
            return ops.maximum(self._sum(self.valid), 1)
        ones = ops.ones_like(values[..., :1])
        return self._sum(ones)


def _power(errors, exponent, smallest):
    """`max(errors, smallest) ** exponent`; where the error is 0, value and slope are 0 and never undefined."""
    no_error = errors <= 0
    powered = ops.maximum(ops.where(no_error, ops.ones_like(errors), errors), smallest) ** exponent
    return ops.where(no_error, ops.zeros_like(errors), powered)


def ratio(numerator, denominator, smooth, smooth_numerator=None):
    """`(numerator + smooth) / (denominator + smooth)`; 1 where both are 0, which is its value for any `smooth > 0`.

    `smooth_numerator` replaces `smooth` in the numerator: 0 gives the form of Mehrtash et al. (2020), Eq. 2.
    """
    numerator = numerator + (smooth if smooth_numerator is None else smooth_numerator)
    denominator = denominator + smooth
    empty = denominator <= 0
    return ops.where(
        empty, ops.ones_like(denominator), numerator / ops.where(empty, ops.ones_like(denominator), denominator)
    )


def _check_shapes(caller, true_shape, pred_shape):
    expected = (
        f"{caller} expects `y_true` (one-hot, or 0/1 for one class) and `y_pred` (probabilities) of one shape, "
        f"(batch, *spatial, classes) with at least one spatial axis. "
        f"Received: y_true.shape={tuple(true_shape)}, y_pred.shape={tuple(pred_shape)}. "
    )
    one_rank_less = len(true_shape) == len(pred_shape) - 1
    one_label_channel = len(true_shape) == len(pred_shape) and true_shape[-1] == 1 and pred_shape[-1] != 1
    if one_rank_less and pred_shape[-1] == 1:
        raise ValueError(expected + "Add the class axis: `y_true[..., None]`.")
    if one_rank_less or one_label_channel:
        raise ValueError(expected + "For integer labels, apply `keras.ops.one_hot(labels, num_classes)` first.")
    same_shape = len(true_shape) == len(pred_shape) and all(
        side is None or other is None or side == other for side, other in zip(true_shape, pred_shape)
    )
    if not same_shape or len(pred_shape) < 3 or pred_shape[-1] is None:
        raise ValueError(expected + "Check the shapes of the network's output and of the labels.")


def _valid(caller, y_true, mask, ignore_value):
    valid = None
    if ignore_value is not None:
        valid = ops.logical_not(ops.all(ops.equal(y_true, ignore_value), axis=-1, keepdims=True))
    if mask is not None:
        mask = ops.cast(ops.convert_to_tensor(mask), "bool")
        if len(mask.shape) == len(y_true.shape) - 1:
            mask = ops.expand_dims(mask, -1)
        if len(mask.shape) != len(y_true.shape) or mask.shape[-1] != 1:
            raise ValueError(
                f"{caller} expects `mask` of shape (batch, *spatial) or (batch, *spatial, 1), true where a voxel "
                f"counts. Received: mask.shape={tuple(mask.shape)} for y_true.shape={tuple(y_true.shape)}."
            )
        valid = mask if valid is None else ops.logical_and(valid, mask)
    return None if valid is None else ops.cast(valid, y_true.dtype)


def _weights(caller, classes, class_weights, dtype, drop_background):
    if class_weights is None and not drop_background:
        return None
    weights = [1.0] * classes if class_weights is None else [float(weight) for weight in class_weights]
    if len(weights) != classes or not all(0 <= weight < math.inf for weight in weights):
        raise ValueError(
            f"{caller} expects `class_weights` with one number of at least 0 for each of the {classes} classes. "
            f"Received: class_weights={class_weights!r}."
        )
    if drop_background:
        weights[0] = 0.0
    if sum(weights) == 0:
        counted = "a foreground class" if drop_background else "a class"
        raise ValueError(
            f"{caller} expects `class_weights` with a number above 0 for {counted}; these leave no class to count. "
            f"Received: class_weights={class_weights!r}."
        )
    return ops.convert_to_tensor(weights, dtype=dtype)
