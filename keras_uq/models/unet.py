"""Build a U-Net in 2D or 3D."""

import random
from collections.abc import Callable, Sequence

import keras
from keras import layers

from keras_uq._kinds import Choice, Flag, Integer, Items, Maybe, Number, Text, argument, shown

WHOLE = Integer(least=1)
RATE = Number(least=0, below=1)
# Arguments of `unet` of which the value alone says whether it is right.
KINDS = {
    "input_shape": Items(Maybe(WHOLE), least=3),
    "classes": WHOLE,
    "filters": Items(WHOLE, least=1),
    "norm": Choice("batch", "instance", None),
    "norm_momentum": Number(least=0, most=1),
    "activation_first": Flag(),
    "bottleneck_dropout": RATE,
    "bottleneck_dilations": Items(WHOLE),
    "dropout_at": Choice("concatenation", "block"),
    "upsampling": Choice("transpose", "nearest"),
    "upsampling_size": WHOLE,
    "multilabel": Flag(),
    "name": Text(200, "[^/]+", "text without a slash"),
}


def unet(
    input_shape: Sequence[int | None],
    classes: int = 1,
    filters: Sequence[int] = (16, 32, 64, 128, 256),
    norm: str | None = "batch",
    norm_momentum: float = 0.99,
    activation: str | Callable = "relu",
    activation_first: bool = False,
    encoder_dropout: float | Sequence[float] = 0.0,
    bottleneck_dropout: float = 0.0,
    bottleneck_dilations: Sequence[int] = (),
    decoder_dropout: float | Sequence[float] = 0.0,
    dropout_at: str = "concatenation",
    upsampling: str = "transpose",
    upsampling_size: int = 2,
    kernel_initializer: str | keras.Initializer = "he_normal",
    multilabel: bool = False,
    final_activation: str | Callable | None = None,
    name: str = "unet",
) -> keras.Model:
    """Build a U-Net (Ronneberger et al., 2015) with padded convolutions.

    A stage consists of two convolutions with kernel size 3, each with normalisation and activation. Encoder stages end
    with max pooling by 2 and dropout. Decoder stages upsample by 2, concatenate `[upsampled, skip]`, and end with two
    more convolutions.

    Args:
        input_shape: `(height, width, channels)` or `(depth, height, width, channels)`. The sides are multiples of
            `2 ** (len(filters) - 1)`; `None` accepts any such side. The number of channels is not `None`.
        classes: Number of output channels: 1 for a foreground sigmoid, 2 or more for a softmax.
        filters: Number of filters of each encoder stage, with the bottleneck last; each at least 1.
        norm: `"batch"`, `"instance"` (each channel of each image separately, epsilon 1e-3) or `None`.
        norm_momentum: Momentum of batch normalisation, in [0, 1].
        activation: Activation of every convolution except the last.
        activation_first: Whether to normalise after the activation, as in Yeung et al. (2021).
        encoder_dropout: Dropout rate after the pooling of the encoder stages, in [0, 1): one number, or one per stage.
        bottleneck_dropout: Dropout rate after the bottleneck, in [0, 1).
        bottleneck_dilations: Dilation rates such as `(1, 2, 4)`. The bottleneck then has one convolution with kernel
            size 3 per rate, one after the other, and returns the sum of their outputs. With `()` it is a normal stage.
        decoder_dropout: Dropout rate of the decoder stages, in [0, 1): one number, or one per stage, in the order of
            the *encoder* stages that they mirror.
        dropout_at: Position of dropout in a decoder stage: after the `"concatenation"`, or at the end (`"block"`).
        upsampling: `"transpose"` (transposed convolution), or `"nearest"` (nearest neighbour, no convolution).
        upsampling_size: Kernel size of the transposed convolution.
        kernel_initializer: Initializer of every convolution.
        multilabel: Whether to use independent sigmoids instead of a softmax with two or more classes.
        final_activation: Activation that replaces sigmoid or softmax; `"linear"` returns logits.
        name: Name of the model.

    Returns:
        A `keras.Model`. Its output is float32 under every dtype policy, because sigmoid(8) is 1.0 in float16.

    Raises:
        ValueError: For a shape that cannot be halved often enough, or an argument of another kind or range than stated
            here; the message names it.
    """
    given = locals()
    checked = {name: argument("unet", name, given[name], kind) for name, kind in KINDS.items()}
    input_shape, filters = checked["input_shape"], checked["filters"]
    rank = len(input_shape) - 1
    depth = len(filters) - 1
    _check_shape(input_shape, rank, depth)
    for option, value, known in (
        ("activation", activation, keras.activations.get),
        ("final_activation", final_activation, keras.activations.get),
        ("kernel_initializer", kernel_initializer, keras.initializers.get),
    ):
        _check_known(option, value, known)
    encoder_dropout = _per_stage("encoder_dropout", encoder_dropout, depth)
    decoder_dropout = _per_stage("decoder_dropout", decoder_dropout, depth)
    convolution = {2: layers.Conv2D, 3: layers.Conv3D}[rank]
    transposed = {2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}[rank]
    pooling = {2: layers.MaxPooling2D, 3: layers.MaxPooling3D}[rank]
    repeat = {2: layers.UpSampling2D, 3: layers.UpSampling3D}[rank]

    def block(x, width, label, index, dilation=1):
        x = convolution(
            width,
            3,
            padding="same",
            dilation_rate=dilation,
            kernel_initializer=kernel_initializer,
            name=f"{label}_conv{index}",
        )(x)
        normalise = _normalisation(norm, norm_momentum, f"{label}_norm{index}")
        activate = layers.Activation(activation, name=f"{label}_activation{index}")
        for layer in (activate, normalise) if activation_first else (normalise, activate):
            x = layer(x) if layer is not None else x
        return x

    def stage(x, width, label):
        for index in (1, 2):
            x = block(x, width, label, index)
        return x

    def dilated(x, width, label):
        outputs = []
        for index, dilation in enumerate(bottleneck_dilations, start=1):
            x = block(x, width, label, index, dilation)
            outputs.append(x)
        return layers.Add(name=f"{label}_sum")(outputs) if len(outputs) > 1 else x

    def drop(x, rate, label):
        return layers.Dropout(rate, name=f"{label}_dropout")(x) if rate else x

    inputs = keras.Input(input_shape, name="image")
    x, skips = inputs, []
    for level, width in enumerate(filters[:-1], start=1):
        x = stage(x, width, f"encoder{level}")
        skips.append(x)
        x = pooling(2, name=f"encoder{level}_pool")(x)
        x = drop(x, encoder_dropout[level - 1], f"encoder{level}")
    x = (dilated if bottleneck_dilations else stage)(x, filters[-1], "bottleneck")
    x = drop(x, bottleneck_dropout, "bottleneck")
    for level in range(depth, 0, -1):
        width, label = filters[level - 1], f"decoder{level}"
        if upsampling == "transpose":
            x = transposed(
                width,
                upsampling_size,
                strides=2,
                padding="same",
                kernel_initializer=kernel_initializer,
                name=f"{label}_up",
            )(x)
        else:
            x = repeat(2, name=f"{label}_up")(x)
        x = layers.Concatenate(name=f"{label}_concatenate")([x, skips[level - 1]])
        if dropout_at == "concatenation":
            x = drop(x, decoder_dropout[level - 1], label)
        x = stage(x, width, label)
        if dropout_at == "block":
            x = drop(x, decoder_dropout[level - 1], label)
    x = convolution(classes, 1, kernel_initializer=kernel_initializer, name="logits")(x)
    if final_activation is None:
        final_activation = "sigmoid" if classes == 1 or multilabel else "softmax"
    outputs = layers.Activation(final_activation, dtype="float32", name="probability")(x)
    return keras.Model(inputs, outputs, name=name)


