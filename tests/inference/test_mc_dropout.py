"""Monte Carlo dropout: only dropout is random, everything else rests, and the sums are right."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_uq import models
from keras_uq.inference import MCDropout
from keras_uq.inference._sampler import Twin


@keras.saving.register_keras_serializable("test")
class InnerDropout(layers.Layer):
    """A custom layer with a dropout layer inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dropout(0.5)

    def call(self, x, training=False):
        return self.inner(x, training=training)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = layers.Conv2D(4, 3, padding="same")
        self.norm = layers.BatchNormalization()
        self.drop = InnerDropout()
        self.last = layers.Conv2D(1, 1, activation="sigmoid")

    def call(self, x, training=False):
        x = self.norm(self.first(x), training=training)
        return self.last(self.drop(x, training=training))


def functional(*middle, classes=1):
    inputs = keras.Input((16, 16, 1))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    x = layers.BatchNormalization()(x)
    for layer in middle:
        x = layer(x)
    return keras.Model(inputs, layers.Conv2D(classes, 1, activation="softmax" if classes > 1 else "sigmoid")(x))


def forced():
    inputs = keras.Input((16, 16, 1))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(layers.Dropout(0.5)(x, training=True)))


def shared_layer():
    inputs = keras.Input((16, 16, 1))
    convolution, drop = layers.Conv2D(1, 3, padding="same", activation="sigmoid"), layers.Dropout(0.5)
    return keras.Model(inputs, convolution(drop(convolution(drop(inputs)))))


def built(model):
    model(np.zeros((1, 16, 16, 1), "float32"))
    return model


KINDS = {
    "functional": lambda: functional(layers.Dropout(0.5)),
    "sequential": lambda: keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(4, 3, padding="same"),
            layers.Dropout(0.5),
            layers.Conv2D(1, 1, activation="sigmoid"),
        ]
    ),
    "nested": lambda: functional(functional_block()),
    "subclassed": lambda: built(Subclassed()),
    "inside a custom layer": lambda: functional(InnerDropout()),
    "spatial": lambda: functional(layers.SpatialDropout2D(0.5)),
    "gaussian": lambda: functional(layers.GaussianDropout(0.5)),
    "alpha": lambda: functional(layers.AlphaDropout(0.5)),
    "time distributed": lambda: functional(layers.TimeDistributed(layers.Dropout(0.5))),
    "attention": lambda: functional(layers.Reshape((256, 4)), SelfAttention(), layers.Reshape((16, 16, 4))),
    "forced on by its author": forced,
    "shared layer": shared_layer,
    "two classes": lambda: functional(layers.Dropout(0.5), classes=3),
    "rate below one byte": lambda: functional(layers.Dropout(0.001), layers.Dropout(0.5)),
}


