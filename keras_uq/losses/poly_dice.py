"""PolyDice: the Dice loss as a polynomial in the angle between both maps."""

import math
import numbers
from typing import Any, Literal

import keras
from keras import ops

from keras_uq._kinds import Choice, Either, Integer, Items, Maybe, Number
from keras_uq._values import check_numbers, outside
from keras_uq.losses._arguments import loss_function, register
from keras_uq.losses._base import LARGEST, SegmentationLoss, check_weights
from keras_uq.losses._pair import Pair

PER_IMAGE = "per_image"
# At -1/2 and below, a larger angle would have a smaller loss.
ABOVE = Number(above=-0.5)
SMALLEST_EPSILON = -0.4999999
# The series is used for 1 - cos below this value, where series and closed form agree to 1e-10.
SERIES_UNTIL = 0.05
# theta^2 as a series in z = 1 - cos theta: coefficients of the powers 1 to 6.
SERIES = (2, 1 / 3, 4 / 45, 1 / 35, 16 / 1575, 8 / 2079)


@loss_function(epsilon=Either(ABOVE, Items(ABOVE)), order=Maybe(Integer(1, 90)))
def poly_dice(
    y_true,
    y_pred,
    epsilon: float | Any = 0.0,
    order: int | None = 1,
    scale: Literal["corrected", "printed"] = "corrected",
    smooth: float = 1e-6,
    **options,
):
    """PolyDice loss of each image, averaged over classes.

    With the angle `theta` between labels `y` and probabilities `p` as vectors, and the scale
    `s = 2 |p| |y| / (|p|^2 + |y|^2)`, `dice(squared=True)` is `1 - s cos theta`. PolyDice expands the cosine and adds
    `epsilon` to the first coefficient: `(1 - s) + s ((1/2 + epsilon) theta^2 - theta^4 / 24 + ...)`.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        epsilon: Added to the first coefficient: a number above -1/2, or a tensor `(batch,)` with one number per image,
            which excludes `over="batch"`. (At -1/2 and below, a larger angle would have a smaller loss.) A higher
            epsilon penalises a wrong shape more than a wrong size.
        order: Highest power of `theta^2` in the expansion: 1 as in the paper, 2, 3, ... up to 90, or `None` for all
            powers.
        scale: `"corrected"`, as above; or `"printed"`, `2 <p, y> / (|p|^2 + |y|^2)`, for which order `None` and an
            epsilon of 0 do not give the Dice loss.
        smooth: Number of voxels added to numerators and denominators of scale and cosine. If positive, a class that is
            in neither map has a loss of 0. For slices without the organ, use `smooth=1`, as in `dice`.
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss in `[0, 1 - s + s (1/2 + epsilon) pi^2 / 4]` up to rounding, shape `(batch,)`; it may exceed 1.

    Raises:
        ValueError: For an epsilon of -1/2 or less, or a wrong option.

    Reference:
        Hiroike (2026), Eq. 5 and 6, with the scale for which its Eq. 3 equals its Eq. 2.
    """
    pair = Pair("poly_dice", y_true, y_pred, **options)
    inner = pair.voxel_sum(pair.y_true * pair.y_pred)
    square_true, square_pred = pair.voxel_sum(pair.y_true**2), pair.voxel_sum(pair.y_pred**2)
    # The square root has no finite slope at 0. The labels need no gradient.
    norms = ops.sqrt(square_true) * ops.sqrt(square_pred + 1e-12)
    scaled = 2 * (norms if scale == "corrected" else inner)
    factor = (scaled + smooth) / (square_true + square_pred + smooth)
    cosine = (inner + smooth) / (norms + smooth)
    square = squared_angle(1 - cosine)
    epsilon = _epsilon_per_class(epsilon, pair)
    if order is None:
        return pair.class_mean(1 - factor * cosine + factor * epsilon * square)
    angle = (0.5 + epsilon) * square
    for power in range(2, order + 1):
        angle = angle + (-1) ** (power - 1) / math.factorial(2 * power) * square**power
    return pair.class_mean((1 - factor) + factor * angle)


