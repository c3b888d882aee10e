"""The questions that every loss must answer."""

import doctest
import inspect
import itertools
import re
import subprocess
import sys
import warnings
from typing import Literal, get_origin

import keras
import numpy as np
import pytest
from keras import ops

import keras_uq
from keras_uq import losses
from tests import reference

OVERLAP = [
    losses.Dice(),
    losses.LogDice(),
    losses.Jaccard(),
    losses.Tversky(alpha=0.3, beta=0.7),
    losses.FocalTversky(alpha=0.3, beta=0.7),
    losses.LogCoshDice(),
    losses.DicePlusPlus(),
]
# One expression of the whole distribution: with exclusive classes, more than a mean over classes.
CATEGORICAL = [losses.CategoricalCrossentropy(), losses.AsymmetricFocal(gamma=0.5)]
ANGULAR = [losses.PolyDice(epsilon=0.2), losses.PolyDice(epsilon=-0.3, order=None, name="poly_dice_whole")]
COMPOUND = [losses.Combo(beta=0.6), losses.AsymmetricFocalTversky(gamma=0.2), losses.UnifiedFocal(weight=0.3)]
# An overlap loss and the cross-entropy of the whole distribution.
FUSED = [losses.TverskyCE(alpha=0.7, beta=0.3, tversky_weight=0.6), losses.DiceCE(dice_weight=0.3)]
VOXELWISE = [losses.LogCosh(), losses.BinaryCrossentropy()]
STRUCTURAL = [losses.SSIM(), losses.Hybrid()]
EVERY_LOSS = [*OVERLAP, *VOXELWISE, *STRUCTURAL, *CATEGORICAL, *COMPOUND, *FUSED, ANGULAR[0]]
# The "++" forms go through the questions about values and slopes.
PLUS_PLUS = [
    losses.Dice(squared=True, name="dice_squared"),
    ANGULAR[1],
    *[type(loss)(**{**loss.arguments, "penalty_gamma": 1.5}) for loss in (*OVERLAP[:-1], *COMPOUND)],
]
MEAN_OF_CLASSES = [*OVERLAP, *VOXELWISE, *STRUCTURAL, ANGULAR[0]]
SHAPES = {"2D": (3, 14, 13, 1), "3D": (2, 6, 12, 13, 1), "2D classes": (3, 14, 13, 3), "3D classes": (2, 5, 12, 7, 3)}

every_loss = pytest.mark.parametrize("loss", EVERY_LOSS, ids=lambda loss: loss.name)
every_form = pytest.mark.parametrize(
    "loss", [*EVERY_LOSS, *PLUS_PLUS], ids=lambda loss: loss.name + "++" * (loss in PLUS_PLUS)
)
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def random_pair(shape=(3, 14, 13, 1), seed=0, dtype="float32"):
    """Labels and probabilities; with several classes one-hot and normalised."""
    rng = np.random.default_rng(seed)
    if shape[-1] == 1:
        return (rng.random(shape) < 0.3).astype(dtype), rng.uniform(0.02, 0.98, shape).astype(dtype)
    labels = rng.integers(0, shape[-1], shape[:-1])
    probabilities = rng.uniform(0.05, 1.0, shape)
    return np.eye(shape[-1], dtype=dtype)[labels], (probabilities / probabilities.sum(-1, keepdims=True)).astype(dtype)


def values(loss, y_true, y_pred, **options):
    """One value an image, as NumPy."""
    function = type(loss).function
    return ops.convert_to_numpy(function(y_true, y_pred, **{**loss.arguments, **options}))


def gradient(loss, y_true, y_pred, **options):
    """Gradient of the summed loss with respect to `y_pred`."""
    options = {**loss.arguments, **options}

    def total(prediction):
        return ops.sum(type(loss).function(y_true, prediction, **options))

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow

        prediction = tensorflow.constant(y_pred)
        with tensorflow.GradientTape() as tape:
            tape.watch(prediction)
            loss_sum = total(prediction)
        return tape.gradient(loss_sum, prediction).numpy()
    if backend == "jax":
        import jax

        return np.asarray(jax.grad(total)(ops.convert_to_tensor(y_pred)))
    prediction = ops.convert_to_tensor(y_pred).detach().requires_grad_()
    total(prediction).backward()
    return prediction.grad.numpy()


