"""Weights of a loss that follow the training."""

import keras
import numpy as np

from keras_uq.losses import TverskyCE


class AdaptiveTverskyCE(keras.callbacks.Callback):
    """Renew the weights of an adaptive `losses.TverskyCE` from what its two parts cost.

    With `adaptive="epoch"`, epoch t runs at the weights that the mean training losses of epoch t - 1 give; no gradient
    flows through them. With `"step"` the loss's metric renews them batch by batch and this callback keeps validation
    from doing so. The logs of an epoch have the unweighted parts, `tversky` and `crossentropy`, and the weights it ran
    at, `tversky_weight` and `crossentropy_weight` (with `"step"`, those after its last batch).

    `callbacks.Resume` keeps the weights of an interrupted training; `.keras` files do too, `.weights.h5` files do not.

    Raises:
        ValueError: If the model's loss is no adaptive `TverskyCE`, or, after the first batch, if the loss's `metrics`
            were not given to `compile`.

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
        # What the metric says was measured before this renewal.
        logs["crossentropy_weight"] = 1 - logs[loss.weights.name]
        if loss.adaptive == "epoch":
            loss.weights.renew(logs["tversky"], logs["crossentropy"])

    def on_test_begin(self, logs=None):
        self._before = self.get_state()

    def on_test_end(self, logs=None):
        self.set_state(self._before)

    def get_state(self):
        """The two weights, for `Resume`."""
        return np.asarray(keras.ops.convert_to_numpy(self.model.loss.weights.values)).tolist()

    def set_state(self, state):
        """Take up weights that `get_state` gave."""
        self.model.loss.weights.values.assign(np.asarray(state, dtype="float32"))
