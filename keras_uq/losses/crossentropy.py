"""Cross-entropy losses."""

from keras import ops

from keras_uq.losses._base import SegmentationLoss, register
from keras_uq.losses._pair import Pair

CLIP = 1e-7


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
        # Clipped at CLIP on both sides; 1 - p has its own clip, since 1 - 1e-7 rounds in float32.
        log_hit = ops.log_softmax(pair.logits, axis=-1) if pair.logits is not None else _clipped_log(pair.y_pred)
        values = -(pair.y_true * log_hit + (1 - pair.y_true) * _clipped_log(1 - pair.y_pred))
    return reduce_voxels(pair, values, voxels, "binary_crossentropy")


def reduce_voxels(pair, values, voxels, caller):
    """Mean or sum of `values` over the voxels that count, then the mean over classes, `(batch,)`."""
    if voxels not in ("mean", "sum"):
        raise ValueError(f'{caller} expects `voxels` to be "mean" or "sum". Received: voxels={voxels!r}.')
    return pair.class_mean(pair.voxel_mean(values) if voxels == "mean" else pair.voxel_sum(values))


def _clipped_log(probability):
    return ops.log(ops.clip(probability, CLIP, 1.0))


@register
class BinaryCrossentropy(SegmentationLoss):
    """Class form of `binary_crossentropy`, for `model.compile(loss=...)`."""

    function = staticmethod(binary_crossentropy)
