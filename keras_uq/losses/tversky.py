"""Tversky loss."""

from typing import Literal

from keras_uq.losses._arguments import loss_function, register
from keras_uq.losses._base import SegmentationLoss
from keras_uq.losses._pair import Pair, ratio


@loss_function()
def tversky(
    y_true,
    y_pred,
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth: float = 1e-6,
    smooth_numerator: float | None = None,
    penalty_gamma: float = 1.0,
    variant: Literal["recommended", "released"] = "recommended",
    **options,
):
    """Tversky loss of each image, averaged over classes.

    `1 - (TP + smooth) / (TP + alpha * FP + beta * FN + smooth)` with the soft counts of one class. With alpha and beta
    of 0.5 it is the Dice loss with twice the `smooth`; with alpha and beta of 1 it is the Jaccard loss.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        alpha: Weight of false positives, at least 0 (as Keras documents it; the code of Keras 3.15 has alpha and beta
            swapped).
        beta: Weight of false negatives, at least 0. Above alpha, it trades precision for recall. Alpha and beta are not
            both 0.
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of 0.
        smooth_numerator: Replaces `smooth` in the numerator (0 for Mehrtash et al., 2020), or `None`.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        variant: `"recommended"`; or `"released"`, which clips labels to `[1e-7, 1 - 1e-7]` as does the code of Yeung et
            al. (2021): see `dice_plus_plus`.
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss in `[0, 1]`, shape `(batch,)`.

    Reference:
        [Salehi et al., 2017](https://arxiv.org/abs/1706.05721); Kethavath et al. (2025), Eq. 4, at 0.3 and 0.7;
        Yeung et al. (2021), Eq. 15 and 16, with `smooth=1e-7`, and with the power applied before alpha and beta.
    """
    pair = Pair("tversky", y_true, y_pred, **options)
    return pair.class_mean(
        1 - tversky_index(pair, alpha, beta, smooth, smooth_numerator, penalty_gamma, variant == "released")
    )


def tversky_index(pair, alpha, beta, smooth, smooth_numerator=None, penalty_gamma=1.0, clip_labels=False):
    """Tversky index of each class, `(batch, classes)`."""
    if all(isinstance(weight, (int, float)) and weight == 0 for weight in (alpha, beta)):
        raise ValueError(
            f"{pair.caller} expects `alpha` or `beta` above 0. Received: both 0: errors would cost nothing."
        )
    tp, fp, fn = pair.soft_counts(penalty_gamma, clip_labels)
    return ratio(tp, tp + alpha * fp + beta * fn, smooth, smooth_numerator)


@register
class Tversky(SegmentationLoss):
    """Class form of `tversky`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.Tversky(alpha=0.3, beta=0.7)(y_true, y_pred)), 3)
        0.412
    """

    function = staticmethod(tversky)
    added_later = ("penalty_gamma", "variant")
