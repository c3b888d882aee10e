"""Dice and cross-entropy in one."""

from keras_uq.losses._base import SegmentationLoss, register
from keras_uq.losses.crossentropy import whole_crossentropy
from keras_uq.losses.dice import dice


@register
def dice_ce(y_true, y_pred, dice_weight=0.5, smooth=1e-6, **options):
    """`w * Dice loss + (1 - w) * cross-entropy` of each image.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        dice_weight: `w`, in [0, 1].
        smooth: Of the Dice loss, in voxels.
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`. `include_background=False`
            leaves the background out of the Dice loss alone; the cross-entropy is of the whole distribution.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Zhang et al. (2025) say that the adaptive weights outperform it and print no result of it.
    """
    overlap = dice(y_true, y_pred, smooth, **options)
    return dice_weight * overlap + (1 - dice_weight) * whole_crossentropy(y_true, y_pred, **options)


@register
class DiceCE(SegmentationLoss):
    """Class form of `dice_ce`, for `model.compile(loss=...)`."""

    function = staticmethod(dice_ce)
