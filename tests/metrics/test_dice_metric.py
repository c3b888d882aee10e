"""`val_dice` is the soft Dice of the whole validation set."""

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
