"""Update the weights of the two parts of a Tversky and cross-entropy loss while it trains."""

import keras
import numpy as np

from keras_uq._kinds import Items, Number, argument
from keras_uq.losses import TverskyCE


class AdaptiveTverskyCE(keras.callbacks.Callback):
    """Update the weights of an adaptive `losses.TverskyCE` from the values of its two parts.

    With `adaptive="epoch"`, the weights of epoch t are computed from the mean training losses of epoch t - 1; no
    gradient flows through them. With `"step"`, a metric of the loss updates the weights after each batch, and this
    callback restores them after validation. The logs of an epoch contain the unweighted parts, `tversky` and
    `crossentropy`, and the weights used, `tversky_weight` and `crossentropy_weight` (with `"step"`, the weights after
    the last batch).

    `callbacks.Resume` and `.keras` files save the weights; `.weights.h5` files do not.

    Raises:
        ValueError: If the model's loss is not an adaptive `TverskyCE`, or, after the first batch, if the `metrics` of
            the loss were not passed to `compile`.

    Reference:
        Zhang et al. (2025), Eq. 9 to 11. The first epoch, which the paper leaves open, starts at the loss's
        `tversky_weight`, 0.5 by default.
    """

    def on_train_begin(self, logs=None):
        loss = self.model.loss
        if not isinstance(loss, TverskyCE) or not loss.adaptive:
            raise ValueError(
                'AdaptiveTverskyCE needs a model compiled with losses.TverskyCE(..., adaptive="epoch") or "step". '
                f"Received: loss={loss!r}."
            )
        self._checked = False

    def on_train_batch_end(self, batch, logs=None):
        # TensorFlow builds the compiled metrics with the first batch.
        if self._checked:
            return
        loss = self.model.loss
        compiled = {id(variable) for variable in self.model.metrics_variables}
        missing = {metric.name for metric in loss.metrics} - set(logs or {})
        if id(loss.weights.values) not in compiled or missing:
            raise ValueError(
                "AdaptiveTverskyCE needs the loss's own metrics in `compile`: metrics=[*loss.metrics, ...]. "
                f"Received logs of {sorted(logs or {})}."
            )
        self._checked = True

    def on_epoch_end(self, epoch, logs=None):
        loss = self.model.loss
        # The metric in the logs was computed before this update.
        logs["crossentropy_weight"] = 1 - logs[loss.weights.name]
        if loss.adaptive == "epoch":
            loss.weights.renew(logs["tversky"], logs["crossentropy"])

    def on_test_begin(self, logs=None):
        self._before = self.get_state()

    def on_test_end(self, logs=None):
        self.set_state(self._before)

    def get_state(self) -> list[float]:
        """Return the two weights, for `Resume`."""
        return np.asarray(keras.ops.convert_to_numpy(self.model.loss.weights.values)).tolist()

    def set_state(self, state: list[float]) -> None:
        """Restore weights that `get_state` returned."""
        argument("AdaptiveTverskyCE", "state", state, Items(Number(0, 1), count=2))
        self.model.loss.weights.values.assign(np.asarray(state, dtype="float32"))
