"""What one predictor refuses, all refuse; and a deterministic prediction is deterministic whatever the model holds."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_uq.inference import Ensemble, MCDropout, Predictor, SlidingWindow, TemperatureScaling
from keras_uq.inference._forward import deterministic

IMAGES = np.random.default_rng(0).random((3, 8, 8, 1)).astype("float32")
NAN = float("nan")


def network(*middle, shape=(None, None, 1), activation="sigmoid", classes=1):
    inputs = keras.Input(shape)
    x = layers.Conv2D(2, 3, padding="same", kernel_initializer=keras.initializers.HeNormal(seed=0))(inputs)
    for layer in middle:
        x = layer(x)
    last = layers.Conv2D(classes, 1, activation=activation, kernel_initializer=keras.initializers.HeNormal(seed=1))
    return keras.Model(inputs, last(x), name="network")


def sampled(**options):
    return network(layers.Dropout(0.3), **options)


MAKE = {
    "MCDropout": lambda model: MCDropout(model, samples=2, seed=0),
    "Ensemble": lambda model: Ensemble([model]),
    "Ensemble of MCDropout": lambda model: Ensemble([MCDropout(model, samples=2, seed=0)]),
    "SlidingWindow": lambda model: SlidingWindow(model, (8, 8)),
    "SlidingWindow of MCDropout": lambda model: SlidingWindow(MCDropout(model, samples=2, seed=0), (8, 8)),
    "TemperatureScaling": lambda model: TemperatureScaling(Ensemble([model]), 1.5),
}


@pytest.fixture(scope="module")
def predictors():
    model = sampled()
    return {kind: make(model) for kind, make in MAKE.items()}


def with_value(value, kind="float32"):
    images = IMAGES.astype(kind)
    images[1, :4] = value
    return images


BAD_IMAGES = {
    "one image": (IMAGES[0], r"shape=\(8, 8, 1\).*images\[None\]"),
    "no channel axis": (IMAGES[..., 0], r"4 axes.*shape=\(3, 8, 8\)"),
    "too many axes": (IMAGES[None], r"4 axes.*shape=\(1, 3, 8, 8, 1\)"),
    "other channels": (np.repeat(IMAGES, 3, -1), r"\(images, any, any, 1\).*shape=\(3, 8, 8, 3\)"),
    "no image": (IMAGES[:0], r"no image.*shape=\(0, 8, 8, 1\)"),
    "no row": (IMAGES[:, :0], r"at least one voxel.*shape=\(3, 0, 8, 1\)"),
    "NaN": (with_value(NAN), r"finite.*50.00% of the values of image 1 .*1 of 3 images"),
    "infinite": (with_value(-np.inf), "finite.*50.00% of the values of image 1 "),
    "beyond float32": (with_value(1e300, "float64"), "finite.*50.00% of the values of image 1 .*float32"),
    "half precision NaN": (with_value(NAN, "float16"), "finite.*image 1 "),
    "text": (np.full((1, 8, 8, 1), "1"), "real numbers.*<U1"),
    "objects": (np.full((1, 8, 8, 1), None), "real numbers.*object"),
    "complex": (IMAGES.astype("complex64"), "real numbers.*complex64"),
    "nothing": (None, "real numbers.*None"),
    "ragged": ([[[[1.0]]], [[[1.0], [2.0]]]], "array of numbers.*inhomogeneous"),
    "masked": (np.ma.masked_less(IMAGES, 0.5), "masked.*filled"),
    "times": (np.zeros((1, 8, 8, 1), "datetime64[s]"), "real numbers.*datetime64"),
}


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("fault", BAD_IMAGES)
def test_no_predictor_takes_bad_images(predictors, kind, fault):
    images, expected = BAD_IMAGES[fault]
    with pytest.raises(ValueError, match=f"(?s){expected}"):
        predictors[kind].predict(images)
    if hasattr(predictors[kind], "draw") and fault != "other channels":
        with pytest.raises(ValueError, match=f"(?s){expected}"):
            predictors[kind].draw(images)  # At the call, not at the first sample.


@pytest.mark.parametrize("kind", MAKE)
def test_no_predictor_takes_bad_options(predictors, kind):
    for batch_size in (0, -1, 1.5, "2", None, True, NAN):
        with pytest.raises(ValueError, match=f"expects `batch_size` .*at least 1. Received: batch_size={batch_size!r}"):
            predictors[kind].predict(IMAGES, batch_size=batch_size)
    for case in (-1, 0.5, "a", None):
        with pytest.raises(ValueError, match=f"expects `case` .*at least 0. Received: case={case!r}"):
            predictors[kind].predict(IMAGES, case=case)


@pytest.mark.parametrize("kind", MAKE)
def test_every_predictor_takes_numbers_in_any_form(predictors, kind):
    predictor = predictors[kind]
    assert isinstance(predictor, Predictor)
    expected = predictor.predict(IMAGES).mean
    np.testing.assert_array_equal(predictor.predict(IMAGES.tolist(), np.int64(8), np.uint32(0)).mean, expected)
    for form in ("float64", "longdouble", ">f4"):
        np.testing.assert_array_equal(predictor.predict(IMAGES.astype(form)).mean, expected)
    np.testing.assert_array_equal(predictor.predict(ops.convert_to_tensor(IMAGES)).mean, expected)
    whole = np.arange(192).reshape(IMAGES.shape)
    np.testing.assert_array_equal(
        predictor.predict(whole.astype("uint8")).mean, predictor.predict(whole.astype("float32")).mean
    )
    assert predictor.predict(ops.cast(IMAGES, "bfloat16")).mean.dtype == np.float32


class Returning(layers.Layer):
    """Replaces the features by one value, in the shape of the image or in another."""

    def __init__(self, value=None, pool=1, kind=None, **options):
        super().__init__(**options)
        self.value, self.pool, self.kind = value, pool, kind

    def call(self, x):
        x = x[:, :: self.pool, :: self.pool]
        x = x if self.value is None else ops.full_like(x, self.value)
        return x if self.kind is None else ops.cast(x, self.kind)

    def compute_output_spec(self, x):
        batch, *_, channels = x.shape
        return keras.KerasTensor((batch, None, None, channels), self.kind or x.dtype)


def returning(*last, classes=1, **options):
    inputs = keras.Input((None, None, 1))
    x = layers.Conv2D(classes, 1, activation="sigmoid")(layers.Dropout(0.3)(inputs))
    for layer in last:
        x = layer(x)
    return keras.Model(inputs, x)


BAD_MODELS = {
    "logits": (lambda: returning(layers.Rescaling(30.0)), r"probabilities in \[0, 1\].*logits"),
    "negative": (lambda: returning(layers.Rescaling(-1.0)), r"probabilities in \[0, 1\].*logits"),
    "NaN": (lambda: returning(Returning(NAN)), "returns NaN for finite images.*weights.*100.00%"),
    "infinite": (lambda: returning(Returning(np.inf)), r"probabilities in \[0, 1\].*to inf"),
    "half the size": (
        lambda: returning(Returning(pool=2)),
        r"each voxel.*\(\d, 4, 4, 1\) for images of shape \(\d, 8, 8",
    ),
    "a vector": (lambda: returning(layers.GlobalAveragePooling2D()), r"each voxel.*shape \(\d, 1\)"),
    "independent channels": (lambda: returning(classes=3), "3 classes must sum to 1.*multilabel=True"),
    "class numbers": (lambda: returning(Returning(1, kind="int32")), "int32.*arg-max"),
    "features": (lambda: returning(layers.Softmax(), classes=300), "at most 256 classes.*300"),
}


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("fault", BAD_MODELS)
def test_no_predictor_takes_what_is_no_distribution(kind, fault):
    make, expected = BAD_MODELS[fault]
    with pytest.raises(ValueError, match=f"(?s){expected}"):
        MAKE[kind](make()).predict(IMAGES)


@pytest.mark.parametrize("kind", MAKE)
def test_errors_of_keras_say_the_shape_and_the_multiple(kind):
    inputs = keras.Input((None, None, 1))
    down = layers.MaxPooling2D(2)(layers.Dropout(0.3)(inputs))
    joined = layers.Concatenate()([layers.UpSampling2D(2)(down), inputs])
    model = keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(joined))
    odd = np.zeros((1, 7, 7, 1), "float32")
    expected = r"shape \(1, 7, 7, 1\): Dimension 1 in both [^\x1b\n{]*multiple[^\n]*Preprocessing\(multiple=16\)"
    with pytest.raises(ValueError, match=expected):
        if "Window" in kind:
            SlidingWindow(MCDropout(model, 2, 0) if "MC" in kind else model, (7, 7)).predict(odd)
        else:
            MAKE[kind](model).predict(odd)
    assert not any("call" in vars(layer) for layer in model.layers)


class Failing(layers.Layer):
    """Fails when it predicts, for a reason that has nothing to do with sizes."""

    def call(self, x):
        raise RuntimeError("no licence\nfor this layer")

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


@pytest.mark.parametrize("kind", MAKE)
def test_errors_of_custom_code_are_errors_of_this_prediction(kind):
    with pytest.raises(ValueError, match=r"cannot predict images of shape \(\d, 8, 8, 1\): no licence\.$") as error:
        MAKE[kind](returning(Failing())).predict(IMAGES)
    assert error.value.__cause__ is not None


@pytest.mark.parametrize("kind", MAKE)
def test_an_overshoot_of_rounding_is_clipped(kind):
    maps = MAKE[kind](returning(Returning(1 + 2e-6))).predict(IMAGES)
    assert maps.mean.max() <= 1
    assert MAKE[kind](returning(Returning(-2e-6))).predict(IMAGES).mean.min() >= 0
    with pytest.raises(ValueError, match=r"from 1.0001 to 1.0001"):
        MAKE[kind](returning(Returning(1 + 1e-4))).predict(IMAGES)


WRONG_MODELS = {
    "nothing": (lambda: None, "Keras model. Received: None"),
    "a class": (lambda: keras.Model, "Keras model.*instance"),
    "a number": (lambda: 3, "Keras model. Received: 3"),
    "not built": (lambda: keras.Sequential([layers.Dropout(0.2)]), "built model"),
    "two inputs": (
        lambda: keras.Model([a := keras.Input((8, 8, 1)), b := keras.Input((8, 8, 1))], layers.Dropout(0.2)(a + b)),
        "one input.*2 inputs",
    ),
    "two outputs": (
        lambda: keras.Model(a := keras.Input((8, 8, 1)), [layers.Dropout(0.2)(a), a]),
        "one output.*2 outputs",
    ),
}


@pytest.mark.parametrize("fault", WRONG_MODELS)
def test_models_are_checked_when_a_predictor_is_made(fault):
    make, expected = WRONG_MODELS[fault]
    for predictor in (MCDropout, lambda model: Ensemble([sampled(), model])):
        with pytest.raises(ValueError, match=expected):
            predictor(make())


def test_each_predictor_says_what_it_takes(tmp_path):
    model = sampled()
    with pytest.raises(ValueError, match=r"load_model\('m.keras'\)"):
        MCDropout("m.keras")
    with pytest.raises(ValueError, match=r"Ensemble\(\[model\]\)"):
        Ensemble(model)
    with pytest.raises(ValueError, match="list of models. Received: 'm.keras'"):
        Ensemble("m.keras")
    with pytest.raises(ValueError, match="model 1: there is no model file .*none.keras"):
        Ensemble([model, tmp_path / "none.keras"])
    with pytest.raises(ValueError, match="list of models. Received: {'a'"):
        Ensemble({"a": model})
    with pytest.raises(ValueError, match="SlidingWindow takes an MCDropout.*class"):
        SlidingWindow(MCDropout, (8, 8))
    with pytest.raises(ValueError, match="model 0 expects a Keras model.*MCDropout"):
        Ensemble([MCDropout])
    for value in (0, 2.5, "3", None, True):
        with pytest.raises(ValueError, match=f"MCDropout expects `samples` .*samples={value!r}"):
            MCDropout(model, value)
    for value in (-5, 1.5, "a", True):
        with pytest.raises(ValueError, match=f"MCDropout expects `seed` .*seed={value!r}"):
            MCDropout(model, 2, value)
    for name in ("shared", "multilabel"):
        with pytest.raises(ValueError, match=f"MCDropout expects `{name}` to be true or false"):
            MCDropout(model, **{name: "no"})
    with pytest.raises(ValueError, match="deterministic_layers.*'LSTM'"):
        MCDropout(model, deterministic_layers="LSTM")
    with pytest.raises(ValueError, match=r"TemperatureScaling expects a predictor.*Ensemble\(\[model\]\)"):
        TemperatureScaling(model, 1.5)
    with pytest.raises(ValueError, match="SlidingWindow takes an MCDropout.*Received: 'm.keras'"):
        SlidingWindow("m.keras", (8, 8))
    with pytest.raises(ValueError, match=r"one side per spatial axis of the model, which has 2.*\(8, 8, 8\)"):
        SlidingWindow(model, (8, 8, 8))
    with pytest.raises(ValueError, match=r"`window` to be \(16, 16\), the input of the model.*\(8, 8\)"):
        SlidingWindow(MCDropout(sampled(shape=(16, 16, 1)), 2), (8, 8))


def test_a_window_beyond_memory_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", "1M")
    with pytest.raises(ValueError, match="one window of .*limit"):
        SlidingWindow(sampled(), (1024, 1024))


class Forced(layers.Layer):
    """A custom layer that always trains the layer in it."""

    def __init__(self, inner, **options):
        super().__init__(**options)
        self.inner = inner

    def call(self, x):
        return self.inner(x, training=True)


class Always(layers.Dropout):
    """Dropout at inference, as many tutorials write it."""

    def call(self, x, training=False):
        return super().call(x, training=True)


class Recurrent(layers.Layer):
    """An LSTM over the rows, with dropout that its author has forced."""

    def __init__(self, rate, **options):
        super().__init__(**options)
        self.lstm = layers.LSTM(
            2, dropout=rate, return_sequences=True, kernel_initializer=keras.initializers.HeNormal(seed=2)
        )
        self.lstm.build((None, None, 2))

    def call(self, x):
        rows = ops.reshape(x, (-1, ops.shape(x)[2], 2))
        return ops.reshape(self.lstm(rows, training=True), ops.shape(x))


ACTING = {
    "dropout": lambda: Forced(layers.Dropout(0.5)),
    "spatial dropout": lambda: Forced(layers.SpatialDropout2D(0.5)),
    "Gaussian dropout": lambda: Forced(layers.GaussianDropout(0.5)),
    "alpha dropout": lambda: Forced(layers.AlphaDropout(0.5)),
    "noise": lambda: Forced(layers.GaussianNoise(0.5)),
    "flips": lambda: Forced(layers.RandomFlip()),
    "rotations": lambda: Forced(layers.RandomRotation(0.4)),
    "a subclass": lambda: Always(0.5),
}


def acts(model):
    """Whether a model is random when Keras predicts with it."""
    return np.std([model.predict_on_batch(IMAGES) for _ in range(8)], axis=0).max() > 1e-3


@pytest.mark.parametrize("kind", ACTING)
@pytest.mark.parametrize("window", [False, True])
def test_a_deterministic_prediction_is_one_whatever_acts_in_the_model(kind, window):
    keras.utils.set_random_seed(0)
    model, without = network(ACTING[kind]()), network()
    without.set_weights([variable.numpy() for variable in model.trainable_variables])
    assert acts(model)
    before = [np.array(variable) for variable in model.variables]
    predictor = SlidingWindow(model, (8, 8)) if window else Ensemble([model])
    first, again = predictor.predict(IMAGES).mean, predictor.predict(IMAGES).mean
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first, without.predict_on_batch(IMAGES), atol=1e-6)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert acts(model)  # It is left as it was.


def test_recurrent_dropout_rests_too():
    keras.utils.set_random_seed(0)
    model, without = network(Recurrent(0.5)), network(Recurrent(0.0))
    without.set_weights([variable.numpy() for variable in model.variables if "seed" not in variable.path])
    predictor = Ensemble([model])
    np.testing.assert_array_equal(predictor.predict(IMAGES).mean, predictor.predict(IMAGES).mean)
    np.testing.assert_allclose(predictor.predict(IMAGES).mean, Ensemble([without]).predict(IMAGES).mean, atol=1e-6)


def test_noise_rests_while_dropout_is_sampled():
    keras.utils.set_random_seed(0)
    # Noise in the part before the first dropout, which is computed once, and in the part behind it.
    noise = [Forced(layers.GaussianNoise(0.9)) for _ in range(2)]
    noisy, plain = network(noise[0], Always(0.5), noise[1]), network(Always(0.5))
    plain.set_weights([variable.numpy() for variable in noisy.variables if "seed" not in variable.path])
    maps, expected = (MCDropout(model, samples=3, seed=0).predict(IMAGES) for model in (noisy, plain))
    np.testing.assert_allclose(maps.mean, expected.mean, atol=1e-6)
    assert maps.std.max() > 1e-3


class Drawing(layers.Layer):
    """Draws random numbers without a seed that Keras could see in the layer."""

    def call(self, x):
        return x + keras.random.normal(ops.shape(x))


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("where", ["before", "behind", "in a Lambda"])
def test_random_numbers_of_custom_code_are_noticed(kind, where):
    drawing = layers.Lambda(Drawing().call, name="Drawing") if where == "in a Lambda" else Drawing()
    middle = [drawing, layers.Dropout(0.3)]
    model = network(*middle if where == "before" else middle[::-1])
    with pytest.raises(ValueError, match=r"two predictions of the same images differ.*(Drawing|Lambda)"):
        MAKE[kind](model).predict(IMAGES)


def test_a_model_of_keras_layers_is_predicted_as_it_is():
    model = sampled()
    assert deterministic(model) is model


@pytest.mark.parametrize("make", [lambda model: Ensemble([model]), lambda model: MCDropout(model, 2, 0)])
def test_only_custom_code_is_predicted_twice(make, monkeypatch):
    calls = []
    real = keras.Model.predict_on_batch
    monkeypatch.setattr(keras.Model, "predict_on_batch", lambda self, x: calls.append(self.name) or real(self, x))

    def count(predictor):
        calls.clear()
        predictor.predict(IMAGES)
        return len(calls)

    class Plain(layers.Layer):
        def call(self, x):
            return 2 * x

    usual, custom = make(sampled()), make(network(Plain(), layers.Dropout(0.3)))
    once = count(usual)
    assert count(usual) == once
    assert count(custom) > once
    assert count(custom) == once  # The second call checks no more.


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", MAKE)
def test_half_precision_gives_distributions_in_float32(policy, kind):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        maps = MAKE[kind](sampled(activation="softmax", classes=40)).predict(IMAGES)
    finally:
        keras.config.set_dtype_policy(before)
    assert maps.mean.dtype == maps.entropy.dtype == maps.std.dtype == np.float32
    np.testing.assert_allclose(maps.mean.sum(-1, dtype="float64"), 1, atol=2e-6)


def test_members_of_other_classes_are_refused():
    pair = [sampled(), sampled(activation="softmax", classes=2)]
    with pytest.raises(ValueError, match=r"samples of one shape, \(3, 8, 8, 1\).*\(3, 8, 8, 2\) as sample 1"):
        Ensemble(pair).predict(IMAGES)
