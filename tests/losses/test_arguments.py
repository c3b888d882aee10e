"""What a loss refuses: numbers outside their range, and inputs that are no labels, no probabilities, no weights."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

from keras_uq import losses
from tests.losses.test_every_loss import CASES, SHAPES, every_loss, random_pair, values

# Arguments of the losses: their kind, and values that are not of it.
NOT_NUMBERS = (float("nan"), float("inf"), "0.5", True, [0.5])
AT_LEAST_0 = (-0.1, *NOT_NUMBERS)
ABOVE_0 = (0, -1.0, *NOT_NUMBERS)
SHARE = (-0.1, 1.1, *NOT_NUMBERS)
WRONG = {
    "smooth": AT_LEAST_0,
    "smooth_numerator": AT_LEAST_0,
    "alpha": AT_LEAST_0,
    "beta": AT_LEAST_0,
    "penalty_gamma": ABOVE_0,
    "exponent": ABOVE_0,
    "gamma": (-0.1, *NOT_NUMBERS),
    "delta": SHARE,
    "weight": SHARE,
    "dice_weight": SHARE,
    "tversky_weight": SHARE,
    "epsilon": (-0.5, *(value for value in NOT_NUMBERS if value != [0.5])),
    "order": (0, 1.5, "2", 91),
    "window": (0, 4, 3.5, "3"),
    "sigma": (0.0, *NOT_NUMBERS),
    "c1": ABOVE_0,
    "c2": ABOVE_0,
    "squared": (1, "yes", None),
    "include_background": (0, None),
    "multilabel": ("no", None),
    "from_logits": (1, "False"),
    "ignore_value": (float("nan"), "255"),
    "class_weights": ([-1.0], [float("nan")], [float("inf")], "abc", ["a"], [], 3),
    "reduction": ("average", 1),
    "name": (5,),
    "dtype": ("int32", "complex64", "nonsense", 5),
}
OTHER_RANGES = {
    ("combo", "alpha"): SHARE,
    ("combo", "beta"): SHARE,
    ("dice_plus_plus", "gamma"): ABOVE_0,
    ("asymmetric_focal_tversky", "gamma"): (1, *AT_LEAST_0),
    ("unified_focal", "gamma"): (1, *AT_LEAST_0),
}
ENUMERATED = {"over", "variant", "voxels", "padding", "scale", "adaptive", "weights"}


@every_loss
def test_every_argument_has_a_range_and_its_error_names_it(loss):
    function, pair = type(loss).function, random_pair()
    for thing, arrays in ((type(loss), ()), (function, pair)):
        for name in inspect.signature(thing).parameters:
            if name in ENUMERATED or name in ("y_true", "y_pred", "mask"):
                continue
            for wrong in OTHER_RANGES.get((loss.name, name), WRONG[name]):
                with pytest.raises(ValueError, match=f"^{thing.__name__} expects `{name}` to be .*Received: {name}="):
                    thing(*arrays, **{name: wrong})


def test_ranges_reach_their_ends():
    pair = random_pair()
    for loss, arguments in (
        (losses.tversky, {"alpha": 0, "smooth": 0, "smooth_numerator": 0}),
        (losses.combo, {"alpha": 0, "beta": 1}),
        (losses.unified_focal, {"weight": 1, "delta": 0, "gamma": 0}),
        (losses.poly_dice, {"epsilon": -0.49, "order": 90}),
        (losses.tversky_ce, {"tversky_weight": np.float32(1)}),
        (losses.ssim, {"window": 1, "sigma": 0.01}),
        (losses.dice, {"class_weights": np.array([2], "float32"), "ignore_value": -1}),
    ):
        assert np.isfinite(ops.convert_to_numpy(loss(*pair, **arguments))).all()


def test_arguments_are_kept_as_they_were_given():
    """Configurations are compared with recorded ones: a whole number stays one."""
    config = losses.Tversky(alpha=1, beta=0.5, class_weights=[1, 2]).get_config()
    assert repr((config["alpha"], config["beta"], config["class_weights"])) == "(1, 0.5, [1, 2])"


def test_errors_that_cost_nothing_are_refused():
    for function in (losses.tversky, losses.focal_tversky, losses.tversky_ce):
        with pytest.raises(ValueError, match="`alpha` or `beta` above 0. Received: both 0"):
            function(*random_pair(), alpha=0, beta=0.0)


def test_a_tensor_is_an_argument_too():
    pair = random_pair()
    expected = ops.convert_to_numpy(losses.tversky(*pair, alpha=0.3))
    np.testing.assert_allclose(losses.tversky(*pair, alpha=ops.convert_to_tensor(0.3)), expected, rtol=1e-6)
    for wrong in (-0.6, float("nan")):
        with pytest.raises(ValueError, match="each `epsilon` to be a number above -0.5"):
            losses.poly_dice(*pair, epsilon=ops.convert_to_tensor([0.1, 0.2, wrong]))
    with pytest.raises(ValueError, match="one `epsilon` per image.*Received: 2 for 3 images"):
        losses.poly_dice(*pair, epsilon=np.zeros(2))
    with pytest.raises(ValueError, match=r"`tversky_weight` to be a number in \[0, 1\]"):
        losses.tversky_ce(*pair, tversky_weight=ops.convert_to_tensor(1.5))


@every_loss
def test_masks_of_0_and_255_are_refused(loss):
    y_true, y_pred = random_pair()
    for call in (loss, lambda *pair: values(loss, *pair)):
        for masks in (255 * y_true, (255 * y_true).astype("uint8"), ops.convert_to_tensor(255 * y_true)):
            with pytest.raises(
                ValueError, match=r"expects labels in \[0, 1\] .* from 0 to 255. Divide masks of 0 and 255"
            ):
                call(masks, y_pred)


LABELS = {
    "class numbers": (lambda y: 2 * y, "from 0 to 2"),
    "-1 for unknown": (lambda y: y - 1, "from -1 to 0"),
    "NaN": (lambda y: np.where(y > 0, np.nan, y), "NaN in"),
    "infinity": (lambda y: np.where(y > 0, np.inf, y), "to inf"),
    "one value": (lambda y: np.where(np.arange(y.size).reshape(y.shape) == 5, 1.01, y), "to 1.01"),
}


@pytest.mark.parametrize(("change", "received"), LABELS.values(), ids=LABELS)
def test_labels_outside_0_and_1_are_refused(change, received):
    y_true, y_pred = random_pair()
    with pytest.raises(ValueError, match=f"^dice expects labels .*Received: .*{received}"):
        losses.dice(change(y_true), y_pred)


def test_rounding_is_allowed_and_left_out_voxels_may_hold_anything():
    y_true, y_pred = random_pair()
    near = losses.dice(y_true * 1.0009, y_pred - 0.0005)
    np.testing.assert_allclose(near, losses.dice(y_true, y_pred), atol=0.003)
    void = np.where(np.random.default_rng(1).random(y_true.shape) < 0.2, 255, y_true)
    expected = losses.dice(void, y_pred, ignore_value=255)
    np.testing.assert_allclose(losses.dice(void, y_pred, mask=void[..., 0] != 255), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="to 255"):
        losses.dice(void, y_pred, ignore_value=254)


@every_loss
def test_logits_that_are_taken_for_probabilities_are_refused(loss):
    y_true, y_pred = random_pair()
    for logits in (5 * y_pred, y_pred - 0.5):
        with pytest.raises(ValueError, match=r"expects probabilities in \[0, 1\] .*`from_logits=True`"):
            values(loss, y_true, logits)
        assert np.isfinite(values(loss, y_true, logits, from_logits=True)).all()


def test_a_diverged_network_has_a_loss_of_nan():
    y_true, y_pred = random_pair()
    assert np.isnan(losses.dice(y_true, np.nan * y_pred)).all()


NO_ARRAYS = {
    "text": lambda y: np.full(y.shape, "a"),
    "objects": lambda y: np.full(y.shape, None),
    "nothing": lambda y: None,
    "complex": lambda y: y.astype("complex64"),
    "a list of text": lambda y: [[[["a"]]]],
}


@pytest.mark.parametrize("change", NO_ARRAYS.values(), ids=NO_ARRAYS)
@every_loss
def test_what_holds_no_numbers_is_refused(loss, change):
    y_true, y_pred = random_pair()
    for call in (loss, lambda *pair: values(loss, *pair)):
        for name, pair in (("y_true", (change(y_true), y_pred)), ("y_pred", (y_true, change(y_pred)))):
            with pytest.raises(
                ValueError, match=f"^{loss.name} expects `{name}` to be an array of numbers. Received: "
            ):
                call(*pair)
    with pytest.raises(ValueError, match="expects `mask` to be an array of numbers"):
        loss(y_true, y_pred, mask=np.full(y_true.shape[:-1], "a"))


WEIGHTS = {
    "too many": (np.ones(4), r"one number per image.*shape=\(4,\) for y_pred.shape=\(3, "),
    "one of three": (np.ones(1), r"one number per image.*shape=\(1,\)"),
    "negative": (np.array([1, -1, 1]), "weights of at least 0 .* from -1 to 1"),
    "NaN": (np.array([1, np.nan, 1]), "weights of at least 0 .* NaN in 1 of 3"),
    "infinite": (np.array([1, np.inf, 1]), "weights of at least 0 .* to inf"),
    "text": (np.array(["a", "b", "c"]), "`sample_weight` to be an array of numbers"),
}


@pytest.mark.parametrize(("weights", "message"), WEIGHTS.values(), ids=WEIGHTS)
@every_loss
def test_weights_of_images_are_numbers_of_at_least_0(loss, weights, message):
    with pytest.raises(ValueError, match=message):
        loss(*random_pair(), weights)


def test_one_weight_for_all_images():
    loss, pair = losses.Dice(), random_pair()
    for weight in (0.5, [0.5, 0.5, 0.5]):
        np.testing.assert_allclose(float(loss(*pair, weight)), 0.5 * float(loss(*pair)), rtol=1e-6)


def test_epsilons_and_weights_of_images_are_checked_together():
    loss, pair = losses.PolyDice(epsilon="per_image"), random_pair()
    weighted = np.array([[0.1, 1], [0.2, 0], [-0.4, 2]])
    assert float(loss(*pair, weighted.tolist())) == float(loss(*pair, weighted)) > 0
    with pytest.raises(ValueError, match="each `epsilon` to be a number above -0.5.* from -0.6"):
        loss(*pair, np.array([0.1, -0.6, 0.2]))
    with pytest.raises(ValueError, match="weights of at least 0"):
        loss(*pair, np.array([[0.1, 1], [0.2, -1], [-0.4, 2]]))


def test_weights_of_classes_name_a_class_that_counts():
    pair = random_pair(SHAPES["2D classes"])
    with pytest.raises(ValueError, match="a number above 0 for a foreground class.*leave no class to count"):
        losses.dice(*pair, class_weights=[1, 0, 0], include_background=False)


def test_an_empty_batch_has_an_empty_loss():
    y_true, y_pred = (x[:0] for x in random_pair())
    for case in CASES:
        assert values(case.loss, y_true, y_pred).shape == (0,)


def test_adaptive_weights_are_two_shares():
    for start in ((0.5,), (0.5, float("nan")), (2, -1), "ab", None):
        with pytest.raises(ValueError, match="^TverskyCEWeights expects `start` to be 2 values"):
            losses.TverskyCEWeights(start)
    for weights, adaptive in ((losses.TverskyCEWeights(), None), ("weights", "epoch")):
        with pytest.raises(
            ValueError, match="^TverskyCE expects `weights` to be the TverskyCEWeights of an adaptive loss"
        ):
            losses.TverskyCE(adaptive=adaptive, weights=weights)


def test_a_loss_of_somebody_else_has_ranges_of_its_own():
    def mine(y_true, y_pred, alpha=0.0, **options):
        return losses.dice(y_true, y_pred, **options) + alpha

    loss = type("Mine", (losses.SegmentationLoss,), {"function": staticmethod(mine)})
    assert loss(alpha=-3).alpha == -3
    with pytest.raises(ValueError, match="Mine expects `from_logits`"):
        loss(from_logits="yes")


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="nothing is compiled")
def test_a_compiled_step_has_no_values_to_check():
    y_true, y_pred = random_pair((4, 12, 12, 1))
    model = keras.Sequential([keras.Input((12, 12, 1)), keras.layers.Conv2D(1, 1, activation="sigmoid")])
    model.compile("sgd", loss=losses.Dice())
    assert np.isfinite(model.fit(y_pred, 255 * y_true, verbose=0).history["loss"]).all()
    model.compile("sgd", loss=losses.Dice(), run_eagerly=True)
    with pytest.raises(ValueError, match="from 0 to 255"):
        model.fit(y_pred, 255 * y_true, verbose=0)