def _normalisation(norm, momentum, name):
    if norm == "batch":
        return layers.BatchNormalization(momentum=momentum, name=name)
    if norm == "instance":
        return layers.GroupNormalization(groups=-1, epsilon=1e-3, name=name)
    return None


def _per_stage(name, rate, depth):
    if isinstance(rate, Sequence) and not isinstance(rate, str):
        return argument("unet", name, rate, Items(RATE, count=depth))
    return [argument("unet", name, rate, RATE)] * depth


def _check_known(option, value, known):
    """Raise `ValueError` if Keras does not know an activation or an initializer."""
    # An initializer draws its seed when it is made. The weights must be those that they are without this check.
    state = random.getstate()
    try:
        known(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"unet expects `{option}` to be a name that Keras knows, or a function. Received: {option}={shown(value)}."
        ) from error
    finally:
        random.setstate(state)


def _check_shape(input_shape, rank, depth):
    if rank not in (2, 3) or input_shape[-1] is None:
        raise ValueError(
            "unet expects `input_shape` to be (height, width, channels) or (depth, height, width, channels), with a "
            f"number of channels. Received: input_shape={input_shape}."
        )
    step = 2**depth
    if any(side is not None and side % step for side in input_shape[:-1]):
        raise ValueError(
            f"A U-Net of {depth + 1} levels halves its input {depth} times, so each side must be a multiple of {step} "
            f"(or None). Received: input_shape={input_shape}. Pad the images or use fewer `filters`."
        )
