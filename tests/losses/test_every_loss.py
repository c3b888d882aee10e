"""The questions that every loss must answer."""

import doctest
import inspect
import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Literal, NamedTuple, get_origin

import keras
import numpy as np
import pytest
from keras import ops

import keras_uq
from keras_uq import losses
from tests import reference


class LossCase(NamedTuple):
    """A loss, its slow twin, and where it differs from most losses."""

    loss: losses.SegmentationLoss
    # Labels and probabilities of one image to one number; parameters have the names of the loss's arguments.
    twin: Callable
    # The loss scores each class by itself. If not, it is one expression of all classes.
    mean_of_classes: bool = True
    # What a perfect prediction costs.
    least: float = 0.0
    # The neighbours of a voxel matter, so that cutting voxels out changes the rest.
    neighbours: bool = False
    # Weight of a cross-entropy that keeps its background under `include_background=False`.
    whole_crossentropy: float = 0.0

    @property
    def name(self):
        return self.loss.name + "++" * (self.loss.arguments.get("penalty_gamma", 1.0) != 1)

    def expected(self, y_true, y_pred):
        """The twin's value of each image."""
        names = inspect.signature(self.twin).parameters
        arguments = {name: value for name, value in self.loss.arguments.items() if name in names}
        return np.array([self._image(g, p, arguments) for g, p in zip(*map(np.float64, (y_true, y_pred)))])

    def _image(self, g, p, arguments):
        if not self.neighbours:
            g, p = (x.reshape(-1, x.shape[-1]) for x in (g, p))
        if not self.mean_of_classes:
            return self.twin(g, p, **arguments)
        return np.mean([self.twin(g[..., c], p[..., c], **arguments) for c in range(g.shape[-1])])


CASES = [
    LossCase(losses.Dice(), reference.dice),
    LossCase(losses.LogDice(), reference.log_dice),
    LossCase(losses.Jaccard(), reference.jaccard),
    LossCase(losses.Tversky(alpha=0.3, beta=0.7), reference.tversky),
    LossCase(losses.FocalTversky(alpha=0.3, beta=0.7), reference.focal_tversky),
    LossCase(losses.LogCoshDice(), reference.log_cosh_dice),
    LossCase(losses.DicePlusPlus(), reference.dice_plus_plus),
    LossCase(losses.PolyDice(epsilon=0.2), reference.poly_dice),
    LossCase(losses.LogCosh(), reference.log_cosh),
    LossCase(losses.BinaryCrossentropy(), reference.binary_crossentropy),
    LossCase(losses.SSIM(), reference.ssim, neighbours=True),
    LossCase(losses.Hybrid(), reference.hybrid, neighbours=True),
    LossCase(losses.CategoricalCrossentropy(), reference.categorical_crossentropy, False),
    LossCase(losses.AsymmetricFocal(gamma=0.5), reference.asymmetric_focal, False),
    LossCase(losses.AsymmetricFocalTversky(gamma=0.2), reference.asymmetric_focal_tversky, False),
    LossCase(losses.UnifiedFocal(weight=0.3), reference.unified_focal, False),
    LossCase(losses.Combo(beta=0.6), reference.combo, False, least=-0.5),
    LossCase(losses.TverskyCE(0.7, 0.3, tversky_weight=0.6), reference.tversky_ce, False, whole_crossentropy=0.4),
    LossCase(losses.DiceCE(dice_weight=0.3), reference.dice_ce, False, whole_crossentropy=0.7),
]
# Further forms of some losses go through the questions about values and slopes.
FORMS = [
    *CASES,
    LossCase(losses.Dice(squared=True, name="dice_squared"), reference.dice_squared),
    LossCase(losses.PolyDice(epsilon=-0.3, order=None, name="poly_dice_whole"), reference.poly_dice),
    *[
        case._replace(loss=type(case.loss)(**{**case.loss.arguments, "penalty_gamma": 1.5}))
        for case in CASES
        if "penalty_gamma" in inspect.signature(case.twin).parameters
    ],
]
SHAPES = {"2D": (3, 14, 13, 1), "3D": (2, 6, 12, 13, 1), "2D classes": (3, 14, 13, 3), "3D classes": (2, 5, 12, 7, 3)}


