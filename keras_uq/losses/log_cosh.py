"""Log-cosh losses: of each voxel's error, and of the Dice loss."""

import math
from typing import Literal

from keras import ops

from keras_uq.losses._arguments import loss_function, register
from keras_uq.losses._base import SegmentationLoss
from keras_uq.losses._pair import Pair
from keras_uq.losses.crossentropy import reduce_voxels
from keras_uq.losses.dice import dice_index


@loss_function()
def log_cosh(y_true, y_pred, voxels: Literal["mean", "sum"] = "mean", **options):
    """Log-cosh of the error of each voxel, averaged over voxels and classes.

    `log(cosh(x)) = |x| + log(1 + exp(-2|x|)) - log 2` with `x = y_pred - y_true`, which is about `x ** 2 / 2`.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        voxels: Whether the loss is the `"mean"` or the `"sum"` over voxels.
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss in `[0, 0.434]` for the mean, shape `(batch,)`.

    Reference:
        Kethavath et al. (2025), Eq. 2, which prints the sum; a constant factor does not change Adam's step.
    """
    pair = Pair("log_cosh", y_true, y_pred, **options)
    return reduce_voxels(pair, _log_cosh(pair.y_pred - pair.y_true), voxels)


@loss_function()
def log_cosh_dice(
    y_true, y_pred, smooth: float = 1e-6, smooth_numerator: float | None = None, penalty_gamma: float = 1.0, **options
):
    """Log-cosh of the Dice loss of each class, `log(cosh(dice))`, averaged over classes.

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
    """Class form of `log_cosh`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.LogCosh()(y_true, y_pred)), 3)
        0.12
    """

    function = staticmethod(log_cosh)


@register
class LogCoshDice(SegmentationLoss):
    """Class form of `log_cosh_dice`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.LogCoshDice()(y_true, y_pred)), 3)
        0.055
    """

    function = staticmethod(log_cosh_dice)
    added_later = ("penalty_gamma",)