def twin(loss, y_true, y_pred):
    """The slow twin of a loss: mean over classes of each image, or one expression of all classes."""
    function = getattr(reference, loss.name)
    powered = loss in PLUS_PLUS and loss.name not in ("dice_squared", ANGULAR[1].name)
    power = {"power": loss.penalty_gamma} if powered else {}
    if loss.name in {other.name for other in (*CATEGORICAL, *COMPOUND, *FUSED)}:
        own = {
            name: loss.arguments[name]
            for name in ("alpha", "beta", "weight", "delta", "gamma", "tversky_weight", "dice_weight")
            if name in loss.arguments
        }
        pairs = zip(y_true.astype("float64"), y_pred.astype("float64"))
        return np.array(
            [function(g.reshape(-1, g.shape[-1]), p.reshape(-1, p.shape[-1]), **own, **power) for g, p in pairs]
        )
    structural = loss.name in ("ssim", "hybrid")
    result = []
    for g, p in zip(y_true.astype("float64"), y_pred.astype("float64")):
        classes = [(g[..., c], p[..., c]) for c in range(g.shape[-1])]
        scores = [function(a, b) if structural else function(a.ravel(), b.ravel(), **power) for a, b in classes]
        result.append(np.mean(scores))
    return np.array(result)


@every_form
@every_shape
def test_equals_its_slow_twin(loss, shape):
    y_true, y_pred = random_pair(shape)
    np.testing.assert_allclose(values(loss, y_true, y_pred), twin(loss, y_true, y_pred), rtol=2e-5)


@every_form
@every_shape
def test_gradient_equals_finite_differences(loss, shape):
    y_true, y_pred = random_pair(shape)
    slope = gradient(loss, y_true, y_pred)
    step, rng = 1e-5, np.random.default_rng(1)
    for _ in range(6):
        at = tuple(rng.integers(0, side) for side in shape)
        higher, lower = y_pred.astype("float64"), y_pred.astype("float64")
        higher[at] += step
        lower[at] -= step
        expected = (twin(loss, y_true, higher)[at[0]] - twin(loss, y_true, lower)[at[0]]) / (2 * step)
        np.testing.assert_allclose(slope[at], expected, rtol=2e-3, atol=1e-6)


@every_loss
def test_gradient_of_the_dice_loss_worked_by_hand(loss):
    if loss.name != "dice":
        assert np.isfinite(gradient(loss, *random_pair())).all()
        return
    (check,) = reference.checks("gradient map of dice_loss with respect to p")
    slope = gradient(loss, *reference.tensors(check))
    np.testing.assert_allclose(slope[0, ..., 0], check["expected"], rtol=1e-4)


def corners():
    """Images of every kind of label with every kind of prediction at 0 and 1, `(12, 12, 12, 1)` each."""
    labels, guesses = [], []
    for filled in (0, 6, 12):
        label = np.zeros((12, 12, 1), "float32")
        label[:, :filled] = 1
        for guess in (np.zeros_like(label), np.ones_like(label), label, 1 - label):
            labels.append(label)
            guesses.append(guess)
    return np.stack(labels), np.stack(guesses)


@every_form
@pytest.mark.parametrize("channels", [1, 2])
def test_value_and_gradient_are_finite_at_the_corners(loss, channels):
    foreground, guess = corners()
    if channels == 2:
        foreground, guess = (np.concatenate([1 - x, x], axis=-1) for x in (foreground, guess))
    for over in ("image", "batch"):
        assert np.isfinite(values(loss, foreground, guess, over=over)).all()
        assert np.isfinite(gradient(loss, foreground, guess, over=over)).all()


@every_loss
@pytest.mark.parametrize("rank", [2, 3])
def test_one_voxel_image(loss, rank):
    for label, guess in itertools.product((0.0, 1.0), (0.0, 0.4, 1.0)):
        y_true, y_pred = np.full((1,) * (rank + 2), label, "float32"), np.full((1,) * (rank + 2), guess, "float32")
        assert np.isfinite(values(loss, y_true, y_pred)).all()
        assert np.isfinite(gradient(loss, y_true, y_pred)).all()


def least(loss):
    """What a perfect prediction costs."""
    return loss.alpha - 1 if loss.name == "combo" else 0


@every_form
@every_shape
def test_a_perfect_prediction_costs_least(loss, shape):
    y_true, y_pred = random_pair(shape)
    perfect = values(loss, y_true, y_true)
    np.testing.assert_allclose(perfect, least(loss), atol=1e-4)
    assert (perfect < values(loss, y_true, y_pred)).all()


@every_loss
def test_empty_masks_agreed_upon_cost_nothing(loss):
    empty = np.zeros((2, 12, 12, 1), "float32")
    np.testing.assert_allclose(values(loss, empty, empty), least(loss), atol=1e-4)


