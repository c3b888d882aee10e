"""Hybrid loss: Jaccard, binary cross-entropy and structural similarity."""

from keras_uq.losses._base import SegmentationLoss, register
from keras_uq.losses.crossentropy import binary_crossentropy
from keras_uq.losses.jaccard import jaccard
from keras_uq.losses.ssim import ssim


@register
def hybrid(y_true, y_pred, smooth=1e-6, window=11, sigma=1.5, padding="valid", c1=0.01**2, c2=0.03**2, **options):
    """Sum of the Jaccard, binary cross-entropy and SSIM losses of each image.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        smooth: Of the Jaccard loss, in voxels.
        window: Of SSIM, like the next four.
        sigma: See `ssim`.
        padding: See `ssim`.
        c1: See `ssim`.
        c2: See `ssim`.
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Kethavath et al. (2025), Eq. 7. The cross-entropy is the mean over voxels: its printed sum would silence the
        other two.
    """
    return (
        jaccard(y_true, y_pred, smooth, **options)
        + binary_crossentropy(y_true, y_pred, **options)
        + ssim(y_true, y_pred, window, sigma, padding, c1, c2, **options)
    )


@register
class Hybrid(SegmentationLoss):
    """Class form of `hybrid`, for `model.compile(loss=...)`."""

    function = staticmethod(hybrid)
