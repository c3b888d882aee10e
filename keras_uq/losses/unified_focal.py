"""Unified Focal loss and its two parts."""

from keras import ops

from keras_uq.losses._base import SegmentationLoss, register
from keras_uq.losses._pair import Pair, check_variant
from keras_uq.losses.crossentropy import class_terms
from keras_uq.losses.focal_tversky import focal
from keras_uq.losses.tversky import tversky_index

VARIANTS = ("recommended", "printed", "released")


@register
def asymmetric_focal(y_true, y_pred, delta=0.6, gamma=0.1, **options):
    """Cross-entropy of each image that is focused for the background and not for the foreground.

    `-delta y log p` of each foreground class and `-(1 - delta) (1 - p)^gamma y log p` of the background, summed over
    classes, averaged over voxels: easy background fades, foreground never does. Every class but channel 0 is
    foreground; one channel, and channels of a `multilabel` network, hold both `[1 - p, p]`.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        delta: Weight of foreground classes, in [0, 1].
        gamma: Power of the background's error.
        **options: `over`, `class_weights`, ...: see `keras_uq.losses` and `categorical_crossentropy`.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 19, whose last logarithm must be of the background's probability.
    """
    pair = Pair("asymmetric_focal", y_true, y_pred, **options)
    return pair.class_sum(pair.voxel_mean(class_terms(pair, delta, 1 - delta, gamma)))


@register
def asymmetric_focal_tversky(
    y_true, y_pred, delta=0.6, gamma=0.1, smooth=1e-7, penalty_gamma=1.0, variant="recommended", **options
):
    """Tversky loss of each class, to the power `1 - gamma` for foreground classes, averaged over classes.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        delta: Price of a false negative; `1 - delta` is that of a false positive.
        gamma: In [0, 1): the higher, the more a nearly right foreground class still matters.
        smooth: In voxels.
        penalty_gamma: Power of each voxel's share of the false positives and negatives: 2 gives the "++" form.
        variant: `"recommended"`, which is what the authors' code does (`"released"`); or `"printed"`, where `delta`
            prices false positives (Eq. 21).
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`.

    Returns:
        Loss in `[0, 1]`, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 20 and 21, as a mean over classes where the paper prints a sum.
    """
    check_variant("asymmetric_focal_tversky", variant, VARIANTS)
    pair = Pair("asymmetric_focal_tversky", y_true, y_pred, **options)
    alpha, beta = (delta, 1 - delta) if variant == "printed" else (1 - delta, delta)
    loss = 1 - tversky_index(pair, alpha, beta, smooth, penalty_gamma=penalty_gamma)
    focused = focal(loss, 1 - gamma)
    if pair.exclusive:
        focused = ops.concatenate([loss[:, :1], focused[:, 1:]], axis=-1)
    return pair.class_mean(focused)


@register
def unified_focal(
    y_true,
    y_pred,
    weight=0.5,
    delta=0.6,
    gamma=0.1,
    smooth=1e-7,
    penalty_gamma=1.0,
    variant="recommended",
    **options,
):
    """`weight * asymmetric_focal + (1 - weight) * asymmetric_focal_tversky` of each image.

    Two classes or many, 2D or 3D.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        weight: Of the cross-entropy, in [0, 1]; the paper's lambda.
        delta: Of both parts.
        gamma: Of both parts.
        smooth: Of the Tversky part, in voxels.
        penalty_gamma: Of the Tversky part; 2 gives Unified Focal++.
        variant: `"recommended"`; `"printed"`, where `delta` prices false positives in the Tversky part; or
            `"released"`, where `weight` is that of the Tversky part. All agree in the order of the parts at 0.5.
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 18; [Yeung et al., 2022](https://doi.org/10.1016/j.compmedimag.2021.102026).
    """
    check_variant("unified_focal", variant, VARIANTS)
    crossentropy = asymmetric_focal(y_true, y_pred, delta, gamma, **options)
    overlap = asymmetric_focal_tversky(y_true, y_pred, delta, gamma, smooth, penalty_gamma, variant, **options)
    if variant == "released":
        crossentropy, overlap = overlap, crossentropy
    return weight * crossentropy + (1 - weight) * overlap


@register
class AsymmetricFocal(SegmentationLoss):
    """Class form of `asymmetric_focal`, for `model.compile(loss=...)`."""

    function = staticmethod(asymmetric_focal)


@register
class AsymmetricFocalTversky(SegmentationLoss):
    """Class form of `asymmetric_focal_tversky`, for `model.compile(loss=...)`."""

    function = staticmethod(asymmetric_focal_tversky)


@register
class UnifiedFocal(SegmentationLoss):
    """Class form of `unified_focal`, for `model.compile(loss=...)`."""

    function = staticmethod(unified_focal)
