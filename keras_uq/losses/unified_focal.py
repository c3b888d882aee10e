"""Unified Focal loss and its two parts."""

from typing import Literal

from keras import ops

from keras_uq._kinds import Number
from keras_uq.losses._arguments import loss_function, register
from keras_uq.losses._base import SegmentationLoss
from keras_uq.losses._pair import Pair
from keras_uq.losses.crossentropy import class_terms
from keras_uq.losses.focal_tversky import focal
from keras_uq.losses.tversky import tversky_index


@loss_function(gamma=Number(least=0))
def asymmetric_focal(y_true, y_pred, delta: float = 0.6, gamma: float = 0.1, **options):
    """Cross-entropy of each image that gives less weight to background voxels that are nearly right.

    `-delta y log p` for each foreground class and `-(1 - delta) (1 - p)^gamma y log p` for the background, summed over
    classes and averaged over voxels. Channel 0 is the background. A single channel, and each channel of a `multilabel`
    network, stands for two classes `[1 - p, p]`.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        delta: Weight of foreground classes, in [0, 1].
        gamma: Power of the error `1 - p` of the background, at least 0.
        class_weights: One number per class, at least 0. They multiply the terms of the sum over exclusive classes, and
            the sum is not divided by them.
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 19, with the probability of the background in the last logarithm.
    """
    pair = Pair("asymmetric_focal", y_true, y_pred, **options)
    return pair.class_sum(pair.voxel_mean(class_terms(pair, delta, 1 - delta, gamma)))


@loss_function(gamma=Number(least=0, below=1))
def asymmetric_focal_tversky(
    y_true,
    y_pred,
    delta: float = 0.6,
    gamma: float = 0.1,
    smooth: float = 1e-7,
    penalty_gamma: float = 1.0,
    variant: Literal["recommended", "printed", "released"] = "recommended",
    **options,
):
    """Tversky loss of each image, averaged over classes, raised to the power `1 - gamma` for foreground classes.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        delta: Weight of false negatives, in [0, 1]; `1 - delta` is the weight of false positives.
        gamma: In [0, 1). A higher value gives more weight to foreground classes that are nearly right.
        smooth: Number of voxels added to numerator and denominator of the Tversky index.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        variant: `"recommended"` and `"released"`, as in the authors' code; or `"printed"`, where `delta` is the weight
            of false positives (Eq. 21).
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss in `[0, 1]`, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 20 and 21, as a mean over classes where the paper prints a sum.
    """
    pair = Pair("asymmetric_focal_tversky", y_true, y_pred, **options)
    alpha, beta = (delta, 1 - delta) if variant == "printed" else (1 - delta, delta)
    loss = 1 - tversky_index(pair, alpha, beta, smooth, penalty_gamma=penalty_gamma)
    focused = focal(loss, 1 - gamma)
    if pair.exclusive:
        focused = ops.concatenate([loss[:, :1], focused[:, 1:]], axis=-1)
    return pair.class_mean(focused)


@loss_function(gamma=Number(least=0, below=1))
def unified_focal(
    y_true,
    y_pred,
    weight: float = 0.5,
    delta: float = 0.6,
    gamma: float = 0.1,
    smooth: float = 1e-7,
    penalty_gamma: float = 1.0,
    variant: Literal["recommended", "printed", "released"] = "recommended",
    **options,
):
    """`weight * asymmetric_focal + (1 - weight) * asymmetric_focal_tversky` of each image.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        weight: Weight of the cross-entropy, in [0, 1]; lambda in the paper.
        delta: Weight of foreground classes in the cross-entropy, and of false negatives in the Tversky loss, in [0, 1].
        gamma: In [0, 1). Power of the error of the background in the cross-entropy. The Tversky loss of foreground
            classes is raised to `1 - gamma`.
        smooth: Number of voxels added to numerator and denominator of the Tversky index.
        penalty_gamma: Power of the false positive and the false negative of each voxel in the Tversky index: 2 gives
            Unified Focal++.
        variant: `"recommended"`; `"printed"`, where `delta` is the weight of false positives in the Tversky loss; or
            `"released"`, where `weight` is the weight of the Tversky loss, which is the same for a weight of 0.5.
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 18; [Yeung et al., 2022](https://doi.org/10.1016/j.compmedimag.2021.102026).
    """
    crossentropy = asymmetric_focal(y_true, y_pred, delta, gamma, **options)
    overlap = asymmetric_focal_tversky(y_true, y_pred, delta, gamma, smooth, penalty_gamma, variant, **options)
    if variant == "released":
        crossentropy, overlap = overlap, crossentropy
    return weight * crossentropy + (1 - weight) * overlap


@register
class AsymmetricFocal(SegmentationLoss):
    """Class form of `asymmetric_focal`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.eye(2)[[[[0, 0, 1, 1]]]], np.full((1, 1, 4, 2), 0.5)
        >>> round(float(losses.AsymmetricFocal(delta=0.6, gamma=0.5)(y_true, y_pred)), 3)
        0.306
    """

    function = staticmethod(asymmetric_focal)


@register
class AsymmetricFocalTversky(SegmentationLoss):
    """Class form of `asymmetric_focal_tversky`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.eye(2)[[[[0, 0, 1, 1]]]], np.full((1, 1, 4, 2), 0.5)
        >>> round(float(losses.AsymmetricFocalTversky(delta=0.6, gamma=0.5)(y_true, y_pred)), 3)
        0.604
    """

    function = staticmethod(asymmetric_focal_tversky)
    added_later = ("penalty_gamma", "variant")


@register
class UnifiedFocal(SegmentationLoss):
    """Class form of `unified_focal`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.eye(2)[[[[0, 0, 1, 1]]]], np.full((1, 1, 4, 2), 0.5)
        >>> round(float(losses.UnifiedFocal(weight=0.5, delta=0.6, gamma=0.5)(y_true, y_pred)), 3)
        0.455
    """

    function = staticmethod(unified_focal)
    added_later = ("penalty_gamma", "variant")
