"""Dice loss and DSC++."""

from keras_uq.losses._base import SegmentationLoss, register
from keras_uq.losses._pair import Pair, check_variant, ratio


@register
def dice(y_true, y_pred, smooth=1e-6, smooth_numerator=None, squared=False, penalty_gamma=1.0, **options):
    """Dice loss of each image, averaged over classes.

    `1 - (2 TP + smooth) / (2 TP + FP + FN + smooth)` with the soft counts of one class; `2 TP + FP + FN` is the sum of
    both maps.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        smooth: In voxels. If positive, a class in neither map costs 0. With a small one, an image without the class
            costs 1 whatever little is predicted, and teaches nothing: for slices without organ, take 1 or
            `over="batch"`.
        smooth_numerator: Replaces `smooth` in the numerator, or `None`.
        squared: The denominator sums the squares of both maps (Milletari et al., 2016). With hard labels this is
            `penalty_gamma=2`.
        penalty_gamma: Power of each voxel's share of the false positives and negatives: 2 gives the "++" form.
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`.

    Returns:
        Loss in `[0, 1]`, shape `(batch,)`.

    Reference:
        Kethavath et al. (2025), Eq. 1. The paper gives no value for `smooth` and, like the code it cites, sums over the
        batch: `over="batch"`. Yeung et al. (2021), Eq. 2 and 3, whose code has `smooth=1e-5` and two softmax channels.
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
    """Class form of `dice`, for `model.compile(loss=...)`."""

    function = staticmethod(dice)


@register
def dice_plus_plus(y_true, y_pred, gamma=2.0, smooth=1e-7, variant="recommended", **options):
    """DSC++ loss of each image, averaged over classes: Dice that cares less for doubt than for confident errors.

    `1 - (2 TP + smooth) / (2 TP + sum ((1 - y) p)^gamma + sum (y (1 - p))^gamma + smooth)`.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        gamma: Above 0. 1 gives `dice`; 2, for one foreground channel and hard labels, `dice(squared=True)`.
        smooth: In voxels. If positive, a class in neither map costs 0.
        variant: `"recommended"`; or `"released"`, which clips labels as well as predictions to `[1e-7, 1 - 1e-7]` like
            the authors' code. That matters for `gamma < 1` alone, where each of many right voxels then costs a little:
            `1e-7 ** 0.5` at 0.5. Equation 9 is for the foreground alone: `include_background=False`.
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`.

    Returns:
        Loss in `[0, 1]`, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 9.
    """
    check_variant("dice_plus_plus", variant, ("recommended", "released"))
    pair = Pair("dice_plus_plus", y_true, y_pred, **options)
    index = dice_index(pair, smooth, penalty_gamma=gamma, clip_labels=variant == "released")
    return pair.class_mean(1 - index)


@register
class DicePlusPlus(SegmentationLoss):
    """Class form of `dice_plus_plus`, for `model.compile(loss=...)`."""

    function = staticmethod(dice_plus_plus)
