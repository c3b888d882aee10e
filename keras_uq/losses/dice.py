"""Dice loss and DSC++."""

from typing import Literal

from keras_uq._kinds import Number
from keras_uq.losses._arguments import loss_function, register
from keras_uq.losses._base import SegmentationLoss
from keras_uq.losses._pair import Pair, ratio


@loss_function()
def dice(
    y_true,
    y_pred,
    smooth: float = 1e-6,
    smooth_numerator: float | None = None,
    squared: bool = False,
    penalty_gamma: float = 1.0,
    **options,
):
    """Dice loss of each image, averaged over classes.

    `1 - (2 TP + smooth) / (2 TP + FP + FN + smooth)` with the soft counts of one class. `2 TP + FP + FN` is the sum
    over labels and probabilities.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of 0. If it is small, an image without the class has a loss near 1 for any prediction, with almost no
            gradient: for slices without the organ, use `smooth=1` or `over="batch"`.
        smooth_numerator: Replaces `smooth` in the numerator (0 for Mehrtash et al., 2020), or `None`.
        squared: The denominator sums the squares of labels and probabilities (Milletari et al., 2016). With hard
            labels this equals `penalty_gamma=2`.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss in `[0, 1]`, shape `(batch,)`.

    Reference:
        Kethavath et al. (2025), Eq. 1. The paper gives no value for `smooth` and, like the code it cites, sums over the
        batch: `over="batch"`. Yeung et al. (2021), Eq. 2 and 3; their code has `smooth=1e-5` and two softmax channels.
    """
    pair = Pair("dice", y_true, y_pred, **options)
    if squared and penalty_gamma != 1:
        raise ValueError(f"dice takes `squared` or `penalty_gamma`. Received: both, penalty_gamma={penalty_gamma!r}.")
    if squared:
        overlap, sizes = pair.voxel_sum(pair.y_true * pair.y_pred), pair.voxel_sum(pair.y_true**2 + pair.y_pred**2)
        return pair.class_mean(1 - ratio(2 * overlap, sizes, smooth, smooth_numerator))
    return pair.class_mean(1 - dice_index(pair, smooth, smooth_numerator, penalty_gamma))


def dice_index(pair, smooth, smooth_numerator=None, penalty_gamma=1.0, clip_labels=False):
    """Soft Dice index of each class, `(batch, classes)`."""
    tp, fp, fn = pair.soft_counts(penalty_gamma, clip_labels)
    return ratio(2 * tp, 2 * tp + fp + fn, smooth, smooth_numerator)


@register
class Dice(SegmentationLoss):
    """Class form of `dice`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.Dice(smooth=1)(y_true, y_pred)), 3)
        0.33
    """

    function = staticmethod(dice)
    added_later = ("squared", "penalty_gamma")


@loss_function(gamma=Number(above=0))
def dice_plus_plus(
    y_true,
    y_pred,
    gamma: float = 2.0,
    smooth: float = 1e-7,
    variant: Literal["recommended", "released"] = "recommended",
    **options,
):
    """DSC++ loss of each image, averaged over classes: a Dice loss that penalises confident errors most.

    `1 - (2 TP + smooth) / (2 TP + sum ((1 - y) p)^gamma + sum (y (1 - p))^gamma + smooth)`.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        gamma: Power of the false positive and the false negative of each voxel, above 0. 1 gives `dice`; with one
            foreground channel and hard labels, 2 gives `dice(squared=True)`.
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of 0.
        variant: `"recommended"`; or `"released"`, which clips labels as well as predictions to `[1e-7, 1 - 1e-7]` as
            does the authors' code. The difference matters only for `gamma < 1`, where every correct voxel then adds to
            the loss: `1e-7 ** 0.5` for a gamma of 0.5.
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss in `[0, 1]`, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 9, which is for the foreground only: `include_background=False`.
    """
    pair = Pair("dice_plus_plus", y_true, y_pred, **options)
    index = dice_index(pair, smooth, penalty_gamma=gamma, clip_labels=variant == "released")
    return pair.class_mean(1 - index)


@register
class DicePlusPlus(SegmentationLoss):
    """Class form of `dice_plus_plus`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.DicePlusPlus(gamma=2)(y_true, y_pred)), 3)
        0.2
    """

    function = staticmethod(dice_plus_plus)
    added_later = ("variant",)
