"""Jaccard (intersection over union) loss."""

from keras_uq.losses._base import SegmentationLoss, register
from keras_uq.losses._pair import Pair, ratio


@register
def jaccard(y_true, y_pred, smooth=1e-6, smooth_numerator=None, penalty_gamma=1.0, **options):
    """Jaccard loss of each image, averaged over classes.

    `1 - (TP + smooth) / (TP + FP + FN + smooth)` with the soft counts of one class.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        smooth: In voxels. If positive, a class in neither map costs 0.
        smooth_numerator: Replaces `smooth` in the numerator, or `None`.
        penalty_gamma: Power of each voxel's share of the false positives and negatives: 2 gives the "++" form.
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`.

    Returns:
        Loss in `[0, 1]`, shape `(batch,)`.

    Reference:
        Kethavath et al. (2025), Eq. 8, which has no `smooth` and is 0/0 for an empty batch.
    """
    pair = Pair("jaccard", y_true, y_pred, **options)
    tp, fp, fn = pair.soft_counts(penalty_gamma)
    return pair.class_mean(1 - ratio(tp, tp + fp + fn, smooth, smooth_numerator))


@register
class Jaccard(SegmentationLoss):
    """Class form of `jaccard`, for `model.compile(loss=...)`."""

    function = staticmethod(jaccard)
