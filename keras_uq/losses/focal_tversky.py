"""Focal Tversky loss."""

from keras import ops

from keras_uq.losses._base import SegmentationLoss, register
from keras_uq.losses._pair import SMALLEST, Pair, check_variant
from keras_uq.losses.tversky import tversky_index


@register
def focal_tversky(
    y_true,
    y_pred,
    alpha=0.3,
    beta=0.7,
    exponent=0.75,
    smooth=1e-6,
    smooth_numerator=None,
    penalty_gamma=1.0,
    variant="recommended",
    **options,
):
    """Focal Tversky loss of each image: the Tversky loss of each class to a power, averaged over classes.

    `max(1 - TI, 1e-7) ** exponent`. An exponent below 1 keeps the slope high when a class is nearly right, one above 1
    turns to the classes that are wrong.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        alpha: Price of a false positive.
        beta: Price of a false negative.
        exponent: Power of the Tversky loss. Kethavath et al. call it gamma; the original paper and Yeung et al. write
            `1 / gamma` with gamma = 4/3, which is the same 0.75.
        smooth: In voxels. If positive, a class in neither map costs nothing but `1e-7 ** exponent`.
        smooth_numerator: Replaces `smooth` in the numerator, or `None`.
        penalty_gamma: Power of each voxel's share of the false positives and negatives: 2 gives the "++" form.
        variant: `"recommended"`; or `"released"`, whose labels are clipped to `[1e-7, 1 - 1e-7]` as in the code of
            Yeung et al. (2021): see `dice_plus_plus`.
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`.

    Returns:
        Loss in `[1e-7 ** exponent, 1]`, shape `(batch,)`.

    Reference:
        [Abraham and Khan, 2018](https://arxiv.org/abs/1810.07842); Kethavath et al. (2025), Eq. 5, which prints no
        value for the exponent; Yeung et al. (2021), Eq. 17, as a mean over classes.
    """
    check_variant("focal_tversky", variant, ("recommended", "released"))
    pair = Pair("focal_tversky", y_true, y_pred, **options)
    index = tversky_index(pair, alpha, beta, smooth, smooth_numerator, penalty_gamma, variant == "released")
    return pair.class_mean(focal(1 - index, exponent))


def focal(loss, exponent):
    """`loss ** exponent` of losses in [0, 1], with a finite slope at 0 also for powers below 1."""
    return ops.maximum(loss, SMALLEST) ** exponent


@register
class FocalTversky(SegmentationLoss):
    """Class form of `focal_tversky`, for `model.compile(loss=...)`."""

    function = staticmethod(focal_tversky)
