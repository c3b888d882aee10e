"""Weighted sum of Tversky loss and cross-entropy, with weights that may adapt during training."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from keras_uq._kinds import Choice, Items, Maybe, Number, argument, shown
from keras_uq._values import LEAST, MOST, outside
from keras_uq.losses._arguments import loss_function, register
from keras_uq.losses._base import SegmentationLoss
from keras_uq.losses.crossentropy import categorical_crossentropy, whole_crossentropy
from keras_uq.losses.tversky import tversky

ADAPTIVE = Maybe(Choice("epoch", "step"))

# The two weights of an adaptive loss.
WEIGHTS = Items(Number(0, 1), count=2)


@loss_function()
def tversky_ce(
    y_true,
    y_pred,
    alpha: float = 0.5,
    beta: float = 0.5,
    tversky_weight: float | Any = 0.5,
    smooth: float = 1e-6,
    **options,
):
    """`w * Tversky loss + (1 - w) * cross-entropy` of each image.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        alpha: Weight of false positives in the Tversky loss.
        beta: Weight of false negatives in the Tversky loss.
        tversky_weight: `w`, in [0, 1]: a number, or a scalar tensor, through which no gradient flows.
        smooth: Number of voxels added to numerator and denominator of the Tversky index.
        include_background: `False` leaves channel 0 out of the Tversky loss, if the classes are exclusive. The
            cross-entropy always includes all classes.
        **options: The options of every loss: see `keras_uq.losses`.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Zhang et al. (2025), Eq. 3 to 5 and 8: `include_background=False, over="batch"`, with an alpha of 0.7 and a beta
        of 0.3, or both 0.5. Eq. 3 of the paper is the Tversky index; the loss is one minus the index.
    """
    overlap, crossentropy = tversky_and_ce(y_true, y_pred, alpha, beta, smooth, **options)
    weight = ops.stop_gradient(ops.cast(tversky_weight, overlap.dtype))
    received = outside(weight, LEAST, MOST)
    if received is not None:
        raise ValueError(f"tversky_ce expects `tversky_weight` to be a number in [0, 1]. Received: {received}.")
    return weight * overlap + (1 - weight) * crossentropy


def tversky_and_ce(y_true, y_pred, alpha, beta, smooth, **options):
    """The two parts of `tversky_ce` without their weights, each `(batch,)`."""
    overlap = tversky(y_true, y_pred, alpha, beta, smooth, **options)
    return overlap, whole_crossentropy(y_true, y_pred, **options)


@register
class TverskyCE(SegmentationLoss):
    """Class form of `tversky_ce`, for `model.compile(loss=...)`, with fixed or adaptive weights.

    Adaptive weights need the metrics of the loss in `compile` and a callback in `fit`:

        loss = TverskyCE(0.7, 0.3, adaptive="epoch")
        model.compile("adam", loss=loss, metrics=loss.metrics)
        model.fit(..., callbacks=[keras_uq.callbacks.AdaptiveTverskyCE()])

    Args:
        tversky_weight: `w`, in [0, 1]; the initial value of adaptive weights.
        adaptive: `None`: the weights are fixed. `"epoch"`: the weights of an epoch are computed from the mean losses of
            the epoch before. `"step"`: those of a batch, from the losses of the batch before.
        weights: The `TverskyCEWeights` of a loaded model; new ones by default.

    Attributes:
        weights: The `TverskyCEWeights` that hold adaptive weights, or `None`.

    Reference:
        Zhang et al. (2025), Eq. 8 to 11. The paper writes "epoch t-1" in one place and "next training step" in another,
        hence `"epoch"` and `"step"`.

    Example:
        >>> y_true, y_pred = np.eye(2)[[[[0, 0, 1, 1]]]], np.full((1, 1, 4, 2), 0.5)
        >>> round(float(losses.TverskyCE(0.7, 0.3, include_background=False)(y_true, y_pred)), 3)
        0.597
    """

    function = staticmethod(tversky_ce)
    tversky_weight: float

    def __init__(
        self,
        *args,
        adaptive: Literal["epoch", "step"] | None = None,
        weights: "TverskyCEWeights | None" = None,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        argument("TverskyCE", "adaptive", adaptive, ADAPTIVE)
        if weights is not None and not (adaptive and isinstance(weights, TverskyCEWeights)):
            raise ValueError(
                "TverskyCE expects `weights` to be the TverskyCEWeights of an adaptive loss, or None. "
                f"Received: weights={shown(weights)}, adaptive={adaptive!r}."
            )
        self.adaptive = adaptive
        self.weights = weights
        if adaptive and weights is None:
            start = self.arguments["tversky_weight"]
            self.weights = TverskyCEWeights((start, 1 - start))
        if adaptive == "step":
            self.weights.parts = self._parts

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Metrics for `compile`: the mean Tversky loss, the mean cross-entropy, and the adaptive weights if any."""
        arguments = {name: value for name, value in self.arguments.items() if name != "tversky_weight"}
        crossentropy = {
            name: value
            for name, value in arguments.items()
            if name not in ("alpha", "beta", "smooth", "include_background")
        }
        mean = keras.metrics.MeanMetricWrapper
        return [
            mean(tversky, name="tversky", **arguments),
            mean(categorical_crossentropy, name="crossentropy", **crossentropy),
            *([self.weights] if self.adaptive else []),
        ]

    def call(self, y_true, y_pred):
        if not self.adaptive:
            return super().call(y_true, y_pred)
        y_true, of_batch = self._unpack(y_true)
        arguments = {**self.arguments, **of_batch, "tversky_weight": self.weights.values[0]}
        return tversky_ce(y_true, y_pred, **arguments)

    def _parts(self, y_true, y_pred):
        arguments = {name: value for name, value in self.arguments.items() if name != "tversky_weight"}
        return tversky_and_ce(y_true, y_pred, **arguments)

    def get_config(self):
        # The object, not its configuration: loss and `metrics` then share one object after loading.
        state = {"adaptive": self.adaptive, "weights": self.weights} if self.adaptive else {}
        return {**super().get_config(), **state}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if isinstance(config.get("weights"), dict):
            config["weights"] = keras.saving.deserialize_keras_object(config["weights"])
        return cls(**config)


