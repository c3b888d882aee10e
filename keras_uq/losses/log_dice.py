"""Log Dice loss."""

from keras import ops

from keras_uq.losses._arguments import loss_function, register
from keras_uq.losses._base import SegmentationLoss
from keras_uq.losses._pair import Pair
from keras_uq.losses.dice import dice_index

# Lower bound of the index in the logarithm. With the default `smooth`, no image reaches it.
SMALLEST_INDEX = 1e-30


@loss_function()
def log_dice(
    y_true, y_pred, smooth: float = 1e-6, smooth_numerator: float | None = None, penalty_gamma: float = 1.0, **options
):
    """Log Dice loss of each image, averaged over classes.

    `-log((2 TP + smooth) / (2 TP + FP + FN + smooth))` with the soft counts of one class, which is
    `-log(1 - dice loss)`. Its slope grows as the overlap decreases.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of 0.
        smooth_numerator: Replaces `smooth` in the numerator (0 for Mehrtash et al., 2020), or `None`.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss of at least 0, shape `(batch,)`; without overlap it is about `log(voxels / smooth)`.

    Reference:
        Kethavath et al. (2025), Eq. 6.
    """
    pair = Pair("log_dice", y_true, y_pred, **options)
    index = dice_index(pair, smooth, smooth_numerator, penalty_gamma)
    return pair.class_mean(-ops.log(ops.maximum(index, SMALLEST_INDEX)))


@register
class LogDice(SegmentationLoss):
    """Class form of `log_dice`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.LogDice()(y_true, y_pred)), 3)
        0.405
    """

    function = staticmethod(log_dice)
    added_later = ("penalty_gamma",)
