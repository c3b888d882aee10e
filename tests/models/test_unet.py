"""Parameter counts of every paper's network, shapes, and the errors of the builder."""

import keras
import numpy as np
import pytest

from keras_uq import models
from tests.reference import VALUES

COUNTS = VALUES["model_parameters"]["counts"]
NETWORKS = {
    "kethavath2025 U-Net (1 in, 1 out, 16..256, BN, ConvT 3x3)": lambda: models.kethavath2025(),
    "yeung2021 U-Net (3 in, 2 out, 32..512, instance norm, ConvT 2x2)": lambda: models.yeung2021(),
    "mehrtash2020 U-Net prostate Dice (1 in, 1 sigmoid out, 8..128, BN, UpSampling)": lambda: models.mehrtash2020(
        (224, 224, 1), classes=1
    ),
    "mehrtash2020 U-Net prostate CE (1 in, 2 out)": lambda: models.mehrtash2020((224, 224, 1), classes=2),
    "mehrtash2020 U-Net heart (1 in, 4 out)": lambda: models.mehrtash2020((224, 224, 1), classes=4),
    "mehrtash2020 U-Net brain (3 in, 4 out)": lambda: models.mehrtash2020((224, 224, 3), classes=4),
    "mehrtash2020 U-Net heart Dice (1 in, 3 sigmoid out)": lambda: models.mehrtash2020(
        (224, 224, 1), classes=3, multilabel=True
    ),
    "mehrtash2020 U-Net brain Dice (3 in, 3 sigmoid out)": lambda: models.mehrtash2020(
        (224, 224, 3), classes=3, multilabel=True
    ),
    "mehrtash2020 3D FCN (1 in, 2 out, 8..128, BN, UpSampling)": lambda: models.mehrtash2020(
        (112, 112, 112, 1), classes=2
    ),
    "zhang2025 UNet-3D (1 in, 2 out, 32..256, no norm, ConvT 2x2x2)": lambda: models.zhang2025(norm=None),
    "zhang2025 UNet-3D (same, BN)": lambda: models.zhang2025(),
    "zhang2025 UNet-3D (1 in, 2 out, 16..128, BN)": lambda: models.zhang2025(filters=16),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name):
    model = NETWORKS[name]()
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trainable == COUNTS[name]["trainable"]
    # Keras counts the generators of dropout masks as weights; the papers do not.
    others = [weight for weight in model.non_trainable_weights if "seed_generator" not in weight.path]
    assert sum(int(np.prod(weight.shape)) for weight in others) == COUNTS[name]["non_trainable"]


@pytest.mark.parametrize("shape", [(32, 48, 1), (16, 32, 16, 2)])
@pytest.mark.parametrize("classes", [1, 3])
def test_output_has_the_inputs_grid_and_is_a_probability(shape, classes):
    model = models.unet(shape, classes=classes, filters=(2, 4, 6), encoder_dropout=0.2)
    images = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    output = keras.ops.convert_to_numpy(model(images))
    assert output.shape == (2, *shape[:-1], classes)
    assert output.min() >= 0
    if classes > 1:
        np.testing.assert_allclose(output.sum(-1), 1, rtol=1e-5)


def test_kethavath2025_has_the_papers_dropout():
    model = models.kethavath2025((64, 64, 1))
    rates = {layer.name: layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)}
    assert rates == {
        **{f"encoder{stage}_dropout": rate for stage, rate in zip((1, 2, 3, 4), (0.15, 0.20, 0.25, 0.30))},
        **{f"decoder{stage}_dropout": rate for stage, rate in zip((4, 3, 2, 1), (0.30, 0.25, 0.20, 0.15))},
    }
    assert model.get_layer("encoder1_dropout").input is model.get_layer("encoder1_pool").output
    assert model.get_layer("decoder4_dropout").input is model.get_layer("decoder4_concatenate").output
    initializers = {type(layer.kernel_initializer).__name__ for layer in model.layers if hasattr(layer, "kernel")}
    assert initializers == {"HeNormal"}