class SelfAttention(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(2, 2, dropout=0.5)

    def build(self, shape):
        self.attention.build(shape, shape)

    def call(self, x, training=False):
        return self.attention(x, x, training=training)


def functional_block():
    inputs = keras.Input((16, 16, 4))
    return keras.Model(inputs, layers.Dropout(0.5)(layers.BatchNormalization()(inputs)))


def images(count=5, seed=0):
    return np.random.default_rng(seed).normal(2, 1, (count, 16, 16, 1)).astype("float32")


def state(model):
    return [ops.convert_to_numpy(variable).copy() for variable in model.variables]


@pytest.mark.parametrize("kind", KINDS)
def test_any_model_is_sampled_and_left_as_it_was(kind):
    model = KINDS[kind]()
    before, output = state(model), None
    if kind != "forced on by its author":
        output = model.predict_on_batch(images())
    before = state(model)
    maps = MCDropout(model, samples=4, seed=1).predict(images())
    assert maps.std.max() > 1e-4
    for old, new in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not any("call" in vars(layer) for layer in model._flatten_layers())
    if output is not None:
        np.testing.assert_array_equal(model.predict_on_batch(images()), output)


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_maps_and_another_seed_others(kind):
    model = KINDS[kind]()
    first, again = (MCDropout(model, samples=3, seed=7).predict(images()) for _ in range(2))
    other = MCDropout(model, samples=3, seed=8).predict(images())
    np.testing.assert_array_equal(first.mean, again.mean)
    np.testing.assert_array_equal(first.std, again.std)
    assert np.abs(first.mean - other.mean).max() > 1e-5


def test_another_case_has_other_masks():
    predictor = MCDropout(KINDS["functional"](), samples=2, seed=0)
    assert np.abs(predictor.predict(images(), case=0).mean - predictor.predict(images(), case=1).mean).max() > 1e-4


@pytest.mark.parametrize("kind", ["functional", "two classes", "subclassed"])
def test_streamed_moments_are_those_of_the_stacked_samples(kind):
    predictor = MCDropout(KINDS[kind](), samples=12, seed=3)
    maps = predictor.predict(images(), batch_size=5)
    stack = np.stack(list(predictor.draw(images(), batch_size=5))).astype("float64")
    assert len(stack) == maps.samples == 12
    np.testing.assert_allclose(maps.mean, stack.mean(0), atol=1e-6)
    np.testing.assert_allclose(maps.variance, stack.var(0), atol=1e-6)
    np.testing.assert_allclose(maps.std, stack.std(0), atol=1e-5)

    def entropy(p):
        p = np.concatenate([1 - p, p], -1) if p.shape[-1] == 1 else p
        return -(p * np.log(p)).sum(-1)

    np.testing.assert_allclose(maps.entropy, entropy(stack.mean(0)), atol=1e-5)
    np.testing.assert_allclose(maps.expected_entropy, entropy(stack).mean(0), atol=1e-5)
    information = entropy(stack.mean(0)) - entropy(stack).mean(0)
    np.testing.assert_allclose(maps.mutual_information, information, atol=2e-6)
    assert (maps.mutual_information >= 0).all()


def test_batch_normalisation_and_augmentation_rest():
    keras.utils.set_random_seed(0)
    model = functional(
        *(layers.Dropout(1e-9), layers.BatchNormalization()),
        *(layers.RandomFlip(), layers.RandomRotation(0.2), layers.GaussianNoise(0.9)),
    )
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    assert len(norms) == 2  # One before the first dropout, one after it.
    for norm in norms:
        norm.moving_mean.assign(ops.ones(4) * 0.3)
    predictor = MCDropout(model, samples=5, seed=0)
    expected = model.predict_on_batch(images())
    # With hardly any dropout every sample is the deterministic prediction, also for a batch of unusual images.
    for sample in predictor.draw(images()):
        np.testing.assert_allclose(sample, expected, atol=1e-6)


def test_shared_masks_do_not_depend_on_batches_and_make_identical_slices_identical():
    model = KINDS["functional"]()
    volume = np.repeat(images(1), 6, axis=0)
    shared = MCDropout(model, samples=3, seed=0)
    for sample in shared.draw(volume, batch_size=4):
        np.testing.assert_allclose(sample, np.repeat(sample[:1], 6, axis=0), atol=1e-6)
    np.testing.assert_allclose(
        shared.predict(images(6), batch_size=2).mean, shared.predict(images(6), batch_size=5).mean, atol=2e-6
    )
    own = next(MCDropout(model, samples=1, seed=0, shared=False).draw(volume, batch_size=3))
    # In a batch, and from one batch to the next.
    assert np.abs(own[0] - own[1]).max() > 1e-3
    assert np.abs(own[0] - own[3]).max() > 1e-3


def test_layers_have_masks_of_their_own():
    inputs = keras.Input((16, 16, 1))
    twice = layers.Dropout(0.5)(layers.Dropout(0.5)(inputs))
    model = keras.Model(inputs, layers.Rescaling(0.25)(twice))
    (sample,) = MCDropout(model, samples=1, seed=0).draw(np.ones((1, 16, 16, 1), "float32"))
    # A voxel that both keep is 1 * 2 * 2 / 4; with one mask for both it would be half of them.
    assert set(np.unique(sample)) == {0, 1}
    assert 0.15 < sample.mean() < 0.35


@pytest.mark.parametrize("rate", [0.15, 0.5, 0.9, 0.001])
@pytest.mark.parametrize("kind", [layers.Dropout, layers.SpatialDropout2D, layers.GaussianDropout, layers.AlphaDropout])
def test_twins_keep_mean_and_spread_of_keras_layers(kind, rate):
    keras.utils.set_random_seed(0)
    layer = kind(rate)
    twin = Twin(layer, shared=False)
    # Many maps, since spatial dropout draws once a map.
    x = np.ones((256, 3, 3, 512), "float32")
    ours = ops.convert_to_numpy(twin(x))
    theirs = ops.convert_to_numpy(layer(x, training=True))
    np.testing.assert_allclose(ours.mean(), theirs.mean(), atol=0.05)
    # Eight bits round the rate by at most 1/512.
    np.testing.assert_allclose(ours.std(), theirs.std(), atol=0.08)


def test_spatial_dropout_drops_whole_maps_and_noise_shape_is_kept():
    x = np.ones((4, 8, 8, 64), "float32")
    whole = ops.convert_to_numpy(Twin(layers.SpatialDropout2D(0.5), shared=False)(x))
    assert (whole == whole[:, :1, :1]).all()
    first = layers.SpatialDropout2D(0.5, data_format="channels_first")
    rows = ops.convert_to_numpy(Twin(first, shared=False)(np.ones((4, 64, 8, 8), "float32")))
    assert (rows == rows[:, :, :1, :1]).all()
    assert len(np.unique(rows)) == 2
    given = ops.convert_to_numpy(Twin(layers.Dropout(0.5, noise_shape=(None, 1, None, 64)), shared=False)(x))
    assert (given == given[:, :1]).all()
    assert not (given == given[:, :, :1]).all()


def test_3d_and_unknown_sizes():
    model = models.unet((None, None, None, 1), filters=(2, 4), encoder_dropout=0.5)
    predictor = MCDropout(model, samples=3, seed=0)
    for sides in ((8, 8, 8), (4, 16, 8)):
        maps = predictor.predict(np.ones((2, *sides, 1), "float32"))
        assert maps.mean.shape == (2, *sides, 1)
        assert maps.entropy.shape == (2, *sides)
        assert maps.std.max() > 0


def test_mixed_precision_maps_are_float32():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        maps = MCDropout(models.kethavath2025((16, 16, 1), filters=2), samples=3, seed=0).predict(images())
        assert maps.mean.dtype == np.float32
        assert maps.std.max() > 0
    finally:
        keras.config.set_dtype_policy(before)


def test_the_stem_is_computed_once_and_changes_nothing():
    model = models.kethavath2025((16, 16, 1), filters=2)
    text = model.to_json()
    predictor = MCDropout(model, samples=2, seed=0)
    assert predictor._stem is not None
    whole = MCDropout(model, samples=2, seed=0)
    whole._stem, whole._sampler = None, type(predictor._sampler)(model, True)
    np.testing.assert_allclose(predictor.predict(images()).mean, whole.predict(images()).mean, atol=1e-6)
    assert model.to_json() == text
    assert keras.models.model_from_json(text).count_params() == model.count_params()


def test_sampling_between_epochs_leaves_training_bit_identical():
    def train(sample):
        keras.utils.set_random_seed(0)
        model = functional(layers.Dropout(0.5), layers.BatchNormalization(), layers.Dropout(0.3))
        model.compile("adam", loss="binary_crossentropy")
        predictor = MCDropout(model, samples=2, seed=0) if sample else None
        callback = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: predictor.predict(images()) if sample else None
        )
        labels = (images() > 2).astype("float32")
        model.fit(images(), labels, epochs=2, batch_size=5, shuffle=False, verbose=0, callbacks=[callback])
        return state(model)

    plain, sampled = train(False), train(True)
    for a, b in zip(plain, sampled, strict=True):
        np.testing.assert_array_equal(a, b)


