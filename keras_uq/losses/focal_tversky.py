"""Focal Tversky loss."""

from typing import Literal

from keras import ops

from keras_uq.losses._arguments import loss_function, register
from keras_uq.losses._base import SegmentationLoss
from keras_uq.losses._pair import SMALLEST, Pair
from keras_uq.losses.tversky import tversky_index


@loss_function()
def focal_tversky(
    y_true,
    y_pred,
    alpha: float = 0.3,
    beta: float = 0.7,
    exponent: float = 0.75,
    smooth: float = 1e-6,
    smooth_numerator: float | None = None,
    penalty_gamma: float = 1.0,
    variant: Literal["recommended", "released"] = "recommended",
    **options,
):
    """Focal Tversky loss of each image: a power of the Tversky loss of each class, averaged over classes.

    `max(tversky, 1e-7) ** exponent`. An exponent below 1 keeps the slope high for a class that is nearly right; an
    exponent above 1 gives more weight to the classes with a large error.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        alpha: Weight of false positives, at least 0.
        beta: Weight of false negatives, at least 0.
        exponent: Power of the Tversky loss, above 0. Kethavath et al. call it gamma; the original paper and Yeung et
            al. write `1 / gamma` with gamma = 4/3, which is also 0.75.
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of `1e-7 ** exponent`.
        smooth_numerator: Replaces `smooth` in the numerator (0 for Mehrtash et al., 2020), or `None`.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        variant: `"recommended"`; or `"released"`, which clips labels to `[1e-7, 1 - 1e-7]` as does the code of Yeung et
            al. (2021): see `dice_plus_plus`.
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss in `[1e-7 ** exponent, 1]`, shape `(batch,)`.

    Reference:
        [Abraham and Khan, 2018](https://arxiv.org/abs/1810.07842); Kethavath et al. (2025), Eq. 5, which prints no
        value for the exponent; Yeung et al. (2021), Eq. 17, as a mean over classes.
    """
    pair = Pair("focal_tversky", y_true, y_pred, **options)
    index = tversky_index(pair, alpha, beta, smooth, smooth_numerator, penalty_gamma, variant == "released")
    return pair.class_mean(focal(1 - index, exponent))


def focal(loss, exponent):
    """`loss ** exponent` of losses in [0, 1], with a finite slope at 0 for exponents below 1 too."""
    return ops.maximum(loss, SMALLEST) ** exponent


@register
class FocalTversky(SegmentationLoss):
    """Class form of `focal_tversky`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.FocalTversky(alpha=0.3, beta=0.7, exponent=0.75)(y_true, y_pred)), 3)
        0.514
    """

    function = staticmethod(focal_tversky)
    added_later = ("penalty_gamma", "variant")