def of(cases):
    """Parametrise a test with cases by name."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


every_case = of(CASES)
every_form = of(FORMS)
every_loss = pytest.mark.parametrize("loss", [case.loss for case in CASES], ids=lambda loss: loss.name)
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
# On PyTorch compilation needs a C++ compiler on the user's machine.
COMPILES = keras.backend.backend() != "torch"
with_and_without_jit = pytest.mark.parametrize("jit", [False, True] if COMPILES else [False])


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


def slope(function, at):
    """Gradient of a sum with respect to a tensor, on any backend, also while it is compiled."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow

        with tensorflow.GradientTape() as tape:
            tape.watch(at)
            total = function(at)
        return tape.gradient(total, at)
    if backend == "jax":
        import jax

        return jax.grad(function)(at)
    at = at.detach().requires_grad_()
    function(at).backward()
    return at.grad


def gradient(loss, y_true, y_pred, **options):
    """Gradient of the summed loss with respect to `y_pred`, as NumPy."""
    options = {**loss.arguments, **options}
    at = ops.convert_to_tensor(y_pred)
    return ops.convert_to_numpy(slope(lambda at: ops.sum(type(loss).function(y_true, at, **options)), at))


@every_form
@every_shape
def test_equals_its_slow_twin(case, shape):
    y_true, y_pred = random_pair(shape)
    np.testing.assert_allclose(values(case.loss, y_true, y_pred), case.expected(y_true, y_pred), rtol=2e-5)


@every_form
@every_shape
def test_gradient_equals_finite_differences(case, shape):
    y_true, y_pred = random_pair(shape)
    slope = gradient(case.loss, y_true, y_pred)
    step, rng = 1e-5, np.random.default_rng(1)
    for _ in range(6):
        at = tuple(rng.integers(0, side) for side in shape)
        # The other images are none of this voxel's business.
        image = slice(at[0], at[0] + 1)
        higher, lower = (y_pred[image].astype("float64") for _ in range(2))
        higher[0, *at[1:]] += step
        lower[0, *at[1:]] -= step
        higher, lower = (case.expected(y_true[image], moved)[0] for moved in (higher, lower))
        np.testing.assert_allclose(slope[at], (higher - lower) / (2 * step), rtol=2e-3, atol=1e-6)


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
def test_value_and_gradient_are_finite_at_the_corners(case, channels):
    foreground, guess = corners()
    if channels == 2:
        foreground, guess = (np.concatenate([1 - x, x], axis=-1) for x in (foreground, guess))
    for over in ("image", "batch"):
        assert np.isfinite(values(case.loss, foreground, guess, over=over)).all()
        assert np.isfinite(gradient(case.loss, foreground, guess, over=over)).all()


@every_loss
@pytest.mark.parametrize("rank", [2, 3])
def test_one_voxel_image(loss, rank):
    for label, guess in itertools.product((0.0, 1.0), (0.0, 0.4, 1.0)):
        y_true, y_pred = np.full((1,) * (rank + 2), label, "float32"), np.full((1,) * (rank + 2), guess, "float32")
        assert np.isfinite(values(loss, y_true, y_pred)).all()
        assert np.isfinite(gradient(loss, y_true, y_pred)).all()


@every_form
@every_shape
def test_a_perfect_prediction_costs_least(case, shape):
    y_true, y_pred = random_pair(shape)
    perfect = values(case.loss, y_true, y_true)
    np.testing.assert_allclose(perfect, case.least, atol=1e-4)
    assert (perfect < values(case.loss, y_true, y_pred)).all()


@every_case
def test_empty_masks_agreed_upon_cost_nothing(case):
    empty = np.zeros((2, 12, 12, 1), "float32")
    np.testing.assert_allclose(values(case.loss, empty, empty), case.least, atol=1e-4)


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


@of([case for case in CASES if not case.neighbours])
@pytest.mark.parametrize("shape", [SHAPES["2D"], SHAPES["2D classes"]], ids=["2D", "2D classes"])
def test_over_batch_is_as_if_the_batch_were_one_image(case, shape):
    y_true, y_pred = random_pair(shape)
    one_image = [x.reshape(1, -1, *shape[2:]) for x in (y_true, y_pred)]
    pooled = values(case.loss, y_true, y_pred, over="batch")
    np.testing.assert_allclose(pooled[:1], values(case.loss, *one_image), rtol=2e-6)


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


