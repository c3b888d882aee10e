"""Log-cosh losses: of each voxel's error, and of the Dice loss."""

import math

from keras import ops

from keras_uq.losses._base import SegmentationLoss, register
from keras_uq.losses._pair import Pair
from keras_uq.losses.crossentropy import reduce_voxels
from keras_uq.losses.dice import dice_index


@register
def log_cosh(y_true, y_pred, voxels="mean", **options):
    """Log-cosh of the error of each voxel, averaged over voxels and classes.

    `log(cosh(p - g)) = |x| + log(1 + exp(-2|x|)) - log 2` with `x = p - g`: about `x ** 2 / 2`.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        voxels: `"mean"` or `"sum"` over voxels.
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`.

    Returns:
        Loss in `[0, 0.434]` for the mean, shape `(batch,)`.

    Reference:
        Kethavath et al. (2025), Eq. 2, which prints the sum; a constant factor does not change Adam's step.
    """
    pair = Pair("log_cosh", y_true, y_pred, **options)
    return reduce_voxels(pair, _log_cosh(pair.y_pred - pair.y_true), voxels, "log_cosh")


@register
def log_cosh_dice(y_true, y_pred, smooth=1e-6, smooth_numerator=None, penalty_gamma=1.0, **options):
    """Log-cosh of the Dice loss of each class, `log(cosh(dice))`, averaged over classes.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        smooth: As in `dice`.
        smooth_numerator: As in `dice`.
        penalty_gamma: As in `dice`.
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`.

    Returns:
        Loss in `[0, 0.434]`, shape `(batch,)`.

    Reference:
        [Jadon, 2020](https://arxiv.org/abs/2006.14822).
    """
    pair = Pair("log_cosh_dice", y_true, y_pred, **options)
    return pair.class_mean(_log_cosh(1 - dice_index(pair, smooth, smooth_numerator, penalty_gamma)))


def _log_cosh(x):
    size = ops.abs(x)
    return size + ops.log1p(ops.exp(-2 * size)) - math.log(2)


@register
class LogCosh(SegmentationLoss):
    """Class form of `log_cosh`, for `model.compile(loss=...)`."""

    function = staticmethod(log_cosh)


@register
class LogCoshDice(SegmentationLoss):
    """Class form of `log_cosh_dice`, for `model.compile(loss=...)`."""

    function = staticmethod(log_cosh_dice)
