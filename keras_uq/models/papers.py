"""The papers' networks, each a call of `unet`."""

from keras_uq.models.unet import unet


def kethavath2025(input_shape=(256, 256, 1), filters=16, **changes):
    """2D U-Net of Kethavath et al. (2025), Section 3.3, with 2,161,361 trainable weights at 16 filters.

    Four stages of 16 to 128 filters and a bottleneck of 256: two 3 x 3 convolutions, each with batch normalisation and
    ReLU; 2 x 2 max pooling, then dropout; 3 x 3 transposed convolutions, concatenation, dropout; one sigmoid channel.
    The paper gives the range 0.15 to 0.3 for dropout: here it rises with depth and is mirrored in the decoder.

    Args:
        input_shape: `(height, width, channels)`, sides multiples of 16 or `None`.
        filters: Filters of the first stage (the paper also tried 8 and 32).
        **changes: Arguments of `unet` to change.

    Returns:
        A `keras.Model` with output `(batch, height, width, 1)`.
    """
    settings = {
        "classes": 1,
        "filters": [filters * 2**level for level in range(5)],
        "norm": "batch",
        "encoder_dropout": (0.15, 0.20, 0.25, 0.30),
        "decoder_dropout": (0.15, 0.20, 0.25, 0.30),
        "dropout_at": "concatenation",
        "upsampling": "transpose",
        "upsampling_size": 3,
        "kernel_initializer": "he_normal",
        "name": "kethavath2025",
    }
    return unet(input_shape, **{**settings, **changes})


def mehrtash2020(input_shape=(224, 224, 1), filters=8, mc_dropout=False, **changes):
    """U-Net of Mehrtash et al. (2020), Section VI-A, in 2D or 3D: 492,474 trainable weights in 2D at 8 filters.

    Four stages of 8 to 64 filters and a bottleneck of 128: two convolutions of side 3, each with batch normalisation
    and ReLU; max pooling by 2; upsampling that repeats, and concatenation. Two softmax channels, background first, for
    cross-entropy; for Dice, independent sigmoids of the foreground classes: `classes=K - 1, multilabel=True`.

    Args:
        input_shape: `(height, width, channels)` or `(depth, height, width, channels)`, sides multiples of 16 or `None`.
        filters: Filters of the first stage.
        mc_dropout: Dropout of 0.5 in the three inner stages, as in the central variant of Bayesian SegNet (Kendall et
            al., 2015): after the pooling of stages 3 and 4, after the bottleneck, after decoder stages 4, 3 and 2.
        **changes: Arguments of `unet` to change.

    Returns:
        A `keras.Model` with output `(batch, *spatial, classes)`.
    """
    settings = {
        "classes": 2,
        "filters": [filters * 2**level for level in range(5)],
        "norm": "batch",
        "upsampling": "nearest",
        "kernel_initializer": "he_normal",
        "name": "mehrtash2020",
    }
    if mc_dropout:
        settings |= {
            "encoder_dropout": (0, 0, 0.5, 0.5),
            "bottleneck_dropout": 0.5,
            "decoder_dropout": (0, 0.5, 0.5, 0.5),
            "dropout_at": "block",
        }
    return unet(input_shape, **{**settings, **changes})


def yeung2021(input_shape=(512, 512, 3), filters=32, **changes):
    """2D U-Net of Yeung et al. (2021), with 7,766,018 trainable weights at 32 filters.

    Four stages of 32 to 256 filters and a bottleneck of 512: two 3 x 3 convolutions, each with ReLU and then instance
    normalisation (epsilon 1e-3); 2 x 2 max pooling; 2 x 2 transposed convolutions and concatenation; two softmax
    channels, background first. No dropout. The order of ReLU and normalisation is that of the code the paper used.

    Args:
        input_shape: `(height, width, channels)`, sides multiples of 16 or `None`.
        filters: Filters of the first stage.
        **changes: Arguments of `unet` to change.

    Returns:
        A `keras.Model` with output `(batch, height, width, 2)`.
    """
    settings = {
        "classes": 2,
        "filters": [filters * 2**level for level in range(5)],
        "norm": "instance",
        "activation_first": True,
        "upsampling": "transpose",
        "upsampling_size": 2,
        "kernel_initializer": "glorot_uniform",
        "name": "yeung2021",
    }
    return unet(input_shape, **{**settings, **changes})


def zhang2025(input_shape=(96, 96, 96, 1), filters=32, dilated=False, **changes):
    """3D U-Net of Zhang et al. (2025), Section 3.1, with 5,602,562 trainable weights at 32 filters.

    Three stages of 32 to 128 filters and a bottleneck of 256: two convolutions of side 3, each with batch normalisation
    and ReLU; max pooling by 2; transposed convolutions of side 2, and concatenation; two softmax channels, background
    first. No dropout. The paper prints neither widths nor normalisation: these are those of the 3D U-Net that it cites
    (Cicek et al., 2016); `norm=None` leaves normalisation out.

    Args:
        input_shape: `(depth, height, width, channels)`, sides multiples of 8 or `None`.
        filters: Filters of the first stage.
        dilated: The "dilated UNet-3D": a bottleneck of three convolutions with dilations 1, 2 and 4, one after the
            other, and the sum of what they give. The paper says "dilated CNN at the bottleneck" and no more.
        **changes: Arguments of `unet` to change.

    Returns:
        A `keras.Model` with output `(batch, depth, height, width, 2)`.
    """
    settings = {
        "classes": 2,
        "filters": [filters * 2**level for level in range(4)],
        "norm": "batch",
        "bottleneck_dilations": (1, 2, 4) if dilated else (),
        "upsampling": "transpose",
        "upsampling_size": 2,
        "kernel_initializer": "he_normal",
        "name": "zhang2025_dilated" if dilated else "zhang2025",
    }
    return unet(input_shape, **{**settings, **changes})