@every_loss
def test_a_mask_and_an_ignored_value_leave_out_what_either_names(loss):
    y_true, y_pred = random_pair()
    mask, ignored = np.random.default_rng(6).random((2, 3, 14, 13)) < 0.5
    both = values(loss, np.where(ignored[..., None], 255, y_true), y_pred, mask=mask, ignore_value=255)
    np.testing.assert_allclose(both, values(loss, y_true, y_pred, mask=mask & ~ignored), rtol=1e-6)


@of([case for case in CASES if not case.neighbours])
def test_ignoring_is_cutting_out(case):
    y_true, y_pred = random_pair()
    masked = y_true.copy()
    masked[:, :5] = 255
    np.testing.assert_allclose(
        values(case.loss, masked, y_pred, ignore_value=255),
        values(case.loss, y_true[:, 5:], y_pred[:, 5:]),
        rtol=1e-5,
    )


@every_case
def test_everything_ignored_is_finite(case):
    y_true, y_pred = np.full((2, 12, 12, 1), 255.0, "float32"), random_pair((2, 12, 12, 1))[1]
    np.testing.assert_allclose(values(case.loss, y_true, y_pred, ignore_value=255), case.least, atol=1e-4)
    assert (gradient(case.loss, y_true, y_pred, ignore_value=255) == 0).all()


@of([case for case in CASES if case.mean_of_classes])
def test_class_weights_are_a_weighted_mean_over_classes(case):
    y_true, y_pred = random_pair(SHAPES["2D classes"])
    single = np.stack([values(case.loss, y_true[..., c : c + 1], y_pred[..., c : c + 1]) for c in range(3)], axis=-1)
    expected = (single * [1, 0, 3]).sum(-1) / 4
    np.testing.assert_allclose(values(case.loss, y_true, y_pred, class_weights=[1, 0, 3]), expected, rtol=1e-5)


