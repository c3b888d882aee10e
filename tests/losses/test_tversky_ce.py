"""Zhang et al. (2025): worked values with their gradients, and weights that follow a real training."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_uq import losses
from keras_uq.callbacks import AdaptiveTverskyCE, Resume
from keras_uq.losses import TverskyCE, TverskyCEWeights
from tests.losses.test_every_loss import gradient, with_and_without_jit
from tests.reference import VALUES, checks, tensors

# As in the paper: the foreground alone, sums over the batch.
PAPER = {"include_background": False, "over": "batch"}
SEQUENCE = next(check for check in VALUES["checks"] if check["id"] == "z.weights")


def two_channels(check):
    """Labels and softmax of a check, background first."""
    return tuple(np.concatenate([1 - part, part], axis=-1) for part in tensors(check))


def expected(name):
    return next(check["expected"] for check in VALUES["checks"] if check["id"] == name)


@pytest.mark.parametrize("check", checks("loss = 1 - T"), ids=lambda check: check["id"])
def test_tversky_part(check):
    alpha, beta = check["params"]["alpha_fp"], check["params"]["beta_fn"]
    for smooth in (0.0, 1e-6):
        value = losses.tversky_ce(*two_channels(check), alpha, beta, 1.0, smooth, **PAPER)
        np.testing.assert_allclose(value, check["expected"], rtol=2e-5)
    np.testing.assert_allclose(1 - check["expected"], expected(check["id"].replace("loss", "index")))


def test_crossentropy_part_is_of_the_whole_distribution():
    (check,) = checks("binary cross-entropy, mean (Eq. 4)")
    value = losses.tversky_ce(*two_channels(check), 0.7, 0.3, 0.0, **PAPER)
    np.testing.assert_allclose(value, check["expected"], rtol=2e-5)
    np.testing.assert_allclose(losses.dice_ce(*two_channels(check), 0.0, **PAPER), check["expected"], rtol=2e-5)


@pytest.mark.parametrize("pixel", ["00", "11"])
def test_gradient_of_the_tversky_part(pixel):
    """d(1 - T)/dp where the background has the rest, and by its parts (Eq. 6 and 7 put right, Z-A4)."""
    (check,) = [check for check in VALUES["checks"] if check["id"] == f"z.dL_dp.{pixel}"]
    loss = TverskyCE(0.7, 0.3, 1.0, 0.0, over="batch")
    slope = gradient(loss, *tensors(check))[0, int(pixel[0]), int(pixel[1]), 0]
    np.testing.assert_allclose(slope, check["expected"], rtol=1e-4)
    parts = expected(f"z.dT_dp0.{pixel}") - expected(f"z.dT_dp1.{pixel}")
    np.testing.assert_allclose(slope, -parts, rtol=1e-4)
    # In two channels the foreground's carries all of it.
    both = gradient(TverskyCE(0.7, 0.3, 1.0, 0.0, **PAPER), *two_channels(check))[0, int(pixel[0]), int(pixel[1])]
    np.testing.assert_allclose(both, [0, check["expected"]], rtol=1e-4, atol=1e-9)


def test_no_gradient_flows_through_the_weight():
    (check,) = checks("binary cross-entropy, mean (Eq. 4)")
    y_true, y_pred = two_channels(check)

    def slope(weight_of):
        def follows(y_true, y_pred, **options):
            return losses.tversky_ce(y_true, y_pred, 0.7, 0.3, weight_of(y_pred), **options)

        return gradient(
            type("Follows", (losses.SegmentationLoss,), {"function": staticmethod(follows)})(), y_true, y_pred
        )

    fixed = float(np.mean(y_pred[..., 1]))
    np.testing.assert_allclose(slope(lambda p: ops.mean(p[..., 1])), slope(lambda p: fixed), rtol=1e-5)


def problem(seed=0):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(16, 8, 8, 1)).astype("float32")
    return images, np.eye(2, dtype="float32")[(images[..., 0] > 0.7).astype(int)]


def network(loss, jit=False, further=()):
    """The same weights on every backend."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(2, 1, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(1)
    model.set_weights([0.3 * rng.normal(size=weight.shape) for weight in model.get_weights()])
    model.compile(
        keras.optimizers.SGD(0.5), loss=loss, metrics=[*getattr(loss, "metrics", []), *further], jit_compile=jit
    )
    return model


def fit(model, epochs, callbacks=(), **options):
    images, labels = problem()
    options = {"validation_data": (images[:6], labels[:6])} | options
    return model.fit(
        images,
        labels,
        batch_size=4,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[AdaptiveTverskyCE(), *callbacks],
        **options,
    ).history