@every_loss
@every_shape
def test_moving_towards_the_label_lowers_the_loss(loss, shape):
    y_true, y_pred = random_pair(shape)
    assert (values(loss, y_true, 0.9 * y_pred + 0.1 * y_true) < values(loss, y_true, y_pred)).all()


@every_loss
@every_shape
def test_each_image_is_scored_alone(loss, shape):
    y_true, y_pred = random_pair(shape)
    together = values(loss, y_true, y_pred)
    alone = [values(loss, y_true[i : i + 1], y_pred[i : i + 1])[0] for i in range(len(y_true))]
    assert together.shape == (len(y_true),)
    np.testing.assert_allclose(together, alone, rtol=1e-5)


@every_loss
def test_over_batch_is_one_value_repeated_and_agrees_for_one_image(loss):
    y_true, y_pred = random_pair()
    pooled = values(loss, y_true, y_pred, over="batch")
    assert pooled.shape == (3,)
    assert np.ptp(pooled) == 0
    np.testing.assert_allclose(
        values(loss, y_true[:1], y_pred[:1], over="batch"), values(loss, y_true[:1], y_pred[:1]), rtol=1e-6
    )


@pytest.mark.parametrize("loss", [*OVERLAP, ANGULAR[0]], ids=lambda loss: loss.name)
def test_over_batch_pools_the_counts_of_overlap_losses(loss):
    y_true, y_pred = random_pair()
    one_image = [x.reshape(1, -1, 13, 1) for x in (y_true, y_pred)]
    np.testing.assert_allclose(values(loss, y_true, y_pred, over="batch")[:1], values(loss, *one_image), rtol=1e-6)


@every_loss
def test_2d_is_3d_of_depth_one(loss):
    y_true, y_pred = random_pair()
    np.testing.assert_allclose(
        values(loss, y_true[:, None], y_pred[:, None]), values(loss, y_true, y_pred), rtol=1e-5, atol=1e-7
    )


@every_loss
@every_shape
def test_ignored_voxels_change_nothing(loss, shape):
    y_true, y_pred = random_pair(shape)
    ignored = np.random.default_rng(2).random(shape[:-1]) < 0.3
    y_true[ignored] = 255
    before = values(loss, y_true, y_pred, ignore_value=255)
    for junk in (0.0, 1.0, np.nan):
        changed = y_pred.copy()
        changed[ignored] = junk
        np.testing.assert_allclose(values(loss, y_true, changed, ignore_value=255), before, rtol=1e-6)
    slope = gradient(loss, y_true, y_pred, ignore_value=255)
    assert np.isfinite(slope).all()
    assert (slope[ignored] == 0).all()
    by_mask = ops.convert_to_numpy(
        type(loss).function(np.where(y_true == 255, 0, y_true), y_pred, mask=~ignored, **loss.arguments)
    )
    np.testing.assert_allclose(by_mask, before, rtol=1e-6)


@pytest.mark.parametrize("loss", [loss for loss in EVERY_LOSS if loss not in STRUCTURAL], ids=lambda loss: loss.name)
def test_ignoring_is_cutting_out(loss):
    y_true, y_pred = random_pair()
    masked = y_true.copy()
    masked[:, :5] = 255
    np.testing.assert_allclose(
        values(loss, masked, y_pred, ignore_value=255), values(loss, y_true[:, 5:], y_pred[:, 5:]), rtol=1e-5
    )


@every_loss
def test_everything_ignored_is_finite(loss):
    y_true, y_pred = np.full((2, 12, 12, 1), 255.0, "float32"), random_pair((2, 12, 12, 1))[1]
    np.testing.assert_allclose(values(loss, y_true, y_pred, ignore_value=255), least(loss), atol=1e-4)
    assert (gradient(loss, y_true, y_pred, ignore_value=255) == 0).all()


@pytest.mark.parametrize("loss", MEAN_OF_CLASSES, ids=lambda loss: loss.name)
def test_class_weights_are_a_weighted_mean_over_classes(loss):
    y_true, y_pred = random_pair(SHAPES["2D classes"])
    single = np.stack([values(loss, y_true[..., c : c + 1], y_pred[..., c : c + 1]) for c in range(3)], axis=-1)
    expected = (single * [1, 0, 3]).sum(-1) / 4
    np.testing.assert_allclose(values(loss, y_true, y_pred, class_weights=[1, 0, 3]), expected, rtol=1e-5)


