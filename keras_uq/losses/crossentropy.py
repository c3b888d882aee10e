"""Cross-entropy losses."""

from typing import Literal

from keras import ops

from keras_uq.losses._arguments import loss_function, register
from keras_uq.losses._base import SegmentationLoss
from keras_uq.losses._pair import SMALLEST, Pair


@loss_function()
def binary_crossentropy(y_true, y_pred, voxels: Literal["mean", "sum"] = "mean", **options):
    """Binary cross-entropy of each channel, averaged over voxels and classes.

    `-(y log p + (1 - y) log(1 - p))` with `p` clipped to `[1e-7, 1 - 1e-7]`. For training at extreme probabilities, use
    `from_logits=True`: logits of independent channels are not clipped at all, those of exclusive classes only in
    `log(1 - p)`.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        voxels: Whether the loss is the `"mean"` or the `"sum"` over voxels.
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss of at least 0, shape `(batch,)`; at most 16.2 for the mean of probabilities.

    Reference:
        Kethavath et al. (2025), Eq. 3, which prints the sum; a constant factor does not change Adam's step.
    """
    pair = Pair("binary_crossentropy", y_true, y_pred, **options)
    if pair.logits is not None and not pair.exclusive:
        # softplus(x) - y x, which is exact for every logit.
        values = ops.softplus(pair.logits) - pair.y_true * pair.logits
    else:
        # p and 1 - p are clipped separately, since 1 - 1e-7 is rounded in float32.
        log_p = ops.log_softmax(pair.logits, axis=-1) if pair.logits is not None else _clipped_log(pair.y_pred)
        values = -(pair.y_true * log_p + (1 - pair.y_true) * _clipped_log(1 - pair.y_pred))
    return reduce_voxels(pair, values, voxels)


@loss_function()
def categorical_crossentropy(y_true, y_pred, **options):
    """Cross-entropy of the classes, `-sum_c w_c y_c log p_c`, averaged over voxels.

    `p` is clipped at 1e-7; with `from_logits=True` nothing is clipped. A single channel, and each channel of a
    `multilabel` network, stands for two classes `[1 - p, p]`: the loss is then the binary cross-entropy.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        class_weights: One number per class, at least 0. They multiply the terms of the sum over exclusive classes, and
            the sum is not divided by them.
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 1; Mehrtash et al. (2020), Eq. 1.
    """
    pair = Pair("categorical_crossentropy", y_true, y_pred, **options)
    return pair.class_sum(pair.voxel_mean(class_terms(pair)))


def whole_crossentropy(y_true, y_pred, include_background=True, **options):
    """`categorical_crossentropy` of all classes, for losses where `include_background` is meant for the other part."""
    del include_background
    return categorical_crossentropy(y_true, y_pred, **options)


def class_terms(pair, foreground=1.0, background=1.0, focus=0.0):
    """Terms of the cross-entropy, `(batch, *spatial, classes)`: `-y log p` of each class.

    Channel 0 of exclusive classes is the background. An independent channel stands for two classes, foreground and
    background, and holds the sum of both terms.

    Args:
        pair: `Pair`.
        foreground: Factor of the terms of foreground classes.
        background: Factor of the term of the background.
        focus: The term of the background is multiplied by this power of its error, `1 - p`.
    """
    if pair.exclusive:
        log_p = _clipped_log(pair.y_pred) if pair.logits is None else ops.log_softmax(pair.logits, axis=-1)
        classes = pair.y_pred.shape[-1]
        is_background = ops.cast(ops.arange(classes) == 0, pair.y_pred.dtype)
        factor = is_background * background * _focus(1 - pair.y_pred, focus) + (1 - is_background) * foreground
        return -factor * pair.y_true * log_p
    if pair.logits is None:
        false_negative, false_positive = -_clipped_log(pair.y_pred), -_clipped_log(1 - pair.y_pred)
    else:
        false_negative, false_positive = ops.softplus(-pair.logits), ops.softplus(pair.logits)
    false_positive = background * _focus(pair.y_pred, focus) * false_positive
    return foreground * pair.y_true * false_negative + (1 - pair.y_true) * false_positive


def _focus(error, power):
    # A power below 1 has an infinite slope at 0.
    return ops.maximum(error, SMALLEST) ** power if power else ops.ones_like(error)


def reduce_voxels(pair, values, voxels):
    """Mean or sum of `values` over the voxels that count, then the mean over classes, `(batch,)`."""
    return pair.class_mean(pair.voxel_mean(values) if voxels == "mean" else pair.voxel_sum(values))


def _clipped_log(probability):
    return ops.log(ops.clip(probability, SMALLEST, 1.0))


@register
class BinaryCrossentropy(SegmentationLoss):
    """Class form of `binary_crossentropy`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.BinaryCrossentropy()(y_true, y_pred)), 3)
        0.693
    """

    function = staticmethod(binary_crossentropy)


@register
class CategoricalCrossentropy(SegmentationLoss):
    """Class form of `categorical_crossentropy`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.eye(2)[[[[0, 0, 1, 1]]]], np.full((1, 1, 4, 2), 0.5)
        >>> round(float(losses.CategoricalCrossentropy(class_weights=[1, 3])(y_true, y_pred)), 3)
        1.386
    """

    function = staticmethod(categorical_crossentropy)
