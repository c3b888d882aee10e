"""Jaccard (intersection over union) loss."""

from keras_uq.losses._arguments import loss_function, register
from keras_uq.losses._base import SegmentationLoss
from keras_uq.losses._pair import Pair, ratio


@loss_function()
def jaccard(
    y_true, y_pred, smooth: float = 1e-6, smooth_numerator: float | None = None, penalty_gamma: float = 1.0, **options
):
    """Jaccard loss of each image, averaged over classes.

    `1 - (TP + smooth) / (TP + FP + FN + smooth)` with the soft counts of one class.

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
        Loss in `[0, 1]`, shape `(batch,)`.

    Reference:
        Kethavath et al. (2025), Eq. 8, which has no `smooth` and is 0/0 for a batch without foreground.
    """
    pair = Pair("jaccard", y_true, y_pred, **options)
    tp, fp, fn = pair.soft_counts(penalty_gamma)
    return pair.class_mean(1 - ratio(tp, tp + fp + fn, smooth, smooth_numerator))


@register
class Jaccard(SegmentationLoss):
    """Class form of `jaccard`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.Jaccard()(y_true, y_pred)), 3)
        0.5
    """

    function = staticmethod(jaccard)
    added_later = ("penalty_gamma",)
