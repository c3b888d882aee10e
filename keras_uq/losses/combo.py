"""Combo loss: weighted cross-entropy and Dice."""

from typing import Literal

from keras_uq._kinds import Number
from keras_uq.losses._arguments import loss_function, register
from keras_uq.losses._base import SegmentationLoss
from keras_uq.losses._pair import Pair
from keras_uq.losses.crossentropy import class_terms
from keras_uq.losses.tversky import tversky_index


@loss_function(alpha=Number(0, 1), beta=Number(0, 1))
def combo(
    y_true,
    y_pred,
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth: float = 1e-6,
    penalty_gamma: float = 1.0,
    variant: Literal["recommended", "released"] = "recommended",
    **options,
):
    """`alpha * weighted cross-entropy - (1 - alpha) * Dice index` of each image.

    The cross-entropy is `-beta y log p` for foreground classes and `-(1 - beta) y log p` for the background, summed
    over classes and averaged over voxels. The Dice index is averaged over classes.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        alpha: Weight of the cross-entropy, in [0, 1].
        beta: Weight of false negatives in the cross-entropy, in [0, 1]; `1 - beta` is the weight of false positives.
        smooth: Number of voxels in the Dice index, `(TP + smooth) / (TP + (FP + FN) / 2 + smooth)`.
        penalty_gamma: Power of the false positive and the false negative of each voxel in the Dice index: 2 gives
            Combo++.
        variant: `"recommended"`, as printed in the paper; or `"released"`, as in the authors' code, where `beta` is the
            weight of the background. They agree for `beta=0.5`.
        class_weights: One number per class, at least 0. They multiply the terms of the cross-entropy over exclusive
            classes, and are the weights of the mean of the Dice index over classes.
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss of at least `-(1 - alpha)`, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 13 and 14 (with a minus sign before both terms of Eq. 14);
        [Taghanaki et al., 2019](https://arxiv.org/abs/1805.02798).
    """
    pair = Pair("combo", y_true, y_pred, **options)
    foreground, background = (1 - beta, beta) if variant == "released" else (beta, 1 - beta)
    crossentropy = pair.class_sum(pair.voxel_mean(class_terms(pair, foreground, background)))
    index = pair.class_mean(tversky_index(pair, 0.5, 0.5, smooth, penalty_gamma=penalty_gamma))
    return alpha * crossentropy - (1 - alpha) * index


@register
class Combo(SegmentationLoss):
    """Class form of `combo`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.eye(2)[[[[0, 0, 1, 1]]]], np.full((1, 1, 4, 2), 0.5)
        >>> round(float(losses.Combo(alpha=0.5, beta=0.6)(y_true, y_pred)), 3)
        -0.077
    """

    function = staticmethod(combo)
    added_later = ("penalty_gamma", "variant")
