"""Combo loss: weighted cross-entropy and Dice."""

from keras_uq.losses._base import SegmentationLoss, register
from keras_uq.losses._pair import Pair, check_variant
from keras_uq.losses.crossentropy import class_terms
from keras_uq.losses.tversky import tversky_index


@register
def combo(y_true, y_pred, alpha=0.5, beta=0.5, smooth=1e-6, penalty_gamma=1.0, variant="recommended", **options):
    """`alpha * weighted cross-entropy - (1 - alpha) * Dice index` of each image.

    The cross-entropy is `-beta y log p` of foreground classes and `-(1 - beta) y log p` of the background, summed over
    classes and averaged over voxels; the index is a mean over classes.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        alpha: Weight of the cross-entropy, in [0, 1].
        beta: Price of a false negative within it, in [0, 1]; `1 - beta` is that of a false positive.
        smooth: Of the index, `(TP + smooth) / (TP + (FP + FN) / 2 + smooth)`, in voxels.
        penalty_gamma: Power of each voxel's share of the false positives and negatives in the index: 2 gives Combo++.
        variant: `"recommended"`, which is as printed; or `"released"`, where `beta` weights the background as in the
            authors' code. They agree at `beta=0.5`.
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`. `class_weights` multiply
            the terms of the cross-entropy and weight the mean of the index.

    Returns:
        Loss of at least `-(1 - alpha)`, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 13 and 14 (with minus signs over both terms of 14);
        [Taghanaki et al., 2019](https://arxiv.org/abs/1805.02798).
    """
    check_variant("combo", variant, ("recommended", "released"))
    pair = Pair("combo", y_true, y_pred, **options)
    foreground, background = (1 - beta, beta) if variant == "released" else (beta, 1 - beta)
    crossentropy = pair.class_sum(pair.voxel_mean(class_terms(pair, foreground, background)))
    index = pair.class_mean(tversky_index(pair, 0.5, 0.5, smooth, penalty_gamma=penalty_gamma))
    return alpha * crossentropy - (1 - alpha) * index


@register
class Combo(SegmentationLoss):
    """Class form of `combo`, for `model.compile(loss=...)`."""

    function = staticmethod(combo)