@of([case for case in CASES if not case.mean_of_classes])
def test_class_weights_multiply_cross_entropies_and_weight_the_mean_of_overlaps(case):
    y_true, y_pred = random_pair(SHAPES["3D classes"])

    def parts(weights):
        """The part that is proportional to the weights, and the part that does not know their scale."""
        once, twice = (values(case.loss, y_true, y_pred, class_weights=factor * np.array(weights)) for factor in (1, 2))
        return twice - once, 2 * once - twice

    (sums, means), of_class = parts([1, 0, 3]), [parts(weights) for weights in np.eye(3)]
    np.testing.assert_allclose(sums, of_class[0][0] + 3 * of_class[2][0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(means, (of_class[0][1] + 3 * of_class[2][1]) / 4, rtol=1e-4, atol=1e-6)
    unweighted = values(case.loss, y_true, y_pred)
    np.testing.assert_allclose(values(case.loss, y_true, y_pred, class_weights=[1, 1, 1]), unweighted, rtol=1e-6)


@every_case
def test_background_is_channel_zero_and_only_where_there_are_classes(case):
    loss = case.loss
    y_true, y_pred = random_pair(SHAPES["2D classes"])
    without = values(loss, y_true, y_pred, include_background=False)
    background = -(y_true[..., 0] * np.log(y_pred[..., 0])).mean(axis=(1, 2))
    expected = values(loss, y_true, y_pred, class_weights=[0, 1, 1]) + case.whole_crossentropy * background
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


NAMED = {case.loss.name: case.loss for case in CASES}


def for_all(run, named):
    """`run(named)`; if it fails, the error names each loss with which it fails alone."""
    try:
        return run(named)
    except Exception as error:
        failures = {}
        for name, loss in named.items():
            try:
                run({name: loss})
            except Exception as alone:
                failures[name] = f"{type(alone).__name__}: {alone}"
        raise AssertionError(f"These losses fail alone: {failures or 'none'}") from error


def differing(results, others, **tolerance):
    """Names of the losses with different results, and by how much they differ at most."""
    return {
        name: np.abs(result - others[name]).max()
        for name, result in results.items()
        if not np.isfinite(result).all() or not np.allclose(result, others[name], **tolerance)
    }


def all_values_and_gradients(named, batches, compile_options, **options):
    """Values and gradients of all losses, compiled as one function, for each of some batches; by name, flat."""

    def step(y_true, y_pred):
        results = {}
        for name, loss in named.items():

            def each(at, loss=loss):
                return type(loss).function(y_true, at, **{**loss.arguments, **options})

            results[name] = each(y_pred), slope(lambda at, each=each: ops.sum(each(at)), y_pred)
        return results

    if keras.backend.backend() == "tensorflow":
        import tensorflow

        step = tensorflow.function(step, **compile_options(tensorflow))
    elif keras.backend.backend() == "jax":
        import jax

        step = jax.jit(step)
    results = [step(*map(ops.convert_to_tensor, batch)) for batch in batches]
    return {
        name: np.concatenate([ops.convert_to_numpy(part).ravel() for result in results for part in result[name]])
        for name in named
    }


def eager(named, batches, **options):
    """The same, one loss after the other and not compiled."""

    def parts(loss):
        for batch in batches:
            yield values(loss, *batch, **options)
            yield gradient(loss, *batch, **options).ravel()

    return {name: np.concatenate(list(parts(loss))) for name, loss in named.items()}


@pytest.mark.skipif(not COMPILES, reason="nothing is compiled")
@pytest.mark.parametrize("over", ["image", "batch"])
def test_jit_on_and_off_agree(over):
    def run(named):
        return all_values_and_gradients(named, [random_pair()], lambda tf: {"jit_compile": True}, over=over)

    assert not differing(for_all(run, NAMED), eager(NAMED, [random_pair()], over=over), rtol=1e-4, atol=1e-7)


def test_works_with_sizes_known_only_at_run_time():
    batches = [random_pair((2, side, side + 1, 1)) for side in (12, 20)]

    def unknown(tensorflow):
        return {"input_signature": [tensorflow.TensorSpec((None, None, None, 1))] * 2}

    def run(named):
        return all_values_and_gradients(named, batches, unknown, from_logits=True)

    assert not differing(for_all(run, NAMED), eager(NAMED, batches, from_logits=True), rtol=1e-4, atol=1e-7)


def network(names):
    """One model in which each name has layers of its own, all with the same weights."""
    images = keras.Input((12, 12, 1))
    start, outputs = keras.initializers.HeNormal(seed=0), {}
    for name in names:
        x = keras.layers.Conv2D(2, 3, padding="same", activation="relu", kernel_initializer=start)(images)
        last = keras.layers.Conv2D(1, 1, activation="sigmoid", kernel_initializer=start, dtype="float32", name=name)
        outputs[name] = last(x)
    return keras.Model(images, outputs)


def train(named, **compile_options):
    """Two steps of gradient descent, for all losses at once; by name, what the loss was in each step.

    The second depends on the gradient, which does not reach the layers of other losses.
    """
    model = network(named)
    model.compile(keras.optimizers.SGD(0.5), loss=named, **compile_options)
    y_true, images = random_pair((4, 12, 12, 1))
    steps = []
    for _ in range(2):
        model.reset_metrics()
        steps.append(model.train_on_batch(images, dict.fromkeys(named, y_true), return_dict=True))
    return {name: np.array([float(step.get(f"{name}_loss", step["loss"])) for step in steps]) for name in named}


@pytest.fixture(scope="module")
def in_float32():
    result = for_all(lambda named: train(named, run_eagerly=True), NAMED)
    assert all(first != second for first, second in result.values())
    return result


# Compiled where half precision needs a scaled loss.
@pytest.mark.parametrize(("policy", "eagerly"), [("mixed_float16", False), ("mixed_bfloat16", True)])
def test_trains_under_mixed_precision(policy, eagerly, in_float32):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        result = for_all(lambda named: train(named, run_eagerly=eagerly), NAMED)
    finally:
        keras.config.set_dtype_policy(before)
    # bfloat16 has three digits; the change from the first step to the second is that of the gradient.
    assert not differing(result, in_float32, rtol=0.03, atol=0.003)
    changes, expected = ({name: np.diff(steps) for name, steps in each.items()} for each in (result, in_float32))
    assert not differing(changes, expected, rtol=0.3, atol=1e-3)


@every_loss
def test_configuration_is_complete_and_round_trips(loss):
    changed = type(loss)(over="batch", class_weights=[1.0, 2.0], ignore_value=7, dtype="float64", name="mine")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(changed))
    assert again.get_config() == changed.get_config()
    assert again.dtype == "float64"
    assert (again.over, again.ignore_value, again.name) == ("batch", 7, "mine")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folder of a saved model in which each loss is attached as a class and as a function, with expected values."""
    folder = tmp_path_factory.mktemp("saved")
    named = {f"{name}-class": loss for name, loss in NAMED.items()}
    named |= {f"{name}-function": type(loss).function for name, loss in NAMED.items()}
    y_true, images = random_pair((2, 12, 12, 1))
    model = network(named)
    # Metrics are found as losses are.
    model.compile("sgd", loss=named, metrics={"dice-class": [keras_uq.metrics.DiceMetric()]}, run_eagerly=True)
    model.save(folder / "model.keras")
    outputs = model(images)
    expected = [float(ops.convert_to_numpy(ops.mean(loss(y_true, outputs[name])))) for name, loss in named.items()]
    np.savez(folder / "problem.npz", y_true=y_true, images=images, names=list(named), expected=expected)
    return folder


# Keras finds a saved loss whichever of the two packages was imported first.
@pytest.mark.parametrize("imports", ["import keras_uq, keras", "import keras, keras_uq"])
def test_every_saved_loss_loads_in_a_fresh_process(imports, saved):
    script = f"""
{imports}
import numpy as np
y_true, images, names, expected = np.load("problem.npz").values()
model = keras.saving.load_model("model.keras", safe_mode=True)
outputs = model(images)
for name, value in zip(names.tolist(), expected, strict=True):
    loaded = float(keras.ops.convert_to_numpy(keras.ops.mean(model.loss[name](y_true, outputs[name]))))
    assert abs(loaded - value) <= 1e-5 * max(abs(value), 1), (name, loaded, value)
print("all loaded")
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=saved, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "all loaded", done.stderr[-2000:]


BAD_PAIRS = {
    "no class axis": ((3, 8, 8), (3, 8, 8, 1), "Add the class axis"),
    "integer labels": ((3, 8, 8), (3, 8, 8, 4), "one_hot"),
    "label channel": ((3, 8, 8, 1), (3, 8, 8, 4), "one_hot"),
    "other size": ((3, 8, 9, 1), (3, 8, 8, 1), "Check the shapes"),
    "no spatial axis": ((3, 1), (3, 1), "Check the shapes"),
}


@pytest.mark.parametrize(("true", "pred", "fix"), BAD_PAIRS.values(), ids=BAD_PAIRS)
def test_wrong_shapes_say_what_was_expected_what_came_and_the_fix(true, pred, fix):
    with pytest.raises(ValueError, match="^dice expects `y_true`") as caught:
        losses.dice(np.zeros(true, "float32"), np.zeros(pred, "float32"))
    assert f"Received: y_true.shape={true}, y_pred.shape={pred}." in str(caught.value)
    assert fix in str(caught.value).partition("Received: ")[2]


@every_loss
def test_every_loss_checks_shapes(loss):
    with pytest.raises(ValueError, match="expects `y_true`.*one_hot") as caught:
        values(loss, np.zeros((3, 8, 8, 1), "float32"), np.zeros((3, 8, 8, 4), "float32"))
    # Its own name or that of one of its parts.
    assert str(caught.value).split(" expects")[0] in losses.__all__


@every_loss
def test_wrong_options_are_refused(loss):
    y_true, y_pred = random_pair(SHAPES["2D classes"])
    with pytest.raises(ValueError, match=f"{type(loss).__name__} expects `over`.*Received: over='volume'"):
        type(loss)(over="volume")
    for weights in ([1, 2], [1, -1, 1], [0, 0, 0]):
        with pytest.raises(ValueError, match="`class_weights`.*Received: .*class_weights=|leave no class to count"):
            values(loss, y_true, y_pred, class_weights=weights)
    with pytest.raises(ValueError, match=r"expects `mask` of shape.*mask.shape=\(3, 14, 13, 3\)"):
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
    for loss in (case.loss for case in CASES):
        expected = {name for name, losses_without in left_out.items() if loss.name in losses_without.split()}
        assert set(loss.arguments) - set(loss.get_config()) == expected


def test_the_battery_leaves_no_loss_out():
    public = {name for name in losses.__all__ if isinstance(getattr(losses, name), type)}
    public -= {"SegmentationLoss", "TverskyCEWeights"}
    assert public == {type(case.loss).__name__ for case in CASES}
    assert keras_uq.losses is losses
