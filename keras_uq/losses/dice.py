"""Dice loss."""

from keras_uq.losses._base import SegmentationLoss, register
from keras_uq.losses._pair import Pair, ratio


@register
def dice(y_true, y_pred, smooth=1e-6, smooth_numerator=None, **options):
    """Dice loss of each image, averaged over classes.

    `1 - (2 TP + smooth) / (2 TP + FP + FN + smooth)` with the soft counts of one class; `2 TP + FP + FN` is the sum of
    both maps.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        smooth: In voxels. If positive, a class in neither map costs 0.
        smooth_numerator: Replaces `smooth` in the numerator, or `None`.
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`.

    Returns:
        Loss in `[0, 1]`, shape `(batch,)`.

    Reference:
        Kethavath et al. (2025), Eq. 1. The paper gives no value for `smooth` and, like the code it cites, sums over the
        batch: `over="batch"`.
    """
    pair = Pair("dice", y_true, y_pred, **options)
    return pair.class_mean(1 - dice_index(pair, smooth, smooth_numerator))


def dice_index(pair, smooth, smooth_numerator=None):
    """Soft Dice index of each class, `(batch, classes)`."""
    tp, fp, fn = pair.soft_counts()
    return ratio(2 * tp, 2 * tp + fp + fn, smooth, smooth_numerator)


@register
class Dice(SegmentationLoss):
    """Class form of `dice`, for `model.compile(loss=...)`."""

    function = staticmethod(dice)