@pytest.mark.parametrize("loss", CATEGORICAL, ids=lambda loss: loss.name)
def test_class_weights_multiply_the_terms_of_cross_entropies(loss):
    y_true, y_pred = random_pair(SHAPES["3D classes"])
    terms = [values(loss, y_true, y_pred, class_weights=np.eye(3)[c]) for c in range(3)]
    np.testing.assert_allclose(sum(terms), values(loss, y_true, y_pred), rtol=1e-5)
    np.testing.assert_allclose(
        values(loss, y_true, y_pred, class_weights=[1, 0, 3]), terms[0] + 3 * terms[2], rtol=1e-5
    )


@every_loss
def test_background_is_channel_zero_and_only_where_there_are_classes(loss):
    y_true, y_pred = random_pair(SHAPES["2D classes"])
    without = values(loss, y_true, y_pred, include_background=False)
    expected = values(loss, y_true, y_pred, class_weights=[0, 1, 1])
    if loss in FUSED:
        # Cross-entropy is of all classes all the same.
        weight = 1 - loss.arguments.get("tversky_weight", loss.arguments.get("dice_weight"))
        background = -(y_true[..., 0] * np.log(y_pred[..., 0])).mean(axis=(1, 2))
        expected = expected + weight * background
    np.testing.assert_allclose(without, expected, rtol=1e-5)
    independent = values(loss, y_true, y_pred, include_background=False, multilabel=True)
    np.testing.assert_allclose(independent, values(loss, y_true, y_pred, multilabel=True), rtol=1e-6)
    each = [values(loss, y_true[..., c : c + 1], y_pred[..., c : c + 1]) for c in range(3)]
    np.testing.assert_allclose(independent, np.mean(each, axis=0), rtol=1e-5)
    one = random_pair()
    np.testing.assert_allclose(values(loss, *one, include_background=False), values(loss, *one), rtol=1e-6)


@every_loss
@pytest.mark.parametrize("multilabel", [False, True])
@every_shape
def test_logits_give_what_their_probabilities_give(loss, shape, multilabel):
    y_true, _ = random_pair(shape)
    logits = np.random.default_rng(3).normal(0, 2, shape).astype("float32")
    if shape[-1] > 1 and not multilabel:
        probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    else:
        probabilities = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(
        values(loss, y_true, logits, from_logits=True, multilabel=multilabel),
        values(loss, y_true, probabilities.astype("float32"), multilabel=multilabel),
        rtol=2e-5,
    )


@every_loss
def test_extreme_logits_are_finite(loss):
    y_true = random_pair()[0]
    for size in (90.0, -90.0):
        logits = np.full_like(y_true, size)
        assert np.isfinite(values(loss, y_true, logits, from_logits=True)).all()
        assert np.isfinite(gradient(loss, y_true, logits, from_logits=True)).all()


@every_loss
def test_sample_weight_weights_images(loss):
    y_true, y_pred = random_pair()
    each = values(loss, y_true, y_pred)
    weights = np.array([0.5, 0.0, 2.0], "float32")
    for shaped in (weights, weights[:, None]):
        np.testing.assert_allclose(float(loss(y_true, y_pred, shaped)), (each * weights).sum() / 3, rtol=1e-5)
    np.testing.assert_allclose(float(loss(y_true, y_pred)), each.mean(), rtol=1e-5)


@every_loss
def test_weights_that_keras_would_misread_are_refused(loss):
    y_true, y_pred = random_pair()
    for shape in ((3, 1, 1), (3, 14, 13), (3, 14)):
        with pytest.raises(ValueError, match="one number per image.*Received: shape="):
            loss(y_true, y_pred, np.ones(shape, "float32"))
    pooled = type(loss)(over="batch")
    with pytest.raises(ValueError, match='over="batch".*sample_weight'):
        pooled(y_true, y_pred, np.ones(3, "float32"))


@every_loss
def test_the_class_takes_a_mask(loss):
    y_true, y_pred = random_pair()
    mask = np.random.default_rng(4).random((3, 14, 13)) < 0.7
    expected = values(loss, y_true, y_pred, mask=mask).mean()
    np.testing.assert_allclose(float(loss(y_true, y_pred, mask=mask)), expected, rtol=1e-5)