# The logs of three epochs, on every backend, with and without compilation.
CURVES = {
    "epoch": {"tversky_weight": [0.5, 0.53144, 0.57237], "loss": [0.68974, 0.64829, 0.63665]},
    "step": {"tversky_weight": [0.57928, 0.61257, 0.63023], "loss": [0.69196, 0.65510, 0.63934]},
}


@pytest.mark.parametrize("adaptive", CURVES)
@with_and_without_jit
def test_the_curve_is_the_same_on_every_backend_and_compiled(adaptive, jit):
    history = fit(network(TverskyCE(0.7, 0.3, adaptive=adaptive, **PAPER), jit), 3)
    for name, values in CURVES[adaptive].items():
        np.testing.assert_allclose(history[name], values, atol=2e-5)


def test_weights_of_a_real_training_come_from_the_epoch_before():
    loss = TverskyCE(0.7, 0.3, adaptive="epoch", **PAPER)
    history = fit(network(loss), 2)
    assert history["tversky_weight"][0] == 0.5
    first, second = ({name: history[name][epoch] for name in ("tversky", "crossentropy", "loss")} for epoch in (0, 1))
    share = first["tversky"] / (first["tversky"] + first["crossentropy"])
    np.testing.assert_allclose(history["tversky_weight"][1], share, rtol=1e-6)
    np.testing.assert_allclose(history["crossentropy_weight"], 1 - np.array(history["tversky_weight"]), rtol=1e-6)
    # The parts are unweighted means of the training, so the loss is their weighted sum (Eq. 8).
    for epoch, weight in ((first, 0.5), (second, share)):
        total = weight * epoch["tversky"] + (1 - weight) * epoch["crossentropy"]
        np.testing.assert_allclose(epoch["loss"], total, rtol=1e-5)


def test_the_printed_sequence_of_weights_and_losses():
    pairs = list(zip(SEQUENCE["params"]["L_tversky"], SEQUENCE["params"]["L_bce"]))
    weights, seen, totals = TverskyCEWeights(), [], []
    for tversky_loss, crossentropy in pairs:
        seen.append(float(weights.result()))
        totals.append(seen[-1] * tversky_loss + (1 - seen[-1]) * crossentropy)
        weights.renew(tversky_loss, crossentropy)
        weights.reset_state()
    seen.append(float(weights.result()))
    np.testing.assert_allclose(seen, SEQUENCE["expected"], rtol=1e-6)
    np.testing.assert_allclose(totals, expected("z.total"), rtol=1e-6)


class Dictated(keras.callbacks.Callback):
    """Puts losses of its own into the logs, as if the epoch had had them."""

    def on_epoch_end(self, epoch, logs=None):
        logs["tversky"], logs["crossentropy"] = (SEQUENCE["params"][name][epoch] for name in ("L_tversky", "L_bce"))


def test_the_printed_sequence_in_a_fit():
    images, labels = problem()
    model = network(TverskyCE(0.7, 0.3, adaptive="epoch", **PAPER))
    history = model.fit(images, labels, epochs=4, verbose=0, callbacks=[Dictated(), AdaptiveTverskyCE()]).history
    np.testing.assert_allclose(history["tversky_weight"], SEQUENCE["expected"][:4], rtol=1e-6)
    np.testing.assert_allclose(float(model.loss.weights.result()), SEQUENCE["expected"][4], rtol=1e-6)


@pytest.mark.parametrize("pair", [(0.0, 0.0), (np.nan, 0.3), (0.2, np.inf)])
def test_losses_that_say_nothing_leave_the_weights(pair):
    weights = TverskyCEWeights((0.8, 0.2))
    weights.renew(*pair)
    np.testing.assert_allclose(ops.convert_to_numpy(weights.values), [0.8, 0.2], rtol=1e-6)


def test_steps_follow_the_batch_before_and_validation_does_not_count():
    images, labels = problem()
    loss = TverskyCE(0.7, 0.3, adaptive="step", **PAPER)
    model = network(loss)
    parts = loss._parts(labels[:4], ops.convert_to_tensor(model.predict(images[:4], verbose=0)))
    first = [float(ops.convert_to_numpy(part)[0]) for part in parts]
    history = fit(model, 1, validation_data=None, steps_per_epoch=1)
    np.testing.assert_allclose(history["tversky_weight"][0], first[0] / sum(first), rtol=1e-5)
    with_validation, without = (
        fit(network(TverskyCE(0.7, 0.3, adaptive="step", **PAPER)), 2, validation_data=data)
        for data in ((images[:6], labels[:6]), None)
    )
    np.testing.assert_allclose(with_validation["tversky_weight"], without["tversky_weight"], rtol=1e-6)


