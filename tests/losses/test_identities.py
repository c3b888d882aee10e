"""Properties that tie the losses to each other and to Keras."""

import keras
import numpy as np
import pytest

from keras_uq import losses
from tests.losses.test_every_loss import random_pair

PAIRS = [random_pair(seed=seed) for seed in range(3)]
# One pixel each, as (label, prediction).
HIT, FALSE_ALARM, MISS = (np.reshape(pixel, (2, 1, 1, 1, 1)) for pixel in ([1.0, 1.0], [0.0, 1.0], [1.0, 0.0]))


@pytest.mark.parametrize("pair", PAIRS)
def test_tversky_contains_dice_and_jaccard(pair):
    np.testing.assert_allclose(losses.tversky(*pair, 0.5, 0.5, smooth=0.5), losses.dice(*pair, smooth=1.0), rtol=1e-5)
    np.testing.assert_allclose(losses.tversky(*pair, 1.0, 1.0), losses.jaccard(*pair), rtol=1e-5)


@pytest.mark.parametrize("pair", PAIRS)
def test_focal_tversky_with_exponent_one_is_tversky(pair):
    np.testing.assert_allclose(losses.focal_tversky(*pair, exponent=1.0), losses.tversky(*pair, 0.3, 0.7), rtol=1e-5)


@pytest.mark.parametrize("pair", PAIRS)
def test_log_dice_is_the_logarithm_of_dice(pair):
    np.testing.assert_allclose(losses.log_dice(*pair), -np.log(1 - np.asarray(losses.dice(*pair))), rtol=1e-5)


@pytest.mark.parametrize("pair", PAIRS)
def test_hybrid_is_the_sum_of_its_parts(pair):
    parts = np.asarray(losses.jaccard(*pair)) + losses.binary_crossentropy(*pair) + losses.ssim(*pair)
    np.testing.assert_allclose(losses.hybrid(*pair), parts, rtol=1e-5)


def test_alpha_prices_false_alarms_and_beta_misses():
    y_true, y_pred = np.concatenate([HIT, FALSE_ALARM, MISS], axis=2)  # TP = FP = FN = 1
    loss = losses.tversky(y_true, y_pred, alpha=0.25, beta=1.0, smooth=0.0)
    np.testing.assert_allclose(loss, [1 - 1 / (1 + 0.25 + 1.0)], rtol=1e-6)
    only_misses = np.concatenate([HIT, MISS], axis=2)
    np.testing.assert_allclose(losses.tversky(*only_misses, alpha=9.0, beta=1.0, smooth=0.0), [0.5], rtol=1e-6)


def test_smooth_numerator_zero_is_the_form_with_the_constant_below_only():
    empty = np.zeros((1, 4, 4, 1), "float32")
    np.testing.assert_allclose(losses.dice(empty, empty, smooth_numerator=0.0), [1.0])
    np.testing.assert_allclose(losses.dice(empty, empty), [0.0], atol=1e-7)
    np.testing.assert_allclose(losses.dice(empty, empty, smooth=0.0), [0.0], atol=1e-7)


def test_one_sigmoid_is_two_softmax_channels():
    y_true, y_pred = random_pair()
    two = [np.concatenate([1 - x, x], axis=-1) for x in (y_true, y_pred)]
    for function in (losses.binary_crossentropy, losses.log_cosh):
        np.testing.assert_allclose(function(*two), function(y_true, y_pred), rtol=1e-5)
    for function in (losses.dice, losses.tversky, losses.log_dice, losses.jaccard, losses.ssim):
        foreground = function(*two, include_background=False)
        np.testing.assert_allclose(foreground, function(y_true, y_pred), rtol=1e-5)


def test_binary_crossentropy_and_log_cosh_agree_with_keras():
    y_true, y_pred = random_pair()
    ours, theirs = losses.BinaryCrossentropy()(y_true, y_pred), keras.losses.BinaryCrossentropy()(y_true, y_pred)
    np.testing.assert_allclose(float(ours), float(theirs), rtol=1e-5)
    ours, theirs = losses.LogCosh()(y_true, y_pred), keras.losses.LogCosh()(y_true, y_pred)
    np.testing.assert_allclose(float(ours), float(theirs), rtol=1e-5)


def test_losses_ignore_the_order_of_voxels():
    y_true, y_pred = random_pair()
    order = np.random.default_rng(0).permutation(14)
    for function in (losses.dice, losses.log_cosh, losses.binary_crossentropy, losses.focal_tversky):
        np.testing.assert_allclose(function(y_true[:, order], y_pred[:, order]), function(y_true, y_pred), rtol=1e-5)
    assert not np.allclose(losses.ssim(y_true[:, order], y_pred[:, order]), losses.ssim(y_true, y_pred), rtol=1e-3)


def test_unknown_ways_of_padding_and_reducing_are_refused():
    pair = random_pair()
    with pytest.raises(ValueError, match="`padding`"):
        losses.ssim(*pair, padding="reflect")
    with pytest.raises(ValueError, match="odd `window`"):
        losses.ssim(*pair, window=4)
    with pytest.raises(ValueError, match="`voxels`"):
        losses.log_cosh(*pair, voxels="median")