@every_loss
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_inputs_are_summed_in_float32(loss, dtype):
    rng = np.random.default_rng(5)
    y_true = (rng.random((1, 300, 300, 1)) < 0.3).astype("float32")
    y_pred = ops.cast(rng.uniform(0.05, 0.95, (1, 300, 300, 1)).astype("float32"), dtype)
    expected = values(loss, y_true, ops.convert_to_numpy(ops.cast(y_pred, "float32")))
    got = type(loss).function(y_true, y_pred, **loss.arguments)
    assert keras.backend.standardize_dtype(got.dtype) == "float32"
    np.testing.assert_allclose(ops.convert_to_numpy(got), expected, rtol=1e-5)


@every_loss
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_trains_under_mixed_precision(loss, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = small_model()
        model.compile("sgd", loss=loss)
        y_true, images = random_pair((4, 12, 12, 1))
        assert np.isfinite(model.train_on_batch(images, y_true))
    finally:
        keras.config.set_dtype_policy(before)


@every_loss
@pytest.mark.parametrize("over", ["image", "batch"])
def test_jit_on_and_off_agree(loss, over):
    y_true, images = random_pair((4, 12, 12, 1))
    losses_seen = []
    for jit in (False, True):
        keras.utils.set_random_seed(0)
        model = small_model()
        config = {**loss.get_config(), "over": over}
        model.compile("sgd", loss=type(loss).from_config(config), jit_compile=jit)
        losses_seen.append([float(model.train_on_batch(images, y_true)) for _ in range(2)])
    np.testing.assert_allclose(*losses_seen, rtol=1e-4)


@every_loss
def test_works_with_sizes_known_only_at_run_time(loss):
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    model.compile("sgd", loss=type(loss)(from_logits=True))
    for side in (12, 20):
        y_true, images = random_pair((2, side, side, 1))
        assert np.isfinite(model.train_on_batch(images, y_true))


@every_loss
def test_configuration_is_complete_and_round_trips(loss):
    changed = type(loss)(over="batch", class_weights=[1.0, 2.0], ignore_value=7, dtype="float64", name="mine")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(changed))
    assert again.get_config() == changed.get_config()
    assert again.dtype == "float64"
    assert (again.over, again.ignore_value, again.name) == ("batch", 7, "mine")


def test_every_saved_loss_loads_in_a_fresh_process(tmp_path):
    y_true, images = random_pair((2, 12, 12, 1))
    expected = {}
    for loss in EVERY_LOSS:
        for kind, attached in (("class", loss), ("function", type(loss).function)):
            model = small_model()
            model.compile("sgd", loss=attached)
            name = f"{loss.name}-{kind}"
            model.save(tmp_path / f"{name}.keras")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected[name] = float(model.evaluate(images, y_true, verbose=0))
    np.savez(tmp_path / "pair.npz", y_true=y_true, images=images)
    for imports in ("import keras_uq\nimport keras", "import keras\nimport keras_uq"):
        script = f"""
{imports}
import numpy as np
pair = np.load("pair.npz")
for name, value in {expected!r}.items():
    model = keras.saving.load_model(name + ".keras", safe_mode=True)
    got = float(model.evaluate(pair["images"], pair["y_true"], verbose=0))
    assert abs(got - value) <= 1e-5 * max(abs(value), 1), (name, got, value)
print("all loaded")
"""
        done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "all loaded", done.stderr[-2000:]


BAD_PAIRS = {
    "no class axis": ((3, 8, 8), (3, 8, 8, 1), "Add the class axis"),
    "integer labels": ((3, 8, 8), (3, 8, 8, 4), "one_hot"),
    "label channel": ((3, 8, 8, 1), (3, 8, 8, 4), "one_hot"),
    "other size": ((3, 8, 9, 1), (3, 8, 8, 1), "Check the shapes"),
    "no spatial axis": ((3, 1), (3, 1), "Check the shapes"),
}


@every_loss
@pytest.mark.parametrize(("true", "pred", "fix"), BAD_PAIRS.values(), ids=BAD_PAIRS)
def test_wrong_shapes_say_what_was_expected_what_came_and_the_fix(loss, true, pred, fix):
    with pytest.raises(ValueError, match=f"(?s){loss.name}|expects.*Received.*{fix}") as caught:
        values(loss, np.zeros(true, "float32"), np.zeros(pred, "float32"))
    assert "Received: y_true.shape=" in str(caught.value)
    assert fix in str(caught.value)


@every_loss
def test_wrong_options_are_refused(loss):
    y_true, y_pred = random_pair(SHAPES["2D classes"])
    with pytest.raises(ValueError, match="`over`.*Received: over='volume'"):
        type(loss)(over="volume")
    for weights in ([1, 2], [1, -1, 1], [0, 0, 0]):
        with pytest.raises(ValueError, match="class"):
            values(loss, y_true, y_pred, class_weights=weights)
    with pytest.raises(ValueError, match="`mask` of shape"):
        values(loss, y_true, y_pred, mask=np.ones((3, 14, 13, 3), bool))