def test_saved_models_go_on_with_their_weights_in_a_fresh_process(tmp_path):
    expected = {}
    for adaptive in CURVES:
        model = network(TverskyCE(0.7, 0.3, adaptive=adaptive, **PAPER))
        fit(model, 2)
        model.save(tmp_path / f"{adaptive}.keras")
        state = ops.convert_to_numpy(model.loss.weights.values).tolist()
        history = fit(model, 2)
        expected[adaptive] = {"state": state, **{name: history[name] for name in ("loss", "tversky_weight")}}
    np.savez(tmp_path / "problem.npz", *problem())
    script = """
import keras_uq, keras, json, numpy as np
from keras_uq.callbacks import AdaptiveTverskyCE
images, labels = np.load("problem.npz").values()
results = {}
for adaptive in ("epoch", "step"):
    model = keras.saving.load_model(f"{adaptive}.keras", safe_mode=True)
    state = keras.ops.convert_to_numpy(model.loss.weights.values).tolist()
    history = model.fit(images, labels, batch_size=4, epochs=2, shuffle=False, verbose=0,
                        validation_data=(images[:6], labels[:6]), callbacks=[AdaptiveTverskyCE()]).history
    assert any(variable is model.loss.weights.values for variable in model.metrics_variables)
    results[adaptive] = {"state": state, **{name: history[name] for name in ("loss", "tversky_weight")}}
print(json.dumps(results))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(done.stdout.splitlines()[-1])
    for adaptive, values in expected.items():
        assert results[adaptive]["state"] == values["state"]
        for name in ("loss", "tversky_weight"):
            np.testing.assert_allclose(results[adaptive][name], values[name], rtol=1e-6)


class Killed(Exception):
    """The process ends here."""


class Kill(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise Killed


def test_a_killed_training_resumes_with_its_weights(tmp_path):
    def begin():
        model = network(TverskyCE(0.7, 0.3, adaptive="epoch", **PAPER))
        adaptive = AdaptiveTverskyCE()
        return model, [adaptive, Resume(tmp_path / "state", [adaptive])]

    images, labels = problem()
    whole = fit(network(TverskyCE(0.7, 0.3, adaptive="epoch", **PAPER)), 4)
    arguments = {"batch_size": 4, "epochs": 4, "shuffle": False, "verbose": 0}
    model, callbacks = begin()
    with pytest.raises(Killed):
        model.fit(images, labels, callbacks=[*callbacks, Kill()], **arguments)
    model, callbacks = begin()
    model.fit(images, labels, callbacks=callbacks, **arguments)
    resumed = callbacks[-1].history
    assert [line["epoch"] for line in resumed] == [0, 1, 2, 3]
    for name in ("tversky_weight", "loss", "tversky"):
        np.testing.assert_allclose([line[name] for line in resumed], whole[name], rtol=1e-6)


def test_what_is_missing_is_said():
    images, labels = problem()
    arguments = {"epochs": 1, "verbose": 0, "callbacks": [AdaptiveTverskyCE()]}
    with pytest.raises(ValueError, match="needs a model compiled with losses.TverskyCE"):
        network(losses.Dice()).fit(images, labels, **arguments)
    with pytest.raises(ValueError, match="adaptive"):
        network(TverskyCE()).fit(images, labels, **arguments)
    loss = TverskyCE(adaptive="epoch")
    model = network(loss)
    model.compile("sgd", loss=loss, metrics=loss.metrics[:2])
    with pytest.raises(ValueError, match="metrics=\\[\\*loss.metrics"):
        model.fit(images, labels, **arguments)
    with pytest.raises(ValueError, match='`adaptive` to be "epoch" or "step", or None'):
        TverskyCE(adaptive="batch")
    with pytest.raises(ValueError, match=r"`tversky_weight` to be a number in \[0, 1\]. Received: tversky_weight=1.5"):
        TverskyCE(tversky_weight=1.5)


def test_dice_ce_is_the_fixed_form():
    (check,) = checks("binary cross-entropy, mean (Eq. 4)")
    pair = two_channels(check)
    for options in ({}, PAPER):
        together = losses.dice_ce(*pair, **options)
        np.testing.assert_allclose(together, losses.tversky_ce(*pair, smooth=5e-7, **options), rtol=1e-6)


def test_weights_that_replicas_assign_are_averaged():
    assert TverskyCEWeights().values.aggregation == "mean"
