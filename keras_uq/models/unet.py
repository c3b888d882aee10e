"""The one U-Net, in 2D or 3D."""

import keras
from keras import layers


def unet(
    input_shape,
    classes=1,
    filters=(16, 32, 64, 128, 256),
    norm="batch",
    norm_momentum=0.99,
    activation="relu",
    activation_first=False,
    encoder_dropout=0.0,
    bottleneck_dropout=0.0,
    bottleneck_dilations=(),
    decoder_dropout=0.0,
    dropout_at="concatenation",
    upsampling="transpose",
    upsampling_size=2,
    kernel_initializer="he_normal",
    multilabel=False,
    final_activation=None,
    name="unet",
):
    """Build a U-Net (Ronneberger et al., 2015) with padded convolutions.

    A stage is two convolutions of side 3, each with normalisation and activation. Encoder stages end in max pooling by
    2, then dropout. Decoder stages upsample by 2, concatenate `[upsampled, skip]`, and end in a stage of their own.

    Args:
        input_shape: `(height, width, channels)` or `(depth, height, width, channels)`; sides multiples of
            `2 ** (len(filters) - 1)`, or `None` for any such side.
        classes: Output channels: 1 for a foreground sigmoid, 2 or more for a softmax.
        filters: Filters of each encoder stage, the bottleneck last.
        norm: `"batch"`, `"instance"` (each channel of each image by itself, epsilon 1e-3) or `None`.
        norm_momentum: Of batch normalisation.
        activation: Of every convolution but the last.
        activation_first: Normalise after the activation, as in Yeung et al. (2021).
        encoder_dropout: Rate after the pooling of each encoder stage: one number, or one a stage.
        bottleneck_dropout: Rate after the bottleneck.
        bottleneck_dilations: Such as `(1, 2, 4)`: the bottleneck is so many convolutions of side 3 with these
            dilations, one after the other, and the sum of what they give; `()` for a stage like the others.
        decoder_dropout: Rate in each decoder stage, in the order of the *encoder* stages they mirror.
        dropout_at: `"concatenation"`, or `"block"` for dropout at the end of a decoder stage.
        upsampling: `"transpose"` (learnt), or `"nearest"` (repeats, no convolution).
        upsampling_size: Kernel side of the transposed convolution.
        kernel_initializer: Of every convolution.
        multilabel: With two or more classes, independent sigmoids in place of a softmax.
        final_activation: Overrides sigmoid or softmax; `"linear"` gives logits.
        name: Of the model.

    Returns:
        A `keras.Model`; its output is float32 under every dtype policy, since sigmoid(8) is 1.0 in float16.

    Raises:
        ValueError: For a shape that cannot be halved often enough, or an unknown option.
    """
    rank = len(input_shape) - 1
    depth = len(filters) - 1
    _check(input_shape, rank, depth, norm, upsampling, dropout_at)
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
        found = []
        for index, dilation in enumerate(bottleneck_dilations, start=1):
            x = block(x, width, label, index, dilation)
            found.append(x)
        return layers.Add(name=f"{label}_sum")(found) if len(found) > 1 else x

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
    rates = list(rate) if isinstance(rate, (tuple, list)) else [rate] * depth
    if len(rates) != depth or not all(0 <= value < 1 for value in rates):
        raise ValueError(f"`{name}` needs one rate in [0, 1), or one for each of {depth} stages. Received: {rate!r}.")
    return rates


def _check(input_shape, rank, depth, norm, upsampling, dropout_at):
    if rank not in (2, 3):
        raise ValueError(
            "`input_shape` must be (height, width, channels) or (depth, height, width, channels). "
            f"Received: input_shape={tuple(input_shape)}."
        )
    step = 2**depth
    if any(side is not None and side % step for side in input_shape[:-1]):
        raise ValueError(
            f"A U-Net of {depth + 1} levels halves its input {depth} times, so each side must be a multiple of {step} "
            f"(or None). Received: input_shape={tuple(input_shape)}. Pad the images or use fewer `filters`."
        )
    for name, value, known in (
        ("norm", norm, ("batch", "instance", None)),
        ("upsampling", upsampling, ("transpose", "nearest")),
        ("dropout_at", dropout_at, ("concatenation", "block")),
    ):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {known}. Received: {name}={value!r}.")