def squared_angle(z):
    """`arccos(1 - z)^2` with the right slope of 2 at `z = 0`, where the slope of the arc cosine is infinite."""
    is_small = z < SERIES_UNTIL
    series = ops.zeros_like(z)
    for coefficient in reversed(SERIES):
        series = z * (coefficient + series)
    # The unused branch needs a finite slope too, or the gradient would be NaN.
    closed_form = ops.arccos(ops.where(is_small, 1 - SERIES_UNTIL * ops.ones_like(z), 1 - z)) ** 2
    return ops.where(is_small, series, closed_form)


def _epsilon_per_class(epsilon, pair):
    """Epsilon as a number, or as `(batch, 1)`, which broadcasts over classes."""
    if isinstance(epsilon, numbers.Real):
        return float(epsilon)
    if pair.pooled:
        raise ValueError(
            'poly_dice pools the batch (`over="batch"`), so `epsilon` must be one number, not one per image.'
        )
    epsilon = ops.reshape(ops.cast(epsilon, pair.y_pred.dtype), (-1, 1))
    count, batch = epsilon.shape[0], pair.y_pred.shape[0]
    if None not in (count, batch) and count not in (1, batch):
        raise ValueError(
            f"poly_dice expects one `epsilon` per image, or one number. Received: {count} for {batch} images."
        )
    received = outside(epsilon, SMALLEST_EPSILON, LARGEST)
    if received is not None:
        raise ValueError(f"poly_dice expects each `epsilon` to be {ABOVE}. Received: {received}.")
    return epsilon


@register
class PolyDice(SegmentationLoss):
    """Class form of `poly_dice`, for `model.compile(loss=...)`.

    With `epsilon="per_image"`, every image has its own epsilon, which comes with the data: the third item of a batch,
    called `sample_weight` by Keras, is then epsilon, `(batch,)`, or epsilon and a weight, `(batch, 2)`. Without a third
    item, as in validation, epsilon is 0. Do not use `class_weight` of `fit` or `weighted_metrics` of `compile` then:
    they would use epsilon as a weight.

    Args:
        epsilon: Added to the first coefficient: a number above -1/2, or `"per_image"`. A higher epsilon penalises a
            wrong shape more than a wrong size.

    Example:
        >>> y_true, y_pred = np.eye(2)[[[[0, 0, 1, 1]]]], np.full((1, 1, 4, 2), 0.5)
        >>> round(float(losses.PolyDice(epsilon=0.2)(y_true, y_pred)), 3)
        0.464
    """

    function = staticmethod(poly_dice)
    epsilon: float | Literal["per_image"]
    kinds = {"epsilon": Either(ABOVE, Choice(PER_IMAGE))}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self._per_image and self.over == "batch":
            raise ValueError('PolyDice(epsilon="per_image") scores each image by itself. Use `over="image"`.')

    @property
    def _per_image(self):
        return isinstance(self.epsilon, str)

    def __call__(self, y_true, y_pred, sample_weight=None, mask=None):
        if not self._per_image:
            return super().__call__(y_true, y_pred, sample_weight, mask)
        check_numbers(self.name, y_true=y_true, y_pred=y_pred, **({} if mask is None else {"mask": mask}))
        epsilon, weight = _epsilon_and_weight(sample_weight, y_pred)
        return keras.losses.Loss.__call__(self, self._pack(y_true, epsilon=epsilon, mask=mask), y_pred, weight)


def _epsilon_and_weight(sample_weight, y_pred):
    """Epsilon of each image, and its weight or `None`, from the third item of a batch."""
    if sample_weight is None:
        return ops.zeros(ops.shape(y_pred)[:1]), None
    check_numbers('PolyDice(epsilon="per_image")', sample_weight=sample_weight)
    if not hasattr(sample_weight, "shape"):
        sample_weight = ops.convert_to_tensor(sample_weight, dtype="float32")
    shape = tuple(ops.shape(sample_weight))
    if len(shape) == 1:
        return sample_weight, None
    if len(shape) == 2 and shape[1] in (1, 2):
        sample_weight = ops.convert_to_tensor(sample_weight)
        if shape[1] == 1:
            return sample_weight[:, 0], None
        check_weights("poly_dice", sample_weight[:, 1])
        return sample_weight[:, 0], sample_weight[:, 1]
    raise ValueError(
        'PolyDice(epsilon="per_image") expects the third item of a batch to be epsilon, (batch,), or epsilon and '
        f"weight, (batch, 2). Received: shape={shape}."
    )
