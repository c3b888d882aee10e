"""Cross-entropy losses."""

from keras import ops

from keras_uq.losses._base import SegmentationLoss, register
from keras_uq.losses._pair import SMALLEST, Pair


@register
def binary_crossentropy(y_true, y_pred, voxels="mean", **options):
    """Binary cross-entropy of each channel, averaged over voxels and classes.

    `-(g log p + (1 - g) log(1 - p))` with `p` clipped to `[1e-7, 1 - 1e-7]`. With `from_logits=True` nothing is
    clipped where the loss can be written without: the form for training at extreme probabilities.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        voxels: `"mean"` or `"sum"` over voxels.
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`.

    Returns:
        Loss of at least 0, shape `(batch,)`; at most 16.2 for the mean of probabilities.

    Reference:
        Kethavath et al. (2025), Eq. 3, which prints the sum; a constant factor does not change Adam's step.
    """
    pair = Pair("binary_crossentropy", y_true, y_pred, **options)
    if pair.logits is not None and not pair.exclusive:
        # softplus(x) - g x, which is exact for every logit.
        values = ops.softplus(pair.logits) - pair.y_true * pair.logits
    else:
        # Clipped on both sides; 1 - p has its own clip, since 1 - 1e-7 rounds in float32.
        log_hit = ops.log_softmax(pair.logits, axis=-1) if pair.logits is not None else _clipped_log(pair.y_pred)
        values = -(pair.y_true * log_hit + (1 - pair.y_true) * _clipped_log(1 - pair.y_pred))
    return reduce_voxels(pair, values, voxels, "binary_crossentropy")


@register
def categorical_crossentropy(y_true, y_pred, **options):
    """Cross-entropy of the classes, `-sum_c w_c y_c log p_c`, averaged over voxels.

    `p` is clipped at 1e-7; with `from_logits=True` nothing is. One channel, and channels of a `multilabel` network, are
    each a pair of classes `[1 - p, p]`: for them it is the binary cross-entropy.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        **options: `over`, `class_weights`, ...: see `keras_uq.losses`. Here `class_weights` multiply the terms of the
            sum and nothing divides by them.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 1; Mehrtash et al. (2020), Eq. 1.
    """
    pair = Pair("categorical_crossentropy", y_true, y_pred, **options)
    return pair.class_sum(pair.voxel_mean(class_terms(pair)))


def whole_crossentropy(y_true, y_pred, include_background=True, **options):
    """`categorical_crossentropy` beside an overlap loss: of all classes, whether or not that counts the background."""
    del include_background
    return categorical_crossentropy(y_true, y_pred, **options)


def class_terms(pair, foreground=1.0, background=1.0, focus=0.0):
    """Terms of the cross-entropy, `(batch, *spatial, classes)`: `-y log p` of each class.

    Channel 0 of exclusive classes is the background. Each channel of others holds both terms of its pair of classes.

    Args:
        pair: `Pair`.
        foreground: Factor of the terms of foreground classes.
        background: Factor of the background's.
        focus: Power of `1 - p`, the background's error, that multiplies the background's term.
    """
    if pair.exclusive:
        log_p = _clipped_log(pair.y_pred) if pair.logits is None else ops.log_softmax(pair.logits, axis=-1)
        classes = pair.y_pred.shape[-1]
        is_background = ops.cast(ops.arange(classes) == 0, pair.y_pred.dtype)
        factor = is_background * background * _focus(1 - pair.y_pred, focus) + (1 - is_background) * foreground
        return -factor * pair.y_true * log_p
    if pair.logits is None:
        miss, false_alarm = -_clipped_log(pair.y_pred), -_clipped_log(1 - pair.y_pred)
    else:
        miss, false_alarm = ops.softplus(-pair.logits), ops.softplus(pair.logits)
    false_alarm = background * _focus(pair.y_pred, focus) * false_alarm
    return foreground * pair.y_true * miss + (1 - pair.y_true) * false_alarm


def _focus(error, power):
    # A power below 1 has an infinite slope at 0.
    return ops.maximum(error, SMALLEST) ** power if power else ops.ones_like(error)


def reduce_voxels(pair, values, voxels, caller):
    """Mean or sum of `values` over the voxels that count, then the mean over classes, `(batch,)`."""
    if voxels not in ("mean", "sum"):
        raise ValueError(f'{caller} expects `voxels` to be "mean" or "sum". Received: voxels={voxels!r}.')
    return pair.class_mean(pair.voxel_mean(values) if voxels == "mean" else pair.voxel_sum(values))


def _clipped_log(probability):
    return ops.log(ops.clip(probability, SMALLEST, 1.0))


@register
class BinaryCrossentropy(SegmentationLoss):
    """Class form of `binary_crossentropy`, for `model.compile(loss=...)`."""

    function = staticmethod(binary_crossentropy)


@register
class CategoricalCrossentropy(SegmentationLoss):
    """Class form of `categorical_crossentropy`, for `model.compile(loss=...)`."""

    function = staticmethod(categorical_crossentropy)