@every_loss
def test_a_wrong_argument_is_named(loss):
    pair, function = random_pair(), type(loss).function
    for call, name in ((type(loss), type(loss).__name__), (lambda **options: function(*pair, **options), loss.name)):
        with pytest.raises(
            TypeError, match=f"^{name} has no argument 'clas_weights'. Did you mean 'class_weights'\\? "
        ):
            call(clas_weights=[1])
        with pytest.raises(
            TypeError, match=f"^{name} has no argument 'nonsense'. Arguments: .*over, .*from_logits, "
        ) as caught:
            call(nonsense=True)
        assert len(str(caught.value)) < 300
    first = [name for name, parameter in inspect.signature(type(loss)).parameters.items() if parameter.kind == 1]
    with pytest.raises(TypeError, match=f"takes at most {len(first)} arguments by position .* by name, as in"):
        type(loss)(*[0] * (len(first) + 1))
    with pytest.raises(TypeError, match=f"^{loss.name} needs the argument 'y_pred'"):
        function(pair[0])
    for name in first[:1]:
        with pytest.raises(TypeError, match=f"received the argument '{name}' twice"):
            type(loss)(1, **{name: 1})


@every_loss
def test_a_value_that_is_no_choice_is_refused_by_class_and_function(loss):
    for thing, arrays in ((type(loss), ()), (type(loss).function, random_pair())):
        parameters = inspect.signature(thing).parameters.values()
        choices = [parameter.name for parameter in parameters if get_origin(parameter.annotation) is Literal]
        assert "over" in choices
        for name in choices:
            with pytest.raises(
                ValueError, match=f"{thing.__name__} expects `{name}` to be .* Received: {name}='other'"
            ):
                thing(*arrays, **{name: "other"})


@every_loss
def test_help_explains_every_argument(loss):
    for thing in (type(loss), type(loss).function):
        arguments = inspect.getdoc(thing).split("\nArgs:\n")[1].split("\n\n")[0]
        explained = re.findall(r"^    (\w+): \S", arguments, flags=re.MULTILINE)
        assert explained == list(inspect.signature(thing).parameters)


@every_loss
def test_the_example_of_the_docstring(loss):
    test = doctest.DocTestParser().get_doctest(
        inspect.getdoc(type(loss)), {"np": np, "losses": losses}, loss.name, None, None
    )
    assert len(test.examples) == 2
    assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


def test_arguments_added_later_are_left_out_at_the_default_of_their_loss():
    def power(y_true, y_pred, variant="printed", penalty_gamma=2.0, **options):
        return losses.dice(y_true, y_pred, penalty_gamma=penalty_gamma, **options)

    class New(losses.SegmentationLoss):
        function = staticmethod(power)

    class Old(losses.SegmentationLoss):
        function = staticmethod(power)
        added_later = ("penalty_gamma",)

    for variant in ("printed", "recommended"):
        assert New(variant=variant).get_config()["variant"] == variant
    assert New(penalty_gamma=1.0).get_config()["penalty_gamma"] == 1.0
    assert "penalty_gamma" in New().get_config()
    assert "penalty_gamma" not in Old().get_config()
    assert Old(penalty_gamma=1.0).get_config()["penalty_gamma"] == 1.0


def test_recorded_configurations_do_not_have_the_arguments_added_later():
    left_out = {
        "penalty_gamma": "dice log_dice jaccard tversky focal_tversky log_cosh_dice combo asymmetric_focal_tversky "
        "unified_focal",
        "variant": "tversky focal_tversky dice_plus_plus combo asymmetric_focal_tversky unified_focal",
        "squared": "dice",
    }
    for loss in EVERY_LOSS:
        expected = {name for name, losses_without in left_out.items() if loss.name in losses_without.split()}
        assert set(loss.arguments) - set(loss.get_config()) == expected


def small_model():
    return keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            keras.layers.Conv2D(2, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(1, 1, activation="sigmoid", dtype="float32"),
        ]
    )


def test_the_battery_leaves_no_loss_out():
    public = {name for name in losses.__all__ if isinstance(getattr(losses, name), type)}
    public -= {"SegmentationLoss", "TverskyCEWeights"}
    assert public == {type(loss).__name__ for loss in EVERY_LOSS}
    assert keras_uq.losses is losses
