"""Structural similarity loss."""

from typing import Literal

from keras import ops

from keras_uq._kinds import Integer, Maybe, Mismatch
from keras_uq.losses._arguments import loss_function, register
from keras_uq.losses._base import SegmentationLoss
from keras_uq.losses._pair import Pair


class Odd(Integer):
    """An odd whole number of a range."""

    noun = "an odd whole number"

    def read(self, value):
        number = super().read(value)
        if number % 2 != 1:
            raise Mismatch
        return number


@loss_function(window=Maybe(Odd(least=1)))
def ssim(
    y_true,
    y_pred,
    window: int | None = 11,
    sigma: float = 1.5,
    padding: Literal["valid", "same"] = "valid",
    c1: float = 0.01**2,
    c2: float = 0.03**2,
    **options,
):
    """`1 - SSIM` between labels and probabilities as two images, averaged over positions and classes.

    Means, variances and covariance are those of a Gaussian window around each position, along every spatial axis (a
    cube in a volume). Variances are population moments, `E[x^2] - E[x]^2`. Ignored voxels are left out of the windows.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        window: Side of the window in voxels, odd; on a shorter axis, the largest odd side that fits. `None`: the means
            and variances are those of the whole image.
        sigma: Standard deviation of the Gaussian in voxels, at least 0.01.
        padding: `"valid"`, or `"same"` for zeros around the image.
        c1: Constant in the term of the means, above 0.
        c2: Constant in the term of the variances, above 0.
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss in `[0, 2]`, shape `(batch,)`.

    Reference:
        Kethavath et al. (2025), Eq. 9 and 10. The printed constants 0.012 and 0.032 are `0.01^2` and `0.03^2` without
        their superscripts. The Gaussian window is taken from the fusion loss on which the paper builds.
    """
    pair = Pair("ssim", y_true, y_pred, **options)
    true, pred, valid = pair.y_true, pair.y_pred, pair.valid

    def local_mean(values):
        if window is None:
            return ops.mean(values, axis=pair.spatial_axes, keepdims=True)
        for axis in pair.spatial_axes:
            values = _blur(values, axis, window, sigma, padding)
        return values

    if valid is None:
        weight, mean = None, local_mean
    else:
        weight = local_mean(valid)

        def mean(values):
            return local_mean(values * valid) / ops.maximum(weight, 1e-12)

    mean_true, mean_pred = mean(true), mean(pred)
    variance_true = mean(true * true) - mean_true * mean_true
    variance_pred = mean(pred * pred) - mean_pred * mean_pred
    covariance = mean(true * pred) - mean_true * mean_pred
    similarity = ((2 * mean_true * mean_pred + c1) * (2 * covariance + c2)) / (
        (mean_true * mean_true + mean_pred * mean_pred + c1) * (variance_true + variance_pred + c2)
    )
    return pair.class_mean(_position_mean(pair, 1 - similarity, weight))


def _position_mean(pair, loss, weight):
    """Mean over positions, `(batch, classes)`; the weight of a position is the share of its window that counts."""
    weight = ops.ones_like(loss[..., :1]) if weight is None else weight
    axes = (0, *pair.spatial_axes) if pair.pooled else pair.spatial_axes
    keep = {"axis": axes, "keepdims": True}
    value = ops.sum(loss * weight, **keep) / ops.maximum(ops.sum(weight, **keep), 1e-12)
    batch, classes = ops.shape(loss)[0], loss.shape[-1]
    return ops.broadcast_to(ops.reshape(value, (-1, classes)), (batch, classes))


def _blur(values, axis, window, sigma, padding):
    """Gaussian mean along one axis, computed as a product with a band matrix, which is the same in 2D and 3D."""
    size = ops.shape(values)[axis]
    largest_odd = size - 1 + size % 2
    # The size is a tensor if it is known only at run time (TensorFlow), and a number otherwise.
    side = min(window, largest_odd) if isinstance(size, int) else ops.minimum(window, largest_odd)
    outputs = size - side + 1 if padding == "valid" else size
    centre = (side - 1) // 2
    first = 0 if padding == "valid" else -centre
    offset = ops.arange(size)[None, :] - ops.arange(outputs)[:, None] - first
    inside = ops.logical_and(offset >= 0, offset < side)
    distance = ops.cast(offset - centre, values.dtype)
    band = ops.where(inside, ops.exp(-(distance**2) / (2 * sigma**2)), ops.zeros_like(distance))
    taps = ops.cast(ops.arange(side) - centre, values.dtype)
    band = band / ops.sum(ops.exp(-(taps**2) / (2 * sigma**2)))
    return ops.moveaxis(ops.tensordot(values, band, axes=[[axis], [1]]), -1, axis)


@register
class SSIM(SegmentationLoss):
    """Class form of `ssim`, for `model.compile(loss=...)`.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.SSIM(window=7)(y_true, y_pred)), 3)
        0.2
    """

    function = staticmethod(ssim)