def test_models_without_dropout_are_refused():
    with pytest.raises(ValueError, match="has none among its.*every sample would be the same"):
        MCDropout(functional())
    with pytest.raises(ValueError, match=r"\['.*'\] have rate 0"):
        MCDropout(functional(layers.Dropout(0.0)))
    with pytest.raises(ValueError, match="built model"):
        MCDropout(Subclassed())


class OwnRandom(layers.Layer):
    """Draws its masks itself."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(0)

    def call(self, x, training=False):
        return keras.random.dropout(x, 0.5, seed=self.generator) if training else x


def test_random_layers_of_unknown_kind_are_refused_unless_named():
    model = functional(OwnRandom(), layers.Dropout(0.5))
    with pytest.raises(ValueError, match="OwnRandom.*deterministic_layers"):
        MCDropout(model)
    assert MCDropout(model, samples=2, deterministic_layers=(OwnRandom,)).predict(images()).std.max() > 0


def test_recurrent_layers_are_refused_only_with_dropout_of_their_own():
    def with_lstm(rate):
        return functional(
            layers.Reshape((16, 64)), layers.LSTM(64, return_sequences=True, dropout=rate), layers.Reshape((16, 16, 4)),
            layers.Dropout(0.5),
        )  # fmt: skip

    MCDropout(with_lstm(0.0), samples=2)
    with pytest.raises(ValueError, match="LSTM"):
        MCDropout(with_lstm(0.3), samples=2)


def test_logits_and_empty_input_are_refused():
    inputs = keras.Input((16, 16, 1))
    logits = keras.Model(inputs, layers.Conv2D(1, 1)(layers.Dropout(0.5)(inputs)))
    with pytest.raises(ValueError, match="logits"):
        MCDropout(logits, samples=2).predict(100 * images())
    with pytest.raises(ValueError, match="no image"):
        MCDropout(KINDS["functional"](), samples=2).predict(images(0))
    two = keras.Model(inputs, [layers.Dropout(0.5)(inputs), inputs])
    with pytest.raises(ValueError, match="one output"):
        MCDropout(two, samples=2).predict(images())


def test_describe_names_what_is_needed_to_repeat():
    predictor = MCDropout(models.kethavath2025((16, 16, 1), filters=2), samples=3, seed=5)
    description = predictor.describe()
    assert (description["samples"], description["seed"]) == (3, 5)
    assert [layer["rate"] for layer in description["dropout_layers"]].count(0.15) == 2
    assert len(description["dropout_layers"]) == 8
    assert isinstance(MCDropout(predictor.model).seed, int)
