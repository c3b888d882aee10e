"""Tversky loss and cross-entropy in one, with weights that follow the training."""

import keras
import numpy as np
from keras import ops

from keras_uq.losses._base import SegmentationLoss, register
from keras_uq.losses.crossentropy import categorical_crossentropy, whole_crossentropy
from keras_uq.losses.tversky import tversky

ADAPTIVE = (None, "epoch", "step")


@register
def tversky_ce(y_true, y_pred, alpha=0.5, beta=0.5, tversky_weight=0.5, smooth=1e-6, **options):
    """`w * Tversky loss + (1 - w) * cross-entropy` of each image.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        alpha: Price of a false positive in the Tversky loss.
        beta: Price of a false negative there.
        tversky_weight: `w`, in [0, 1]: a number, or a scalar tensor through which no gradient flows.
        smooth: Of the Tversky index, in voxels.
        **options: `over`, `include_background`, `class_weights`, ...: see `keras_uq.losses`. `include_background=False`
            leaves the background out of the Tversky loss alone; the cross-entropy is of the whole distribution.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Zhang et al. (2025), Eq. 3 to 5 and 8: `include_background=False, over="batch"`, with alpha and beta 0.7 and
        0.3, or both 0.5. The paper prints the index of Eq. 3 and calls it the loss; minimised is one minus that.
    """
    overlap, crossentropy = tversky_and_ce(y_true, y_pred, alpha, beta, smooth, **options)
    weight = ops.stop_gradient(ops.cast(tversky_weight, overlap.dtype))
    return weight * overlap + (1 - weight) * crossentropy


def tversky_and_ce(y_true, y_pred, alpha, beta, smooth, **options):
    """The two parts of `tversky_ce` without their weights, each `(batch,)`."""
    overlap = tversky(y_true, y_pred, alpha, beta, smooth, **options)
    return overlap, whole_crossentropy(y_true, y_pred, **options)


@register
class TverskyCE(SegmentationLoss):
    """Class form of `tversky_ce`, for `model.compile(loss=...)`, with fixed or adaptive weights.

    Adaptive weights need the loss's metrics in `compile` and the callback in `fit`:

        loss = TverskyCE(0.7, 0.3, adaptive="epoch")
        model.compile("adam", loss=loss, metrics=loss.metrics)
        model.fit(..., callbacks=[keras_uq.callbacks.AdaptiveTverskyCE()])

    Args:
        *args: `alpha`, `beta`, `tversky_weight`, `smooth`, as in `tversky_ce`; `tversky_weight` is where adaptive
            weights start.
        adaptive: `None` for fixed weights; `"epoch"`: those of an epoch come from the mean losses of the epoch before;
            `"step"`: those of a batch from the losses of the batch before.
        weights: The `TverskyCEWeights` of a loaded model.
        **kwargs: As in every loss.

    Attributes:
        weights: The `TverskyCEWeights` that hold the state, or `None`.

    Reference:
        Zhang et al. (2025), Eq. 8 to 11. "Epoch t-1" in one place, "next training step" in another: hence both.
    """

    function = staticmethod(tversky_ce)

    def __init__(self, *args, adaptive=None, weights=None, **kwargs):
        super().__init__(*args, **kwargs)
        if adaptive not in ADAPTIVE:
            raise ValueError(f"`adaptive` must be one of {ADAPTIVE}. Received: adaptive={adaptive!r}.")
        self.adaptive = adaptive
        start = self.arguments["tversky_weight"]
        if not 0 <= start <= 1:
            raise ValueError(f"`tversky_weight` must be within [0, 1]. Received: tversky_weight={start!r}.")
        self.weights = weights
        if adaptive and weights is None:
            self.weights = TverskyCEWeights((start, 1 - start))
        if adaptive == "step":
            self.weights.parts = self._parts

    @property
    def metrics(self):
        """What `compile` needs beside the loss: means of both parts without their weights, and the adaptive weights."""
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
        y_true, mask = y_true if isinstance(y_true, tuple) else (y_true, None)
        arguments = {**self.arguments, "tversky_weight": self.weights.values[0]}
        return tversky_ce(y_true, y_pred, mask=mask, **arguments)

    def _parts(self, y_true, y_pred):
        arguments = {name: value for name, value in self.arguments.items() if name != "tversky_weight"}
        return tversky_and_ce(y_true, y_pred, **arguments)

    def get_config(self):
        # The object, not its configuration: Keras then gives loss and `metrics` the same one after loading.
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
    """The two weights of an adaptive `TverskyCE`; in logs, that of the Tversky loss.

    A metric, since state that a loss owns is frozen when the step is compiled on JAX, while that of a compiled metric
    is not. It survives `reset_state` and travels in `.keras` files; `callbacks.Resume` keeps it too.

    Args:
        start: Weights of the Tversky loss and of the cross-entropy.
        name: Name in logs.
        dtype: Of the weights.

    Attributes:
        values: Variable of shape `(2,)`.
        parts: `(y_true, y_pred) -> (Tversky losses, cross-entropies)`: with it, each batch renews the weights.
    """

    def __init__(self, start=(0.5, 0.5), name="tversky_weight", dtype="float32"):
        super().__init__(name=name, dtype=dtype)
        self.values = self.add_variable((2,), "zeros", name="values")
        self.values.assign(np.asarray(start, dtype="float32"))
        self.parts = None

    def update_state(self, y_true, y_pred, sample_weight=None):
        if self.parts is not None:
            self.renew(*(ops.mean(part) for part in self.parts(y_true, y_pred)))

    def renew(self, tversky_loss, crossentropy):
        """Set the weights by two losses: `w = L_T / (L_T + L_CE)`, and `1 - w` (Eq. 9 to 11).

        If both are 0, or one is not finite, the weights stay.
        """
        pair = ops.cast(ops.stack([tversky_loss, crossentropy]), self.values.dtype)
        total = ops.sum(pair)
        usable = ops.logical_and(ops.all(ops.isfinite(pair)), total > 0)
        shares = pair / ops.where(usable, total, ops.ones_like(total))
        self.values.assign(ops.where(usable, shares, ops.convert_to_tensor(self.values)))

    def reset_state(self):
        """Keep the weights: Keras resets metrics before every epoch and every evaluation."""

    def result(self):
        # A tensor: the variable itself cannot leave a compiled step.
        return 1.0 * self.values[0]

    def get_config(self):
        return {**super().get_config(), "start": ops.convert_to_numpy(self.values).tolist()}
