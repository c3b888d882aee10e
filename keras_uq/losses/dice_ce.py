"""Weighted sum of Dice loss and cross-entropy."""

from keras_uq.losses._arguments import loss_function, register
from keras_uq.losses._base import SegmentationLoss
from keras_uq.losses.crossentropy import whole_crossentropy
from keras_uq.losses.dice import dice


@loss_function()
def dice_ce(y_true, y_pred, dice_weight: float = 0.5, smooth: float = 1e-6, **options):
    """`w * Dice loss + (1 - w) * cross-entropy` of each image.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        dice_weight: `w`, in [0, 1].
        smooth: Number of voxels added to numerator and denominator of the Dice index.
        include_background: `False` leaves channel 0 out of the Dice loss, if the classes are exclusive. The
            cross-entropy always includes all classes.
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Zhang et al. (2025), who write that their adaptive weights outperform this loss, without a published result.
    """
    overlap = dice(y_true, y_pred, smooth, **options)
    return dice_weight * overlap + (1 - dice_weight) * whole_crossentropy(y_true, y_pred, **options)


@register
class DiceCE(SegmentationLoss):
    """Class form of `dice_ce`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.eye(2)[[[[0, 0, 1, 1]]]], np.full((1, 1, 4, 2), 0.5)
        >>> round(float(losses.DiceCE(dice_weight=0.5)(y_true, y_pred)), 3)
        0.597
    """

    function = staticmethod(dice_ce)
