"""Log Dice loss."""

from keras import ops

from keras_uq.losses._base import SegmentationLoss, register
from keras_uq.losses._pair import Pair
from keras_uq.losses.dice import dice_index

# Smallest index that enters the logarithm; with the default `smooth` no image gets there.
SMALLEST_INDEX = 1e-30


@register
def log_dice(y_true, y_pred, smooth=1e-6, smooth_numerator=None, penalty_gamma=1.0, **options):
    """Log Dice loss of each image, averaged over classes.

    `-log((2 TP + smooth) / (2 TP + FP + FN + smooth))` with the soft counts of one class, that is
    `-log(1 - dice loss)`: its slope grows as the overlap vanishes.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        smooth: In voxels. If positive, a class in neither map costs 0.
        smooth_numerator: Replaces `smooth` in the numerator, or `None`.
        penalty_gamma: Power of each voxel's share of the false positives and negatives: 2 gives the "++" form.
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`.

    Returns:
        Loss of at least 0, shape `(batch,)`; no overlap costs about `log(voxels / smooth)`.

    Reference:
        Kethavath et al. (2025), Eq. 6.
    """
    pair = Pair("log_dice", y_true, y_pred, **options)
    index = dice_index(pair, smooth, smooth_numerator, penalty_gamma)
    return pair.class_mean(-ops.log(ops.maximum(index, SMALLEST_INDEX)))


@register
class LogDice(SegmentationLoss):
    """Class form of `log_dice`, for `model.compile(loss=...)`."""

    function = staticmethod(log_dice)
