"""Properties that tie the losses to each other and to Keras."""

import keras
import numpy as np
import pytest

from keras_uq import losses
from tests.losses.test_every_loss import gradient, random_pair

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
    parts = sum(np.asarray(part(*pair)) for part in (losses.jaccard, losses.binary_crossentropy, losses.ssim))
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
    with pytest.raises(ValueError, match="`window` to be an odd whole number"):
        losses.ssim(*pair, window=4)
    with pytest.raises(ValueError, match="`voxels`"):
        losses.log_cosh(*pair, voxels="median")


@pytest.mark.parametrize("pair", PAIRS)
def test_dice_plus_plus_with_gamma_two_is_squared_dice_for_hard_labels(pair):
    squared = losses.dice(*pair, smooth=1e-7, squared=True)
    np.testing.assert_allclose(losses.dice_plus_plus(*pair, gamma=2.0), squared, rtol=1e-5)
    # Summed over pixels, g = 1: 2p + (1 - p)^2 = 1 + p^2. Soft labels break it.
    soft = 0.8 * pair[0] + 0.1
    assert not np.allclose(losses.dice_plus_plus(soft, pair[1]), losses.dice(soft, pair[1], squared=True), rtol=1e-2)


@pytest.mark.parametrize("pair", PAIRS)
def test_plus_plus_with_power_one_is_the_plain_loss(pair):
    np.testing.assert_allclose(losses.dice_plus_plus(*pair, gamma=1.0), losses.dice(*pair, smooth=1e-7), rtol=1e-6)
    for function in (losses.tversky, losses.focal_tversky, losses.jaccard, losses.log_dice, losses.combo):
        np.testing.assert_allclose(function(*pair, penalty_gamma=1.0), function(*pair), rtol=1e-6)


@pytest.mark.parametrize("shape", [(3, 14, 13, 1), (3, 14, 13, 2), (2, 5, 12, 7, 4)])
def test_unified_focal_with_gamma_zero_is_weighted_cross_entropy_and_tversky(shape):
    pair = random_pair(shape)
    crossentropy = losses.asymmetric_focal(*pair, delta=0.7, gamma=0.0)
    tversky = losses.tversky(*pair, alpha=0.3, beta=0.7, smooth=1e-7)
    expected = 0.4 * np.asarray(crossentropy) + 0.6 * np.asarray(tversky)
    np.testing.assert_allclose(losses.unified_focal(*pair, weight=0.4, delta=0.7, gamma=0.0), expected, rtol=1e-5)
    if shape[-1] > 1:
        weights = [0.3, *[0.7] * (shape[-1] - 1)]
        np.testing.assert_allclose(
            crossentropy, losses.categorical_crossentropy(*pair, class_weights=weights), rtol=1e-5
        )


@pytest.mark.parametrize("pair", PAIRS)
def test_combo_without_cross_entropy_is_minus_the_dice_index(pair):
    expected = np.asarray(losses.dice(*pair, smooth=2e-6)) - 1
    np.testing.assert_allclose(losses.combo(*pair, alpha=0.0), expected, rtol=1e-5)


def test_one_sigmoid_is_two_softmax_channels_for_cross_entropies():
    y_true, y_pred = random_pair()
    two = [np.concatenate([1 - x, x], axis=-1) for x in (y_true, y_pred)]
    for function in (losses.categorical_crossentropy, losses.asymmetric_focal):
        np.testing.assert_allclose(function(*two), function(y_true, y_pred), rtol=1e-5)
    np.testing.assert_allclose(
        losses.categorical_crossentropy(y_true, y_pred), losses.binary_crossentropy(y_true, y_pred), rtol=1e-5
    )


def test_categorical_crossentropy_agrees_with_keras():
    pair = random_pair((3, 14, 13, 4))
    theirs = keras.losses.CategoricalCrossentropy()(*pair)
    np.testing.assert_allclose(float(losses.CategoricalCrossentropy()(*pair)), float(theirs), rtol=1e-5)


def test_plus_plus_forgives_doubt_and_not_confident_errors():
    y_true = np.array([1.0, 0.0]).reshape(1, 2, 1, 1)
    doubtful, wrong = (np.array(p).reshape(1, 2, 1, 1) for p in ([0.9, 0.1], [0.05, 0.95]))
    plain = [float(losses.dice(y_true, p)[0]) for p in (doubtful, wrong)]
    forgiving = [float(losses.dice_plus_plus(y_true, p)[0]) for p in (doubtful, wrong)]
    assert forgiving[0] < plain[0] / 5
    assert forgiving[1] > 0.8 * plain[1]


def test_powers_and_variants_that_mean_nothing_are_refused():
    pair = random_pair()
    with pytest.raises(ValueError, match="`gamma` to be a number above 0. Received: gamma=0"):
        losses.dice_plus_plus(*pair, gamma=0)
    with pytest.raises(ValueError, match="`squared` or `penalty_gamma`"):
        losses.dice(*pair, squared=True, penalty_gamma=2.0)
    for function in (losses.dice_plus_plus, losses.tversky, losses.focal_tversky, losses.combo):
        with pytest.raises(ValueError, match="`variant`.*Received: variant='printed'"):
            function(*pair, variant="printed")


def test_clipped_labels_matter_below_one_alone_and_never_for_ignored_voxels():
    y_true, y_pred = random_pair((1, 60, 60, 1))
    for gamma, differs in ((0.5, True), (1.0, False), (2.0, False)):
        recommended = losses.dice_plus_plus(y_true, y_pred, gamma)
        released = losses.dice_plus_plus(y_true, y_pred, gamma, variant="released")
        assert np.allclose(recommended, released, rtol=2e-5) != differs
    masked = y_true.copy()
    masked[:, 30:] = 255
    released = losses.dice_plus_plus(masked, y_pred, 0.5, variant="released", ignore_value=255)
    cut = losses.dice_plus_plus(y_true[:, :30], y_pred[:, :30], 0.5, variant="released")
    np.testing.assert_allclose(released, cut, rtol=1e-5)


def test_configurations_of_before_name_the_same_loss():
    """Records of runs hold configurations; what was added since must not change those of plain losses."""
    config = losses.Tversky(0.3, 0.7).get_config()
    assert not {"penalty_gamma", "variant", "squared"} & set(config)
    assert {"smooth_numerator", "class_weights", "ignore_value"} <= set(config)
    assert losses.Tversky.from_config(config).penalty_gamma == 1.0
    changed = losses.Tversky(0.3, 0.7, penalty_gamma=2.0, variant="released").get_config()
    assert (changed["penalty_gamma"], changed["variant"]) == (2.0, "released")


@pytest.mark.parametrize("variant", ["recommended", "released"])
@pytest.mark.parametrize("label", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("guess", [0.0, 1e-12, 0.5, 1.0])
def test_powers_below_one_have_finite_slopes(variant, label, guess):
    y_true, y_pred = np.full((1, 4, 4, 1), label, "float32"), np.full((1, 4, 4, 1), guess, "float32")
    loss = losses.DicePlusPlus(gamma=0.5, variant=variant)
    assert np.isfinite(gradient(loss, y_true, y_pred)).all()
    assert np.isfinite(float(loss(y_true, y_pred)))
    if label == guess and variant == "recommended" and label in (0.0, 1.0):
        assert float(loss(y_true, y_pred)) == pytest.approx(0, abs=1e-6)
