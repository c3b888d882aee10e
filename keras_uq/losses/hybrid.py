"""Hybrid loss: Jaccard, binary cross-entropy and structural similarity."""

from typing import Literal

from keras_uq._kinds import Maybe
from keras_uq.losses._arguments import loss_function, register
from keras_uq.losses._base import SegmentationLoss
from keras_uq.losses.crossentropy import binary_crossentropy
from keras_uq.losses.jaccard import jaccard
from keras_uq.losses.ssim import Odd, ssim


@loss_function(window=Maybe(Odd(least=1)))
def hybrid(
    y_true,
    y_pred,
    smooth: float = 1e-6,
    window: int | None = 11,
    sigma: float = 1.5,
    padding: Literal["valid", "same"] = "valid",
    c1: float = 0.01**2,
    c2: float = 0.03**2,
    **options,
):
    """Sum of the Jaccard, binary cross-entropy and SSIM losses of each image.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        smooth: Number of voxels added to numerator and denominator of the Jaccard index.
        window: Side of the window of SSIM in voxels, odd, or `None` for the whole image: see `ssim`.
        sigma: Standard deviation of the Gaussian window of SSIM in voxels.
        padding: Of SSIM: `"valid"`, or `"same"` for zeros around the image.
        c1: Constant of SSIM in the term of the means.
        c2: Constant of SSIM in the term of the variances.
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Kethavath et al. (2025), Eq. 7. The cross-entropy is the mean over voxels; the sum that the paper prints would
        outweigh the other two terms.
    """
    return (
        jaccard(y_true, y_pred, smooth, **options)
        + binary_crossentropy(y_true, y_pred, **options)
        + ssim(y_true, y_pred, window, sigma, padding, c1, c2, **options)
    )


@register
class Hybrid(SegmentationLoss):
    """Class form of `hybrid`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.Hybrid(window=7)(y_true, y_pred)), 3)
        1.393
    """

    function = staticmethod(hybrid)
