"""PolyDice: the Dice loss as an angle and a scale, with a price of its own on the angle."""

import math

import keras
from keras import ops

from keras_uq.losses._base import SegmentationLoss, register
from keras_uq.losses._pair import Pair

PER_IMAGE = "per_image"
# Below this 1 - cos the series is used; at it both forms agree to 1e-10.
SERIES_UNTIL = 0.05
# Coefficients of the powers 1 to 6 of z = 1 - cos in theta^2.
SERIES = (2, 1 / 3, 4 / 45, 1 / 35, 16 / 1575, 8 / 2079)


@register
def poly_dice(y_true, y_pred, epsilon=0.0, order=1, scale="corrected", smooth=1e-6, **options):
    """PolyDice loss of each image, averaged over classes.

    With `cos theta` between both maps and the `scale` `s = 2 |p| |y| / (|p|^2 + |y|^2)`, the Dice loss with squares
    below is `1 - s cos theta`. PolyDice expands the cosine and changes its first coefficient:
    `(1 - s) + s ((1/2 + epsilon) theta^2 - theta^4 / 24 + ...)`.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        epsilon: What is added to the first coefficient: a number above -1/2, or a tensor `(batch,)` with one an image.
            (Below, wrong directions would be rewarded.) A higher one punishes a wrong shape more than a wrong size.
        order: Highest power of `theta^2` that is kept: 1 as in the paper, 2, 3, ..., or `None` for all.
        scale: `"corrected"`, as above; or `"printed"`, `2 <p, y> / (|p|^2 + |y|^2)`, with which order `None` and
            epsilon 0 is not the Dice loss.
        smooth: Added to numerators and denominators of scale and cosine: a class in neither map costs 0. As in `dice`,
            take 1 for slices without organ.
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`. One epsilon an image and
            `over="batch"` exclude each other.

    Returns:
        Loss in `[0, 1 - s + s (1/2 + epsilon) pi^2 / 4]` but for rounding, shape `(batch,)`; it may exceed 1.

    Raises:
        ValueError: For a number of -1/2 or less, or an unknown option.

    Reference:
        Hiroike (2026), Eq. 5 and 6, with the scale that makes its Eq. 3 equal its Eq. 2.
    """
    _check(epsilon, order, scale)
    pair = Pair("poly_dice", y_true, y_pred, **options)
    inner = pair.voxel_sum(pair.y_true * pair.y_pred)
    square_true, square_pred = pair.voxel_sum(pair.y_true**2), pair.voxel_sum(pair.y_pred**2)
    # The root has no slope at 0; no gradient flows to the labels.
    norms = ops.sqrt(square_true) * ops.sqrt(square_pred + 1e-12)
    scaled = 2 * (norms if scale == "corrected" else inner)
    factor = (scaled + smooth) / (square_true + square_pred + smooth)
    cosine = (inner + smooth) / (norms + smooth)
    square = squared_angle(1 - cosine)
    epsilon = _of_images(epsilon, pair)
    if order is None:
        return pair.class_mean(1 - factor * cosine + factor * epsilon * square)
    angle = (0.5 + epsilon) * square
    for power in range(2, order + 1):
        angle = angle + (-1) ** (power - 1) / math.factorial(2 * power) * square**power
    return pair.class_mean((1 - factor) + factor * angle)


def squared_angle(z):
    """`arccos(1 - z)^2`, whose slope is 2 at `z = 0`, where that of the plain form is undefined."""
    near = z < SERIES_UNTIL
    series = ops.zeros_like(z)
    for coefficient in reversed(SERIES):
        series = z * (coefficient + series)
    # The branch that is not used must have a finite slope.
    far = ops.arccos(ops.where(near, 1 - SERIES_UNTIL * ops.ones_like(z), 1 - z)) ** 2
    return ops.where(near, series, far)


def _of_images(epsilon, pair):
    """Epsilon as a number, or `(batch, 1)`."""
    if isinstance(epsilon, (int, float)):
        return epsilon
    if pair.pooled:
        raise ValueError(
            'poly_dice pools the batch (`over="batch"`), so it takes one number `epsilon`, not one an image.'
        )
    return ops.reshape(ops.cast(epsilon, pair.y_pred.dtype), (-1, 1))


def _check(epsilon, order, scale):
    if isinstance(epsilon, (int, float)) and not epsilon > -0.5:
        raise ValueError(f"poly_dice expects `epsilon` above -1/2. Received: epsilon={epsilon!r}.")
    if order is not None and (order != int(order) or order < 1):
        raise ValueError(f"poly_dice expects `order` of 1 or more, or None. Received: order={order!r}.")
    if scale not in ("corrected", "printed"):
        raise ValueError(f'poly_dice expects `scale` to be "corrected" or "printed". Received: scale={scale!r}.')


@register
class PolyDice(SegmentationLoss):
    """Class form of `poly_dice`, for `model.compile(loss=...)`.

    With `epsilon="per_image"` each image brings its own: the third item of a batch, which Keras calls `sample_weight`,
    is then epsilon, `(batch,)`, or epsilon and a weight, `(batch, 2)`. Batches without it, as in validation, have
    epsilon 0. `class_weight` of `fit` and `weighted_metrics` of `compile` would take it for a weight: leave them out.
    """

    function = staticmethod(poly_dice)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.epsilon == PER_IMAGE:
            _check(0.0, self.order, self.scale)
            if self.over == "batch":
                raise ValueError('PolyDice(epsilon="per_image") scores each image by itself. Use `over="image"`.')
        else:
            _check(self.epsilon, self.order, self.scale)

    def __call__(self, y_true, y_pred, sample_weight=None, mask=None):
        if self.epsilon != PER_IMAGE:
            return super().__call__(y_true, y_pred, sample_weight, mask)
        epsilon, weight = _taken_apart(sample_weight, y_pred)
        parts = (y_true, epsilon) if mask is None else (y_true, epsilon, mask)
        # Keras maps its conversion over the tuple; `call` takes it apart.
        return keras.losses.Loss.__call__(self, parts, y_pred, weight)

    def call(self, y_true, y_pred):
        if self.epsilon != PER_IMAGE:
            return super().call(y_true, y_pred)
        y_true, epsilon, *mask = y_true
        arguments = {**self.arguments, "epsilon": epsilon}
        return poly_dice(y_true, y_pred, mask=mask[0] if mask else None, **arguments)


def _taken_apart(sample_weight, y_pred):
    """Epsilon and weight of each image from what came as `sample_weight`."""
    if sample_weight is None:
        return ops.zeros(ops.shape(y_pred)[:1]), None
    shape = tuple(ops.shape(sample_weight))
    if len(shape) == 1:
        return sample_weight, None
    if len(shape) == 2 and shape[1] in (1, 2):
        return sample_weight[:, 0], sample_weight[:, 1] if shape[1] == 2 else None
    raise ValueError(
        'PolyDice(epsilon="per_image") expects the third item of a batch to be epsilon, (batch,), or epsilon and '
        f"weight, (batch, 2). Received: shape={shape}."
    )