def test_norm_momentum_is_that_of_every_batch_normalisation():
    model = models.unet((16, 16, 1), filters=(2, 4), norm_momentum=0.5)
    momenta = [layer.momentum for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert momenta == [0.5] * 6


def test_accepts_any_multiple_of_its_step_and_refuses_the_rest():
    model = models.kethavath2025((None, None, 1), filters=2)
    assert model(np.zeros((1, 32, 80, 1), "float32")).shape == (1, 32, 80, 1)
    with pytest.raises(ValueError, match=r"multiple of 16.*Received: input_shape=\(100, 96, 1\)"):
        models.kethavath2025((100, 96, 1))


def test_output_is_float32_under_mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = models.kethavath2025((16, 16, 1), filters=2)
        output = model(np.ones((1, 16, 16, 1), "float32"))
        assert keras.backend.standardize_dtype(output.dtype) == "float32"
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(
    "wrong",
    [
        {"norm": "layer"},
        {"upsampling": "bilinear"},
        {"dropout_at": "end"},
        {"encoder_dropout": 1.0},
        {"decoder_dropout": (0.1, 0.2)},
    ],
)
def test_unknown_options_are_named(wrong):
    with pytest.raises(ValueError, match=f"(?s){next(iter(wrong))}.*Received"):
        models.unet((64, 64, 1), **wrong)


def test_wrong_rank_is_refused():
    with pytest.raises(ValueError, match="input_shape"):
        models.unet((64, 1))


def test_yeung2021_normalises_each_image_by_itself_after_the_activation():
    model = models.yeung2021((None, None, 3), filters=4)
    names = [layer.name for layer in model.layers]
    assert names.index("encoder1_activation1") < names.index("encoder1_norm1")
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in model.layers)
    images = np.random.default_rng(0).normal(0, 1, (2, 32, 48, 3)).astype("float32")
    together = keras.ops.convert_to_numpy(model(images))
    assert together.shape == (2, 32, 48, 2)
    np.testing.assert_allclose(together.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(together[:1], keras.ops.convert_to_numpy(model(images[:1])), atol=1e-5)


def test_mc_dropout_of_mehrtash_is_in_the_three_inner_stages():
    model = models.mehrtash2020((32, 32, 1), mc_dropout=True)
    names = [layer.name for layer in model.layers]
    dropouts = [(names[at - 1], layer.rate) for at, layer in enumerate(model.layers) if "dropout" in layer.name]
    # Each follows its pooling or the last activation of its stage.
    assert {name for name, _ in dropouts} == {
        "encoder3_pool",
        "encoder4_pool",
        "bottleneck_activation2",
        "decoder4_activation2",
        "decoder3_activation2",
        "decoder2_activation2",
    }
    assert {rate for _, rate in dropouts} == {0.5}
    # The skips are untouched.
    skips = [model.get_layer(f"decoder{level}_concatenate").input[1].name for level in (1, 2, 3, 4)]
    plain = models.mehrtash2020((32, 32, 1))
    assert len(skips) == 4
    for level in (3, 4):
        skip = model.get_layer(f"decoder{level}_concatenate").input[1]
        assert skip is model.get_layer(f"encoder{level}_activation2").output
    assert model.count_params() - plain.count_params() == sum(
        int(np.prod(weight.shape)) for weight in model.weights if "seed_generator" in weight.path
    )


def test_the_dilated_bottleneck_sums_convolutions_in_sequence():
    model = models.zhang2025((16, 16, 16, 1), filters=2, dilated=True)
    convolutions = [model.get_layer(f"bottleneck_conv{index}") for index in (1, 2, 3)]
    assert [layer.dilation_rate for layer in convolutions] == [(1,) * 3, (2,) * 3, (4,) * 3]
    activations = [model.get_layer(f"bottleneck_activation{index}").output for index in (1, 2, 3)]
    assert convolutions[1].input is activations[0]
    assert convolutions[2].input is activations[1]
    total = model.get_layer("bottleneck_sum")
    assert all(one is other for one, other in zip(total.input, activations))
    assert model.get_layer("decoder3_up").input is total.output
    plain = models.zhang2025((16, 16, 16, 1), filters=2)
    # Three convolutions and normalisations of the bottleneck's width in place of two.
    assert model.count_params() - plain.count_params() == 27 * 16 * 16 + 16 + 4 * 16


def test_zhang2025_takes_any_multiple_of_eight():
    model = models.zhang2025((None, None, None, 1), filters=2, dilated=True)
    assert model(np.zeros((1, 8, 24, 16, 1), "float32")).shape == (1, 8, 24, 16, 2)
    with pytest.raises(ValueError, match="multiple of 8"):
        models.zhang2025((12, 8, 8, 1))


WRONG = {
    "input_shape": [(64, 64), (64, 64, None), (64, 64, 0), (-64, 64, 1), (64.0, 64, 1), (8,) * 5, "abc", None, 64],
    "classes": [0, -1, 1.5, "2", None, True],
    "filters": [(), (0, 4), (2, -4), (2.5, 4), 16, "24", None, (2, None)],
    "norm": ["layer", 1, True],
    "norm_momentum": [-0.1, 1.1, float("nan"), "0.9"],
    "activation": ["nope", 3],
    "activation_first": ["yes", 1, None],
    "encoder_dropout": [1, -0.1, float("nan"), "0.5", None, (0.1, 0.1), (float("nan"),), ("a",)],
    "bottleneck_dropout": [1, -0.1, float("nan"), "0.5", (0.1,)],
    "bottleneck_dilations": [(0,), (1.5,), 2, "12"],
    "decoder_dropout": [1, -0.1, float("nan"), "0.5", (0.1, 0.1)],
    "dropout_at": ["end", None],
    "upsampling": ["linear", None],
    "upsampling_size": [0, 2.5, "2"],
    "kernel_initializer": ["nope"],
    "multilabel": ["no", 2],
    "final_activation": ["nope", 3],
    "name": ["", "a/b", 3],
}


@pytest.mark.parametrize("name", WRONG)
def test_each_argument_has_a_kind_and_a_range(name):
    for value in WRONG[name]:
        arguments = {"input_shape": (16, 16, 1), "filters": (2, 4), name: value}
        with pytest.raises(ValueError, match=f"(?s)unet expects `{name}`.*Received: {name}="):
            models.unet(**arguments)


@pytest.mark.parametrize("paper", [models.kethavath2025, models.mehrtash2020, models.yeung2021, models.zhang2025])
def test_the_papers_networks_name_themselves(paper):
    for filters in (0, 1.5, "8", (16, 32), None):
        with pytest.raises(ValueError, match=f"{paper.__name__} expects `filters` to be a whole number"):
            paper(filters=filters)


def test_numbers_of_numpy_and_lists_are_taken():
    model = models.unet([np.int64(16), None, 1], np.int32(2), [np.int64(2), 4], encoder_dropout=[np.float32(0.25)])
    assert model.input_shape == (None, 16, None, 1)
    assert model.get_layer("encoder1_dropout").rate == 0.25
    keras.models.model_from_json(model.to_json())


def test_checks_leave_the_random_numbers_alone():
    """A recorded seed gives the weights that it gave: the first kernel is the first that Keras draws."""
    keras.utils.set_random_seed(0)
    first = keras.layers.Conv2D(2, 3, kernel_initializer="he_normal")
    first.build((None, 16, 16, 1))
    keras.utils.set_random_seed(0)
    model = models.unet((16, 16, 1), filters=(2, 4))
    np.testing.assert_array_equal(model.get_layer("encoder1_conv1").kernel, first.kernel)
