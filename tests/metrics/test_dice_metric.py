"""`val_dice` is the soft Dice of the whole validation set."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_uq.inference import exclusive
from keras_uq.metrics import DiceMetric, soft_counts


def batches(classes=1, seed=0):
    rng = np.random.default_rng(seed)
    for count in (3, 1, 2):
        labels = rng.integers(0, max(classes, 2), (count, 6, 7))
        scores = rng.random((count, 6, 7, classes))
        if classes == 1:
            yield labels[..., None].astype("float32"), scores.astype("float32")
        else:
            yield np.eye(classes, dtype="float32")[labels], (scores / scores.sum(-1, keepdims=True)).astype("float32")


@pytest.mark.parametrize("classes", [1, 3])
def test_is_pooled_over_batches(classes):
    metric, pairs = DiceMetric(), list(batches(classes))
    for y_true, y_pred in pairs:
        metric.update_state(y_true, y_pred)
    y_true, y_pred = (np.concatenate(parts) for parts in zip(*pairs))
    scores = []
    for channel in range(0 if classes == 1 else 1, classes):
        overlap, predicted, labelled = soft_counts(y_true[..., channel] > 0, y_pred[..., channel])
        scores.append(2 * overlap / (predicted + labelled))
    np.testing.assert_allclose(float(metric.result()), np.mean(scores), rtol=1e-6)
    metric.reset_state()
    assert float(metric.result()) == 0


def test_a_class_in_neither_map_scores_one():
    metric = DiceMetric()
    empty = np.zeros((1, 4, 4, 1), "float32")
    metric.update_state(empty, empty)
    assert float(metric.result()) == 1


def test_fit_logs_it_and_a_saved_model_knows_it(tmp_path):
    model = keras.Sequential([keras.Input((6, 7, 1)), keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")])
    model.compile("sgd", loss="binary_crossentropy", metrics=[DiceMetric()])
    (y, x), (vy, vx), _ = batches()
    history = model.fit(x, y, validation_data=(vx, vy), verbose=0).history
    overlap, predicted, labelled = soft_counts(vy > 0, model.predict_on_batch(vx))
    np.testing.assert_allclose(history["val_dice"], [2 * overlap / (predicted + labelled)], rtol=1e-5)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    assert "dice" in again.evaluate(vx, vy, verbose=0, return_dict=True)


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match="one shape"):
        DiceMetric().update_state(np.zeros((1, 4, 4)), np.zeros((1, 4, 4, 1)))
    with pytest.raises(ValueError, match="sample_weight"):
        DiceMetric().update_state(np.zeros((1, 4, 4, 1)), np.zeros((1, 4, 4, 1)), sample_weight=np.ones(1))


def hard_dice(labels, predicted, classes):
    scores = []
    for value in classes:
        overlap = 2 * ((labels == value) & (predicted == value)).sum()
        scores.append(overlap / ((labels == value).sum() + (predicted == value).sum()))
    return np.mean(scores)


@pytest.mark.parametrize("classes", [1, 3])
def test_hard_dice_is_that_of_predicted_classes(classes):
    metric, pairs = DiceMetric(hard=True), list(batches(classes))
    for y_true, y_pred in pairs:
        metric.update_state(y_true, y_pred)
    y_true, y_pred = (np.concatenate(parts) for parts in zip(*pairs))
    if classes == 1:
        expected = hard_dice(y_true[..., 0], (y_pred[..., 0] >= 0.5).astype(int), [1])
    else:
        expected = hard_dice(y_true.argmax(-1), y_pred.argmax(-1), [1, 2])
    np.testing.assert_allclose(float(metric.result()), expected, rtol=1e-6)


def test_independent_channels_are_all_foreground():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, (4, 6, 7))
    y_true = (labels[..., None] == [1, 2]).astype("float32")
    y_pred = rng.random((4, 6, 7, 2)).astype("float32")
    hard, soft = DiceMetric(hard=True, multilabel=True), DiceMetric(multilabel=True)
    for metric in (hard, soft):
        metric.update_state(y_true, y_pred)
    np.testing.assert_allclose(float(hard.result()), hard_dice(labels, exclusive(y_pred).argmax(-1), [1, 2]), rtol=1e-6)
    scores = [2 * (y_true * y_pred)[..., k].sum() / (y_true + y_pred)[..., k].sum() for k in range(2)]
    np.testing.assert_allclose(float(soft.result()), np.mean(scores), rtol=1e-5)
    again = DiceMetric.from_config(hard.get_config())
    assert (again.hard, again.multilabel) == (True, True)


def network():
    """A network that predicts its images."""
    model = keras.Sequential([keras.Input((6, 7, 1)), keras.layers.Conv2D(1, 1, kernel_initializer="ones")])
    model.compile("sgd", loss="mse", metrics=[DiceMetric()])
    return model


OUTSIDE = {
    "masks of 0 and 255": (
        lambda y: 255 * y,
        lambda p: p,
        "labels in .* from 0 to 255. Divide masks of 0 and 255 by 255",
    ),
    "-1 for unknown": (lambda y: y - 1, lambda p: p, "labels in .* from -1 to 0"),
    "NaN labels": (lambda y: y * np.nan, lambda p: p, "labels in .* nan"),
    "logits": (lambda y: y, lambda p: 8 * p - 4, "probabilities in .* from -[34].* to [34].* return logits"),
}


@pytest.mark.parametrize(("label", "predict", "message"), OUTSIDE.values(), ids=OUTSIDE)
def test_values_outside_0_and_1_are_refused_at_once_and_at_the_end_of_a_compiled_epoch(label, predict, message):
    (y_true, y_pred), (more, images), _ = batches()
    with pytest.raises(ValueError, match=f"^DiceMetric expects {message}"):
        DiceMetric().update_state(label(y_true), predict(y_pred))
    model = network()
    with pytest.raises(ValueError, match=f"DiceMetric expects {message}"):
        model.evaluate(predict(images), label(more), verbose=0)
    # The next epoch begins anew.
    assert 0 < model.evaluate(images, more, verbose=0, return_dict=True)["dice"] < 1
    with pytest.raises(ValueError, match=f"DiceMetric expects {message}"):
        model.fit(predict(images), label(more), verbose=0)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="nothing is compiled")
def test_one_bad_batch_of_a_compiled_epoch_is_enough():
    (y_true, images), _, _ = batches()
    y_true[-1, 0, 0] = 2
    with pytest.raises(ValueError, match="from 0 to 2"):
        network().evaluate(images, y_true, batch_size=1, verbose=0)
    step = network().test_on_batch(images, y_true, return_dict=True)
    assert np.isnan(step["dice"])


def test_rounding_is_allowed():
    (y_true, y_pred), *_ = batches()
    metric = DiceMetric()
    metric.update_state(y_true * 1.0009 - 0.0005, y_pred)
    assert 0 < float(metric.result()) < 1


def test_hard_dice_takes_logits_of_exclusive_classes_alone():
    y_true, y_pred = next(batches(3))
    scores = []
    for predictions in (y_pred, np.log(y_pred)):
        metric = DiceMetric(hard=True)
        metric.update_state(y_true, predictions)
        scores.append(float(metric.result()))
    assert scores[0] == scores[1]
    for options in ({}, {"hard": True, "multilabel": True}):
        with pytest.raises(ValueError, match="return logits"):
            DiceMetric(**options).update_state(y_true, np.log(y_pred))


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("hard", [False, True])
def test_ignored_voxels_are_left_out(classes, hard):
    y_true, y_pred = next(batches(classes))
    cut, void = DiceMetric(hard=hard), DiceMetric(hard=hard, ignore_value=255)
    cut.update_state(y_true[:, 2:], y_pred[:, 2:])
    y_true[:, :2] = 255
    y_pred[:, :1] = np.nan
    void.update_state(y_true, y_pred)
    np.testing.assert_allclose(float(void.result()), float(cut.result()), rtol=1e-6)
    assert DiceMetric.from_config(void.get_config()).ignore_value == 255
    assert "ignore_value" not in cut.get_config()


def test_half_precision_is_summed_in_float32():
    y_true = np.ones((1, 400, 400, 1), "float32")
    metric = DiceMetric(dtype="float16")
    metric.update_state(y_true, y_true / 2)
    np.testing.assert_allclose(float(metric.result()), 2 / 3, rtol=1e-6)


def test_shapes_that_would_broadcast_and_inputs_that_are_no_numbers_are_refused():
    y_true, y_pred = next(batches())
    for wrong in (y_true[:1], y_true[:, :1]):
        with pytest.raises(ValueError, match="one shape"):
            DiceMetric().update_state(wrong, y_pred)
    for wrong in (None, np.full(y_true.shape, "a"), y_true.astype("complex64")):
        with pytest.raises(ValueError, match="DiceMetric expects `y_true` to be an array of numbers"):
            DiceMetric().update_state(wrong, y_pred)
    for wrong in ({"hard": 1}, {"multilabel": "yes"}, {"ignore_value": float("nan")}):
        with pytest.raises(ValueError, match=f"DiceMetric expects `{next(iter(wrong))}` to be"):
            DiceMetric(**wrong)


def test_an_empty_batch_changes_nothing():
    y_true, y_pred = next(batches())
    metric = DiceMetric()
    metric.update_state(y_true, y_pred)
    before = float(metric.result())
    metric.update_state(y_true[:0], y_pred[:0])
    assert float(metric.result()) == before


REPLICAS = """
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras, numpy as np
from keras_uq.metrics import DiceMetric
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = keras.Sequential([keras.Input((6, 7, 1)), keras.layers.Conv2D(1, 1, kernel_initializer="ones")])
    model.compile("sgd", loss="mse", metrics=[DiceMetric()])
half = np.full((4, 6, 7, 1), 0.5, "float32")
print(model.evaluate(half, np.ones_like(half), batch_size=4, verbose=0, return_dict=True)["dice"])
"""


def test_what_replicas_assign_is_not_added():
    metric = DiceMetric()
    metric.update_state(*next(batches()))
    assert metric._sums.aggregation == "sum"
    assert metric._seen.aggregation == metric._extremes.aggregation == "mean"


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a strategy of TensorFlow")
def test_two_replicas_score_what_one_scores():
    done = subprocess.run([sys.executable, "-c", REPLICAS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    np.testing.assert_allclose(float(done.stdout), 2 / 3, rtol=1e-5)