@register
class TverskyCEWeights(keras.metrics.Metric):
    """The two weights of an adaptive `TverskyCE`; logs show the weight of the Tversky loss.

    They are the state of a metric, because JAX compiles the state of a loss into the training step as a constant, but
    not the state of a compiled metric. `reset_state` leaves them as they are; `.keras` files and `callbacks.Resume`
    keep them.

    Args:
        start: Initial weights of the Tversky loss and of the cross-entropy, each in [0, 1].
        name: Name in logs.
        dtype: Type of the weights.

    Attributes:
        values: Variable of shape `(2,)`.
        parts: Function `(y_true, y_pred) -> (Tversky losses, cross-entropies)`, with which each batch updates the
            weights, or `None`.
    """

    def __init__(
        self, start: Sequence[float] = (0.5, 0.5), name: str = "tversky_weight", dtype: str = "float32"
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        start = argument("TverskyCEWeights", "start", start, WEIGHTS)
        self.values = self.add_variable((2,), "zeros", aggregation="mean", name="values")
        self.values.assign(np.asarray(start, dtype="float32"))
        self.parts = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if self.parts is not None:
            self.renew(*(ops.mean(part) for part in self.parts(y_true, y_pred)))

    def renew(self, tversky_loss: Any, crossentropy: Any) -> None:
        """Set the weights from the two losses: `w = L_T / (L_T + L_CE)` and `1 - w` (Eq. 9 to 11).

        If both losses are 0, or one is not finite, the weights do not change.
        """
        pair = ops.cast(ops.stack([tversky_loss, crossentropy]), self.values.dtype)
        total = ops.sum(pair)
        usable = ops.logical_and(ops.all(ops.isfinite(pair)), total > 0)
        shares = pair / ops.where(usable, total, ops.ones_like(total))
        self.values.assign(ops.where(usable, shares, ops.convert_to_tensor(self.values)))

    def reset_state(self) -> None:
        """Keep the weights, although Keras resets metrics before every epoch and every evaluation."""

    def result(self) -> Any:
        # A tensor, since a compiled step cannot return the variable itself.
        return 1.0 * self.values[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "start": ops.convert_to_numpy(self.values).tolist()}
