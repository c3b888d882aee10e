"""Tversky loss."""

from keras_uq.losses._base import SegmentationLoss, register
from keras_uq.losses._pair import Pair, check_variant, ratio


@register
def tversky(
    y_true,
    y_pred,
    alpha=0.5,
    beta=0.5,
    smooth=1e-6,
    smooth_numerator=None,
    penalty_gamma=1.0,
    variant="recommended",
    **options,
):
    """Tversky loss of each image, averaged over classes.

    `1 - (TP + smooth) / (TP + alpha * FP + beta * FN + smooth)` with the soft counts of one class. `beta > alpha`
    trades precision for recall. 0.5 and 0.5 give the Dice loss with twice the `smooth`, 1 and 1 the Jaccard loss.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        alpha: Price of a false positive (as Keras documents it; the code of Keras 3.15 has the two swapped).
        beta: Price of a false negative.
        smooth: In voxels. If positive, a class in neither map costs 0.
        smooth_numerator: Replaces `smooth` in the numerator, or `None`.
        penalty_gamma: Power of each voxel's share of the false positives and negatives: 2 gives the "++" form.
        variant: `"recommended"`; or `"released"`, whose labels are clipped to `[1e-7, 1 - 1e-7]` as in the code of
            Yeung et al. (2021): see `dice_plus_plus`.
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`.

    Returns:
        Loss in `[0, 1]`, shape `(batch,)`.

    Reference:
        [Salehi et al., 2017](https://arxiv.org/abs/1706.05721); Kethavath et al. (2025), Eq. 4, at 0.3 and 0.7;
        Yeung et al. (2021), Eq. 15 and 16, with `smooth=1e-7` and the power inside the index, the prices outside it.
    """
    check_variant("tversky", variant, ("recommended", "released"))
    pair = Pair("tversky", y_true, y_pred, **options)
    return pair.class_mean(
        1 - tversky_index(pair, alpha, beta, smooth, smooth_numerator, penalty_gamma, variant == "released")
    )


def tversky_index(pair, alpha, beta, smooth, smooth_numerator=None, penalty_gamma=1.0, clip_labels=False):
    """Tversky index of each class, `(batch, classes)`."""
    tp, fp, fn = pair.soft_counts(penalty_gamma, clip_labels)
    return ratio(tp, tp + alpha * fp + beta * fn, smooth, smooth_numerator)


@register
class Tversky(SegmentationLoss):
    """Class form of `tversky`, for `model.compile(loss=...)`."""

    function = staticmethod(tversky)
