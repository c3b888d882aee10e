"""Build the networks of the papers; each function calls `unet` with the settings of one paper."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_uq._kinds import Flag, Integer, argument
from keras_uq.models.unet import unet


def kethavath2025(input_shape: Sequence[int | None] = (256, 256, 1), filters: int = 16, **changes: Any) -> keras.Model:
    """Build the 2D U-Net of Kethavath et al. (2025), Section 3.3: 2,161,361 trainable weights at 16 filters.

    It has four stages of 16 to 128 filters and a bottleneck of 256. Each stage has two 3 x 3 convolutions with batch
    normalisation and ReLU. The encoder uses 2 x 2 max pooling followed by dropout; the decoder uses 3 x 3 transposed
    convolutions, concatenation and dropout. The output is one sigmoid channel. The paper gives dropout rates from 0.15
    to 0.3; here the rate rises with depth and is mirrored in the decoder.

    Args:
        input_shape: `(height, width, channels)`; height and width are multiples of 16, or `None`.
        filters: Number of filters of the first stage, at least 1 (the paper also tried 8 and 32).
        **changes: Arguments of `unet` that replace the paper's.

    Returns:
        A `keras.Model` with output `(batch, height, width, 1)`.

    Raises:
        ValueError: As `unet`.
    """
    filters = argument("kethavath2025", "filters", filters, Integer(least=1))
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


def mehrtash2020(
    input_shape: Sequence[int | None] = (224, 224, 1), filters: int = 8, mc_dropout: bool = False, **changes: Any
) -> keras.Model:
    """Build the U-Net of Mehrtash et al. (2020), Section VI-A, in 2D or 3D: 492,474 trainable weights in 2D.

    It has four stages of 8 to 64 filters and a bottleneck of 128. Each stage has two convolutions of kernel size 3 with
    batch normalisation and ReLU. The encoder uses max pooling by 2; the decoder uses nearest-neighbour upsampling and
    concatenation. For cross-entropy, the output has two softmax channels, background first. For Dice, use independent
    sigmoid channels of the foreground classes: `classes=K - 1, multilabel=True`.

    Args:
        input_shape: `(height, width, channels)` or `(depth, height, width, channels)`; the sides are multiples of 16,
            or `None`.
        filters: Number of filters of the first stage, at least 1.
        mc_dropout: Whether to add dropout of 0.5 in the three inner stages, as in the central variant of Bayesian
            SegNet (Kendall et al., 2015): after the pooling of stages 3 and 4, after the bottleneck, and after decoder
            stages 4, 3 and 2.
        **changes: Arguments of `unet` that replace the paper's.

    Returns:
        A `keras.Model` with output `(batch, *spatial, classes)`.

    Raises:
        ValueError: As `unet`.
    """
    filters = argument("mehrtash2020", "filters", filters, Integer(least=1))
    argument("mehrtash2020", "mc_dropout", mc_dropout, Flag())
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


def yeung2021(input_shape: Sequence[int | None] = (512, 512, 3), filters: int = 32, **changes: Any) -> keras.Model:
    """Build the 2D U-Net of Yeung et al. (2021): 7,766,018 trainable weights at 32 filters.

    It has four stages of 32 to 256 filters and a bottleneck of 512. Each stage has two 3 x 3 convolutions, followed by
    ReLU and then instance normalisation (epsilon 1e-3). The encoder uses 2 x 2 max pooling; the decoder uses 2 x 2
    transposed convolutions and concatenation. The output has two softmax channels, background first. There is no
    dropout. The order of ReLU and normalisation follows the code that the paper used.

    Args:
        input_shape: `(height, width, channels)`; height and width are multiples of 16, or `None`.
        filters: Number of filters of the first stage, at least 1.
        **changes: Arguments of `unet` that replace the paper's.

    Returns:
        A `keras.Model` with output `(batch, height, width, 2)`.

    Raises:
        ValueError: As `unet`.
    """
    filters = argument("yeung2021", "filters", filters, Integer(least=1))
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


def zhang2025(
    input_shape: Sequence[int | None] = (96, 96, 96, 1), filters: int = 32, dilated: bool = False, **changes: Any
) -> keras.Model:
    """Build the 3D U-Net of Zhang et al. (2025), Section 3.1: 5,602,562 trainable weights at 32 filters.

    It has three stages of 32 to 128 filters and a bottleneck of 256. Each stage has two convolutions of kernel size 3
    with batch normalisation and ReLU. The encoder uses max pooling by 2; the decoder uses transposed convolutions with
    kernel size 2 and concatenation. The output has two softmax channels, background first. There is no dropout. The
    paper gives neither the numbers of filters nor the normalisation; both are taken from the 3D U-Net that it cites
    (Cicek et al., 2016). `norm=None` builds the network without normalisation.

    Args:
        input_shape: `(depth, height, width, channels)`; the sides are multiples of 8, or `None`.
        filters: Number of filters of the first stage, at least 1.
        dilated: Whether to build the "dilated UNet-3D": its bottleneck has three successive convolutions with dilations
            1, 2 and 4, and returns the sum of their outputs. The paper describes it only as "dilated CNN at the
            bottleneck".
        **changes: Arguments of `unet` that replace the paper's.

    Returns:
        A `keras.Model` with output `(batch, depth, height, width, 2)`.

    Raises:
        ValueError: As `unet`.
    """
    filters = argument("zhang2025", "filters", filters, Integer(least=1))
    argument("zhang2025", "dilated", dilated, Flag())
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
