# Written by `python -m tests.types.stub` from the signatures and docstrings of the losses. Do not edit.
from collections.abc import Sequence
from typing import Any, Literal

import numpy
from keras import DTypePolicy
from keras.metrics import Metric

from keras_uq.losses._base import Reduction
from keras_uq.losses._base import SegmentationLoss as SegmentationLoss
from keras_uq.losses.tversky_ce import TverskyCEWeights as TverskyCEWeights

__all__ = [
    "SSIM",
    "AsymmetricFocal",
    "AsymmetricFocalTversky",
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Combo",
    "Dice",
    "DiceCE",
    "DicePlusPlus",
    "FocalTversky",
    "Hybrid",
    "Jaccard",
    "LogCosh",
    "LogCoshDice",
    "LogDice",
    "PolyDice",
    "SegmentationLoss",
    "Tversky",
    "TverskyCE",
    "TverskyCEWeights",
    "UnifiedFocal",
    "asymmetric_focal",
    "asymmetric_focal_tversky",
    "binary_crossentropy",
    "categorical_crossentropy",
    "combo",
    "dice",
    "dice_ce",
    "dice_plus_plus",
    "focal_tversky",
    "hybrid",
    "jaccard",
    "log_cosh",
    "log_cosh_dice",
    "log_dice",
    "poly_dice",
    "ssim",
    "tversky",
    "tversky_ce",
    "unified_focal",
]

class SSIM(SegmentationLoss):
    """`1 - SSIM` between labels and probabilities as two images, averaged over positions and classes.

    Means, variances and covariance are those of a Gaussian window around each position, along every spatial axis (a
    cube in a volume). Variances are population moments, `E[x^2] - E[x]^2`. Ignored voxels are left out of the windows.

    Class form of `ssim`, for `model.compile(loss=...)`.

    Args:
        window: Side of the window in voxels, odd; on a shorter axis, the largest odd side that fits. `None`: the means
            and variances are those of the whole image.
        sigma: Standard deviation of the Gaussian in voxels, at least 0.01.
        padding: `"valid"`, or `"same"` for zeros around the image.
        c1: Constant in the term of the means, above 0.
        c2: Constant in the term of the variances, above 0.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        Kethavath et al. (2025), Eq. 9 and 10. The printed constants 0.012 and 0.032 are `0.01^2` and `0.03^2` without
        their superscripts. The Gaussian window is taken from the fusion loss on which the paper builds.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.SSIM(window=7)(y_true, y_pred)), 3)
        0.2
    """

    window: int | None
    sigma: float
    padding: Literal["valid", "same"]
    c1: float
    c2: float
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        window: int | None = 11,
        sigma: float = 1.5,
        padding: Literal["valid", "same"] = "valid",
        c1: float = 0.0001,
        c2: float = 0.0009,
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "ssim",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

class AsymmetricFocal(SegmentationLoss):
    """Cross-entropy of each image that gives less weight to background voxels that are nearly right.

    `-delta y log p` for each foreground class and `-(1 - delta) (1 - p)^gamma y log p` for the background, summed over
    classes and averaged over voxels. Channel 0 is the background. A single channel, and each channel of a `multilabel`
    network, stands for two classes `[1 - p, p]`.

    Class form of `asymmetric_focal`, for `model.compile(loss=...)`.

    Args:
        delta: Weight of foreground classes, in [0, 1].
        gamma: Power of the error `1 - p` of the background, at least 0.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. They multiply the terms of the sum over exclusive classes, and
            the sum is not divided by them.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        Yeung et al. (2021), Eq. 19, with the probability of the background in the last logarithm.

    Example:
        >>> y_true, y_pred = np.eye(2)[[[[0, 0, 1, 1]]]], np.full((1, 1, 4, 2), 0.5)
        >>> round(float(losses.AsymmetricFocal(delta=0.6, gamma=0.5)(y_true, y_pred)), 3)
        0.306
    """

    delta: float
    gamma: float
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        delta: float = 0.6,
        gamma: float = 0.1,
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "asymmetric_focal",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

class AsymmetricFocalTversky(SegmentationLoss):
    """Tversky loss of each image, averaged over classes, raised to the power `1 - gamma` for foreground classes.

    Class form of `asymmetric_focal_tversky`, for `model.compile(loss=...)`.

    Args:
        delta: Weight of false negatives, in [0, 1]; `1 - delta` is the weight of false positives.
        gamma: In [0, 1). A higher value gives more weight to foreground classes that are nearly right.
        smooth: Number of voxels added to numerator and denominator of the Tversky index.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        variant: `"recommended"` and `"released"`, as in the authors' code; or `"printed"`, where `delta` is the weight
            of false positives (Eq. 21).
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        Yeung et al. (2021), Eq. 20 and 21, as a mean over classes where the paper prints a sum.

    Example:
        >>> y_true, y_pred = np.eye(2)[[[[0, 0, 1, 1]]]], np.full((1, 1, 4, 2), 0.5)
        >>> round(float(losses.AsymmetricFocalTversky(delta=0.6, gamma=0.5)(y_true, y_pred)), 3)
        0.604
    """

    delta: float
    gamma: float
    smooth: float
    penalty_gamma: float
    variant: Literal["recommended", "printed", "released"]
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        delta: float = 0.6,
        gamma: float = 0.1,
        smooth: float = 1e-07,
        penalty_gamma: float = 1.0,
        variant: Literal["recommended", "printed", "released"] = "recommended",
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "asymmetric_focal_tversky",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

class BinaryCrossentropy(SegmentationLoss):
    """Binary cross-entropy of each channel, averaged over voxels and classes.

    `-(y log p + (1 - y) log(1 - p))` with `p` clipped to `[1e-7, 1 - 1e-7]`. For training at extreme probabilities, use
    `from_logits=True`: logits of independent channels are not clipped at all, those of exclusive classes only in
    `log(1 - p)`.

    Class form of `binary_crossentropy`, for `model.compile(loss=...)`.

    Args:
        voxels: Whether the loss is the `"mean"` or the `"sum"` over voxels.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        Kethavath et al. (2025), Eq. 3, which prints the sum; a constant factor does not change Adam's step.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.BinaryCrossentropy()(y_true, y_pred)), 3)
        0.693
    """

    voxels: Literal["mean", "sum"]
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        voxels: Literal["mean", "sum"] = "mean",
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "binary_crossentropy",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

class CategoricalCrossentropy(SegmentationLoss):
    """Cross-entropy of the classes, `-sum_c w_c y_c log p_c`, averaged over voxels.

    `p` is clipped at 1e-7; with `from_logits=True` nothing is clipped. A single channel, and each channel of a
    `multilabel` network, stands for two classes `[1 - p, p]`: the loss is then the binary cross-entropy.

    Class form of `categorical_crossentropy`, for `model.compile(loss=...)`.

    Args:
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. They multiply the terms of the sum over exclusive classes, and
            the sum is not divided by them.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        Yeung et al. (2021), Eq. 1; Mehrtash et al. (2020), Eq. 1.

    Example:
        >>> y_true, y_pred = np.eye(2)[[[[0, 0, 1, 1]]]], np.full((1, 1, 4, 2), 0.5)
        >>> round(float(losses.CategoricalCrossentropy(class_weights=[1, 3])(y_true, y_pred)), 3)
        1.386
    """

    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "categorical_crossentropy",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

class Combo(SegmentationLoss):
    """`alpha * weighted cross-entropy - (1 - alpha) * Dice index` of each image.

    The cross-entropy is `-beta y log p` for foreground classes and `-(1 - beta) y log p` for the background, summed
    over classes and averaged over voxels. The Dice index is averaged over classes.

    Class form of `combo`, for `model.compile(loss=...)`.

    Args:
        alpha: Weight of the cross-entropy, in [0, 1].
        beta: Weight of false negatives in the cross-entropy, in [0, 1]; `1 - beta` is the weight of false positives.
        smooth: Number of voxels in the Dice index, `(TP + smooth) / (TP + (FP + FN) / 2 + smooth)`.
        penalty_gamma: Power of the false positive and the false negative of each voxel in the Dice index: 2 gives
            Combo++.
        variant: `"recommended"`, as printed in the paper; or `"released"`, as in the authors' code, where `beta` is the
            weight of the background. They agree for `beta=0.5`.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. They multiply the terms of the cross-entropy over exclusive
            classes, and are the weights of the mean of the Dice index over classes.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        Yeung et al. (2021), Eq. 13 and 14 (with a minus sign before both terms of Eq. 14);
        [Taghanaki et al., 2019](https://arxiv.org/abs/1805.02798).

    Example:
        >>> y_true, y_pred = np.eye(2)[[[[0, 0, 1, 1]]]], np.full((1, 1, 4, 2), 0.5)
        >>> round(float(losses.Combo(alpha=0.5, beta=0.6)(y_true, y_pred)), 3)
        -0.077
    """

    alpha: float
    beta: float
    smooth: float
    penalty_gamma: float
    variant: Literal["recommended", "released"]
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        smooth: float = 1e-06,
        penalty_gamma: float = 1.0,
        variant: Literal["recommended", "released"] = "recommended",
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "combo",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

class Dice(SegmentationLoss):
    """Dice loss of each image, averaged over classes.

    `1 - (2 TP + smooth) / (2 TP + FP + FN + smooth)` with the soft counts of one class. `2 TP + FP + FN` is the sum
    over labels and probabilities.

    Class form of `dice`, for `model.compile(loss=...)`.

    Args:
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of 0. If it is small, an image without the class has a loss near 1 for any prediction, with almost no
            gradient: for slices without the organ, use `smooth=1` or `over="batch"`.
        smooth_numerator: Replaces `smooth` in the numerator (0 for Mehrtash et al., 2020), or `None`.
        squared: The denominator sums the squares of labels and probabilities (Milletari et al., 2016). With hard
            labels this equals `penalty_gamma=2`.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        Kethavath et al. (2025), Eq. 1. The paper gives no value for `smooth` and, like the code it cites, sums over the
        batch: `over="batch"`. Yeung et al. (2021), Eq. 2 and 3; their code has `smooth=1e-5` and two softmax channels.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.Dice(smooth=1)(y_true, y_pred)), 3)
        0.33
    """

    smooth: float
    smooth_numerator: float | None
    squared: bool
    penalty_gamma: float
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        smooth: float = 1e-06,
        smooth_numerator: float | None = None,
        squared: bool = False,
        penalty_gamma: float = 1.0,
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "dice",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

class DiceCE(SegmentationLoss):
    """`w * Dice loss + (1 - w) * cross-entropy` of each image.

    Class form of `dice_ce`, for `model.compile(loss=...)`.

    Args:
        dice_weight: `w`, in [0, 1].
        smooth: Number of voxels added to numerator and denominator of the Dice index.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the Dice loss, if the classes are exclusive. The
            cross-entropy always includes all classes.
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        Zhang et al. (2025), who write that their adaptive weights outperform this loss, without a published result.

    Example:
        >>> y_true, y_pred = np.eye(2)[[[[0, 0, 1, 1]]]], np.full((1, 1, 4, 2), 0.5)
        >>> round(float(losses.DiceCE(dice_weight=0.5)(y_true, y_pred)), 3)
        0.597
    """

    dice_weight: float
    smooth: float
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        dice_weight: float = 0.5,
        smooth: float = 1e-06,
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "dice_ce",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

class DicePlusPlus(SegmentationLoss):
    """DSC++ loss of each image, averaged over classes: a Dice loss that penalises confident errors most.

    `1 - (2 TP + smooth) / (2 TP + sum ((1 - y) p)^gamma + sum (y (1 - p))^gamma + smooth)`.

    Class form of `dice_plus_plus`, for `model.compile(loss=...)`.

    Args:
        gamma: Power of the false positive and the false negative of each voxel, above 0. 1 gives `dice`; with one
            foreground channel and hard labels, 2 gives `dice(squared=True)`.
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of 0.
        variant: `"recommended"`; or `"released"`, which clips labels as well as predictions to `[1e-7, 1 - 1e-7]` as
            does the authors' code. The difference matters only for `gamma < 1`, where every correct voxel then adds to
            the loss: `1e-7 ** 0.5` for a gamma of 0.5.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        Yeung et al. (2021), Eq. 9, which is for the foreground only: `include_background=False`.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.DicePlusPlus(gamma=2)(y_true, y_pred)), 3)
        0.2
    """

    gamma: float
    smooth: float
    variant: Literal["recommended", "released"]
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        gamma: float = 2.0,
        smooth: float = 1e-07,
        variant: Literal["recommended", "released"] = "recommended",
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "dice_plus_plus",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

class FocalTversky(SegmentationLoss):
    """Focal Tversky loss of each image: a power of the Tversky loss of each class, averaged over classes.

    `max(tversky, 1e-7) ** exponent`. An exponent below 1 keeps the slope high for a class that is nearly right; an
    exponent above 1 gives more weight to the classes with a large error.

    Class form of `focal_tversky`, for `model.compile(loss=...)`.

    Args:
        alpha: Weight of false positives, at least 0.
        beta: Weight of false negatives, at least 0.
        exponent: Power of the Tversky loss, above 0. Kethavath et al. call it gamma; the original paper and Yeung et
            al. write `1 / gamma` with gamma = 4/3, which is also 0.75.
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of `1e-7 ** exponent`.
        smooth_numerator: Replaces `smooth` in the numerator (0 for Mehrtash et al., 2020), or `None`.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        variant: `"recommended"`; or `"released"`, which clips labels to `[1e-7, 1 - 1e-7]` as does the code of Yeung et
            al. (2021): see `dice_plus_plus`.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        [Abraham and Khan, 2018](https://arxiv.org/abs/1810.07842); Kethavath et al. (2025), Eq. 5, which prints no
        value for the exponent; Yeung et al. (2021), Eq. 17, as a mean over classes.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.FocalTversky(alpha=0.3, beta=0.7, exponent=0.75)(y_true, y_pred)), 3)
        0.514
    """

    alpha: float
    beta: float
    exponent: float
    smooth: float
    smooth_numerator: float | None
    penalty_gamma: float
    variant: Literal["recommended", "released"]
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        alpha: float = 0.3,
        beta: float = 0.7,
        exponent: float = 0.75,
        smooth: float = 1e-06,
        smooth_numerator: float | None = None,
        penalty_gamma: float = 1.0,
        variant: Literal["recommended", "released"] = "recommended",
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "focal_tversky",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

class Hybrid(SegmentationLoss):
    """Sum of the Jaccard, binary cross-entropy and SSIM losses of each image.

    Class form of `hybrid`, for `model.compile(loss=...)`.

    Args:
        smooth: Number of voxels added to numerator and denominator of the Jaccard index.
        window: Side of the window of SSIM in voxels, odd, or `None` for the whole image: see `ssim`.
        sigma: Standard deviation of the Gaussian window of SSIM in voxels.
        padding: Of SSIM: `"valid"`, or `"same"` for zeros around the image.
        c1: Constant of SSIM in the term of the means.
        c2: Constant of SSIM in the term of the variances.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        Kethavath et al. (2025), Eq. 7. The cross-entropy is the mean over voxels; the sum that the paper prints would
        outweigh the other two terms.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.Hybrid(window=7)(y_true, y_pred)), 3)
        1.393
    """

    smooth: float
    window: int | None
    sigma: float
    padding: Literal["valid", "same"]
    c1: float
    c2: float
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        smooth: float = 1e-06,
        window: int | None = 11,
        sigma: float = 1.5,
        padding: Literal["valid", "same"] = "valid",
        c1: float = 0.0001,
        c2: float = 0.0009,
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "hybrid",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

class Jaccard(SegmentationLoss):
    """Jaccard loss of each image, averaged over classes.

    `1 - (TP + smooth) / (TP + FP + FN + smooth)` with the soft counts of one class.

    Class form of `jaccard`, for `model.compile(loss=...)`.

    Args:
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of 0.
        smooth_numerator: Replaces `smooth` in the numerator (0 for Mehrtash et al., 2020), or `None`.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        Kethavath et al. (2025), Eq. 8, which has no `smooth` and is 0/0 for a batch without foreground.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.Jaccard()(y_true, y_pred)), 3)
        0.5
    """

    smooth: float
    smooth_numerator: float | None
    penalty_gamma: float
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        smooth: float = 1e-06,
        smooth_numerator: float | None = None,
        penalty_gamma: float = 1.0,
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "jaccard",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

class LogCosh(SegmentationLoss):
    """Log-cosh of the error of each voxel, averaged over voxels and classes.

    `log(cosh(x)) = |x| + log(1 + exp(-2|x|)) - log 2` with `x = y_pred - y_true`, which is about `x ** 2 / 2`.

    Class form of `log_cosh`, for `model.compile(loss=...)`.

    Args:
        voxels: Whether the loss is the `"mean"` or the `"sum"` over voxels.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        Kethavath et al. (2025), Eq. 2, which prints the sum; a constant factor does not change Adam's step.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.LogCosh()(y_true, y_pred)), 3)
        0.12
    """

    voxels: Literal["mean", "sum"]
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        voxels: Literal["mean", "sum"] = "mean",
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "log_cosh",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

class LogCoshDice(SegmentationLoss):
    """Log-cosh of the Dice loss of each class, `log(cosh(dice))`, averaged over classes.

    Class form of `log_cosh_dice`, for `model.compile(loss=...)`.

    Args:
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of 0.
        smooth_numerator: Replaces `smooth` in the numerator (0 for Mehrtash et al., 2020), or `None`.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        [Jadon, 2020](https://arxiv.org/abs/2006.14822).

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.LogCoshDice()(y_true, y_pred)), 3)
        0.055
    """

    smooth: float
    smooth_numerator: float | None
    penalty_gamma: float
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        smooth: float = 1e-06,
        smooth_numerator: float | None = None,
        penalty_gamma: float = 1.0,
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "log_cosh_dice",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

class LogDice(SegmentationLoss):
    """Log Dice loss of each image, averaged over classes.

    `-log((2 TP + smooth) / (2 TP + FP + FN + smooth))` with the soft counts of one class, which is
    `-log(1 - dice loss)`. Its slope grows as the overlap decreases.

    Class form of `log_dice`, for `model.compile(loss=...)`.

    Args:
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of 0.
        smooth_numerator: Replaces `smooth` in the numerator (0 for Mehrtash et al., 2020), or `None`.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        Kethavath et al. (2025), Eq. 6.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.LogDice()(y_true, y_pred)), 3)
        0.405
    """

    smooth: float
    smooth_numerator: float | None
    penalty_gamma: float
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        smooth: float = 1e-06,
        smooth_numerator: float | None = None,
        penalty_gamma: float = 1.0,
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "log_dice",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

class PolyDice(SegmentationLoss):
    """PolyDice loss of each image, averaged over classes.

    With the angle `theta` between labels `y` and probabilities `p` as vectors, and the scale
    `s = 2 |p| |y| / (|p|^2 + |y|^2)`, `dice(squared=True)` is `1 - s cos theta`. PolyDice expands the cosine and adds
    `epsilon` to the first coefficient: `(1 - s) + s ((1/2 + epsilon) theta^2 - theta^4 / 24 + ...)`.

    Class form of `poly_dice`, for `model.compile(loss=...)`.

    With `epsilon="per_image"`, every image has its own epsilon, which comes with the data: the third item of a batch,
    called `sample_weight` by Keras, is then epsilon, `(batch,)`, or epsilon and a weight, `(batch, 2)`. Without a third
    item, as in validation, epsilon is 0. Do not use `class_weight` of `fit` or `weighted_metrics` of `compile` then:
    they would use epsilon as a weight.

    Args:
        epsilon: Added to the first coefficient: a number above -1/2, or `"per_image"`. A higher epsilon penalises a
            wrong shape more than a wrong size.
        order: Highest power of `theta^2` in the expansion: 1 as in the paper, 2, 3, ... up to 90, or `None` for all
            powers.
        scale: `"corrected"`, as above; or `"printed"`, `2 <p, y> / (|p|^2 + |y|^2)`, for which order `None` and an
            epsilon of 0 do not give the Dice loss.
        smooth: Number of voxels added to numerators and denominators of scale and cosine. If positive, a class that is
            in neither map has a loss of 0. For slices without the organ, use `smooth=1`, as in `dice`.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Raises:
        ValueError: For an epsilon of -1/2 or less, or a wrong option.

    Reference:
        Hiroike (2026), Eq. 5 and 6, with the scale for which its Eq. 3 equals its Eq. 2.

    Example:
        >>> y_true, y_pred = np.eye(2)[[[[0, 0, 1, 1]]]], np.full((1, 1, 4, 2), 0.5)
        >>> round(float(losses.PolyDice(epsilon=0.2)(y_true, y_pred)), 3)
        0.464
    """

    epsilon: float | Literal["per_image"]
    order: int | None
    scale: Literal["corrected", "printed"]
    smooth: float
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        epsilon: float | Literal["per_image"] = 0.0,
        order: int | None = 1,
        scale: Literal["corrected", "printed"] = "corrected",
        smooth: float = 1e-06,
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "poly_dice",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...
    @property
    def _per_image(self) -> Any: ...

class Tversky(SegmentationLoss):
    """Tversky loss of each image, averaged over classes.

    `1 - (TP + smooth) / (TP + alpha * FP + beta * FN + smooth)` with the soft counts of one class. With alpha and beta
    of 0.5 it is the Dice loss with twice the `smooth`; with alpha and beta of 1 it is the Jaccard loss.

    Class form of `tversky`, for `model.compile(loss=...)`.

    Args:
        alpha: Weight of false positives, at least 0 (as Keras documents it; the code of Keras 3.15 has alpha and beta
            swapped).
        beta: Weight of false negatives, at least 0. Above alpha, it trades precision for recall. Alpha and beta are not
            both 0.
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of 0.
        smooth_numerator: Replaces `smooth` in the numerator (0 for Mehrtash et al., 2020), or `None`.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        variant: `"recommended"`; or `"released"`, which clips labels to `[1e-7, 1 - 1e-7]` as does the code of Yeung et
            al. (2021): see `dice_plus_plus`.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        [Salehi et al., 2017](https://arxiv.org/abs/1706.05721); Kethavath et al. (2025), Eq. 4, at 0.3 and 0.7;
        Yeung et al. (2021), Eq. 15 and 16, with `smooth=1e-7`, and with the power applied before alpha and beta.

    Example:
        >>> y_true, y_pred = np.ones((1, 8, 8, 1)), np.full((1, 8, 8, 1), 0.5)
        >>> round(float(losses.Tversky(alpha=0.3, beta=0.7)(y_true, y_pred)), 3)
        0.412
    """

    alpha: float
    beta: float
    smooth: float
    smooth_numerator: float | None
    penalty_gamma: float
    variant: Literal["recommended", "released"]
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        smooth: float = 1e-06,
        smooth_numerator: float | None = None,
        penalty_gamma: float = 1.0,
        variant: Literal["recommended", "released"] = "recommended",
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "tversky",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

class TverskyCE(SegmentationLoss):
    """`w * Tversky loss + (1 - w) * cross-entropy` of each image.

    Class form of `tversky_ce`, for `model.compile(loss=...)`, with fixed or adaptive weights.

    Adaptive weights need the metrics of the loss in `compile` and a callback in `fit`:

        loss = TverskyCE(0.7, 0.3, adaptive="epoch")
        model.compile("adam", loss=loss, metrics=loss.metrics)
        model.fit(..., callbacks=[keras_uq.callbacks.AdaptiveTverskyCE()])

    Args:
        alpha: Weight of false positives in the Tversky loss.
        beta: Weight of false negatives in the Tversky loss.
        tversky_weight: `w`, in [0, 1]; the initial value of adaptive weights.
        smooth: Number of voxels added to numerator and denominator of the Tversky index.
        adaptive: `None`: the weights are fixed. `"epoch"`: the weights of an epoch are computed from the mean losses of
            the epoch before. `"step"`: those of a batch, from the losses of the batch before.
        weights: The `TverskyCEWeights` of a loaded model; new ones by default.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the Tversky loss, if the classes are exclusive. The
            cross-entropy always includes all classes.
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Attributes:
        weights: The `TverskyCEWeights` that hold adaptive weights, or `None`.

    Reference:
        Zhang et al. (2025), Eq. 3 to 5 and 8: `include_background=False, over="batch"`, with an alpha of 0.7 and a beta
        of 0.3, or both 0.5. Eq. 3 of the paper is the Tversky index; the loss is one minus the index.
        Zhang et al. (2025), Eq. 8 to 11. The paper writes "epoch t-1" in one place and "next training step" in another,
        hence `"epoch"` and `"step"`.

    Example:
        >>> y_true, y_pred = np.eye(2)[[[[0, 0, 1, 1]]]], np.full((1, 1, 4, 2), 0.5)
        >>> round(float(losses.TverskyCE(0.7, 0.3, include_background=False)(y_true, y_pred)), 3)
        0.597
    """

    alpha: float
    beta: float
    tversky_weight: float
    smooth: float
    adaptive: Literal["epoch", "step"] | None
    weights: TverskyCEWeights | None
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        tversky_weight: float = 0.5,
        smooth: float = 1e-06,
        *,
        adaptive: Literal["epoch", "step"] | None = None,
        weights: TverskyCEWeights | None = None,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "tversky_ce",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...
    @property
    def metrics(self) -> list[Metric]: ...

class UnifiedFocal(SegmentationLoss):
    """`weight * asymmetric_focal + (1 - weight) * asymmetric_focal_tversky` of each image.

    Class form of `unified_focal`, for `model.compile(loss=...)`.

    Args:
        weight: Weight of the cross-entropy, in [0, 1]; lambda in the paper.
        delta: Weight of foreground classes in the cross-entropy, and of false negatives in the Tversky loss, in [0, 1].
        gamma: In [0, 1). Power of the error of the background in the cross-entropy. The Tversky loss of foreground
            classes is raised to `1 - gamma`.
        smooth: Number of voxels added to numerator and denominator of the Tversky index.
        penalty_gamma: Power of the false positive and the false negative of each voxel in the Tversky index: 2 gives
            Unified Focal++.
        variant: `"recommended"`; `"printed"`, where `delta` is the weight of false positives in the Tversky loss; or
            `"released"`, where `weight` is the weight of the Tversky loss, which is the same for a weight of 0.5.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        name: Name in logs; the name of the function by default.
        reduction: How Keras reduces the values of the images to one: `"sum_over_batch_size"` (the mean), `"sum"`,
            `"mean"`, `"mean_with_sample_weight"`, or `"none"` or `None` for no reduction.
        dtype: Floating type that the inputs are converted to, `keras.config.floatx()` by default, also under mixed
            precision.

    Reference:
        Yeung et al. (2021), Eq. 18; [Yeung et al., 2022](https://doi.org/10.1016/j.compmedimag.2021.102026).

    Example:
        >>> y_true, y_pred = np.eye(2)[[[[0, 0, 1, 1]]]], np.full((1, 1, 4, 2), 0.5)
        >>> round(float(losses.UnifiedFocal(weight=0.5, delta=0.6, gamma=0.5)(y_true, y_pred)), 3)
        0.455
    """

    weight: float
    delta: float
    gamma: float
    smooth: float
    penalty_gamma: float
    variant: Literal["recommended", "printed", "released"]
    over: Literal["image", "batch"]
    include_background: bool
    class_weights: Sequence[float] | numpy.ndarray | None
    ignore_value: float | None
    multilabel: bool
    from_logits: bool
    def __init__(
        self,
        weight: float = 0.5,
        delta: float = 0.6,
        gamma: float = 0.1,
        smooth: float = 1e-07,
        penalty_gamma: float = 1.0,
        variant: Literal["recommended", "printed", "released"] = "recommended",
        *,
        over: Literal["image", "batch"] = "image",
        include_background: bool = True,
        class_weights: Sequence[float] | numpy.ndarray | None = None,
        ignore_value: float | None = None,
        multilabel: bool = False,
        from_logits: bool = False,
        name: str = "unified_focal",
        reduction: Reduction | None = "sum_over_batch_size",
        dtype: str | DTypePolicy | None = None,
    ) -> None: ...

def asymmetric_focal(
    y_true: Any,
    y_pred: Any,
    delta: float = 0.6,
    gamma: float = 0.1,
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """Cross-entropy of each image that gives less weight to background voxels that are nearly right.

    `-delta y log p` for each foreground class and `-(1 - delta) (1 - p)^gamma y log p` for the background, summed over
    classes and averaged over voxels. Channel 0 is the background. A single channel, and each channel of a `multilabel`
    network, stands for two classes `[1 - p, p]`.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        delta: Weight of foreground classes, in [0, 1].
        gamma: Power of the error `1 - p` of the background, at least 0.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. They multiply the terms of the sum over exclusive classes, and
            the sum is not divided by them.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 19, with the probability of the background in the last logarithm.
    """

def asymmetric_focal_tversky(
    y_true: Any,
    y_pred: Any,
    delta: float = 0.6,
    gamma: float = 0.1,
    smooth: float = 1e-07,
    penalty_gamma: float = 1.0,
    variant: Literal["recommended", "printed", "released"] = "recommended",
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """Tversky loss of each image, averaged over classes, raised to the power `1 - gamma` for foreground classes.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        delta: Weight of false negatives, in [0, 1]; `1 - delta` is the weight of false positives.
        gamma: In [0, 1). A higher value gives more weight to foreground classes that are nearly right.
        smooth: Number of voxels added to numerator and denominator of the Tversky index.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        variant: `"recommended"` and `"released"`, as in the authors' code; or `"printed"`, where `delta` is the weight
            of false positives (Eq. 21).
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss in `[0, 1]`, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 20 and 21, as a mean over classes where the paper prints a sum.
    """

def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    voxels: Literal["mean", "sum"] = "mean",
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """Binary cross-entropy of each channel, averaged over voxels and classes.

    `-(y log p + (1 - y) log(1 - p))` with `p` clipped to `[1e-7, 1 - 1e-7]`. For training at extreme probabilities, use
    `from_logits=True`: logits of independent channels are not clipped at all, those of exclusive classes only in
    `log(1 - p)`.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        voxels: Whether the loss is the `"mean"` or the `"sum"` over voxels.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss of at least 0, shape `(batch,)`; at most 16.2 for the mean of probabilities.

    Reference:
        Kethavath et al. (2025), Eq. 3, which prints the sum; a constant factor does not change Adam's step.
    """

def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """Cross-entropy of the classes, `-sum_c w_c y_c log p_c`, averaged over voxels.

    `p` is clipped at 1e-7; with `from_logits=True` nothing is clipped. A single channel, and each channel of a
    `multilabel` network, stands for two classes `[1 - p, p]`: the loss is then the binary cross-entropy.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. They multiply the terms of the sum over exclusive classes, and
            the sum is not divided by them.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 1; Mehrtash et al. (2020), Eq. 1.
    """

def combo(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth: float = 1e-06,
    penalty_gamma: float = 1.0,
    variant: Literal["recommended", "released"] = "recommended",
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """`alpha * weighted cross-entropy - (1 - alpha) * Dice index` of each image.

    The cross-entropy is `-beta y log p` for foreground classes and `-(1 - beta) y log p` for the background, summed
    over classes and averaged over voxels. The Dice index is averaged over classes.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        alpha: Weight of the cross-entropy, in [0, 1].
        beta: Weight of false negatives in the cross-entropy, in [0, 1]; `1 - beta` is the weight of false positives.
        smooth: Number of voxels in the Dice index, `(TP + smooth) / (TP + (FP + FN) / 2 + smooth)`.
        penalty_gamma: Power of the false positive and the false negative of each voxel in the Dice index: 2 gives
            Combo++.
        variant: `"recommended"`, as printed in the paper; or `"released"`, as in the authors' code, where `beta` is the
            weight of the background. They agree for `beta=0.5`.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. They multiply the terms of the cross-entropy over exclusive
            classes, and are the weights of the mean of the Dice index over classes.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss of at least `-(1 - alpha)`, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 13 and 14 (with a minus sign before both terms of Eq. 14);
        [Taghanaki et al., 2019](https://arxiv.org/abs/1805.02798).
    """

def dice(
    y_true: Any,
    y_pred: Any,
    smooth: float = 1e-06,
    smooth_numerator: float | None = None,
    squared: bool = False,
    penalty_gamma: float = 1.0,
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """Dice loss of each image, averaged over classes.

    `1 - (2 TP + smooth) / (2 TP + FP + FN + smooth)` with the soft counts of one class. `2 TP + FP + FN` is the sum
    over labels and probabilities.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of 0. If it is small, an image without the class has a loss near 1 for any prediction, with almost no
            gradient: for slices without the organ, use `smooth=1` or `over="batch"`.
        smooth_numerator: Replaces `smooth` in the numerator (0 for Mehrtash et al., 2020), or `None`.
        squared: The denominator sums the squares of labels and probabilities (Milletari et al., 2016). With hard
            labels this equals `penalty_gamma=2`.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss in `[0, 1]`, shape `(batch,)`.

    Reference:
        Kethavath et al. (2025), Eq. 1. The paper gives no value for `smooth` and, like the code it cites, sums over the
        batch: `over="batch"`. Yeung et al. (2021), Eq. 2 and 3; their code has `smooth=1e-5` and two softmax channels.
    """

def dice_ce(
    y_true: Any,
    y_pred: Any,
    dice_weight: float = 0.5,
    smooth: float = 1e-06,
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """`w * Dice loss + (1 - w) * cross-entropy` of each image.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        dice_weight: `w`, in [0, 1].
        smooth: Number of voxels added to numerator and denominator of the Dice index.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the Dice loss, if the classes are exclusive. The
            cross-entropy always includes all classes.
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Zhang et al. (2025), who write that their adaptive weights outperform this loss, without a published result.
    """

def dice_plus_plus(
    y_true: Any,
    y_pred: Any,
    gamma: float = 2.0,
    smooth: float = 1e-07,
    variant: Literal["recommended", "released"] = "recommended",
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """DSC++ loss of each image, averaged over classes: a Dice loss that penalises confident errors most.

    `1 - (2 TP + smooth) / (2 TP + sum ((1 - y) p)^gamma + sum (y (1 - p))^gamma + smooth)`.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        gamma: Power of the false positive and the false negative of each voxel, above 0. 1 gives `dice`; with one
            foreground channel and hard labels, 2 gives `dice(squared=True)`.
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of 0.
        variant: `"recommended"`; or `"released"`, which clips labels as well as predictions to `[1e-7, 1 - 1e-7]` as
            does the authors' code. The difference matters only for `gamma < 1`, where every correct voxel then adds to
            the loss: `1e-7 ** 0.5` for a gamma of 0.5.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss in `[0, 1]`, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 9, which is for the foreground only: `include_background=False`.
    """

def focal_tversky(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.3,
    beta: float = 0.7,
    exponent: float = 0.75,
    smooth: float = 1e-06,
    smooth_numerator: float | None = None,
    penalty_gamma: float = 1.0,
    variant: Literal["recommended", "released"] = "recommended",
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """Focal Tversky loss of each image: a power of the Tversky loss of each class, averaged over classes.

    `max(tversky, 1e-7) ** exponent`. An exponent below 1 keeps the slope high for a class that is nearly right; an
    exponent above 1 gives more weight to the classes with a large error.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        alpha: Weight of false positives, at least 0.
        beta: Weight of false negatives, at least 0.
        exponent: Power of the Tversky loss, above 0. Kethavath et al. call it gamma; the original paper and Yeung et
            al. write `1 / gamma` with gamma = 4/3, which is also 0.75.
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of `1e-7 ** exponent`.
        smooth_numerator: Replaces `smooth` in the numerator (0 for Mehrtash et al., 2020), or `None`.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        variant: `"recommended"`; or `"released"`, which clips labels to `[1e-7, 1 - 1e-7]` as does the code of Yeung et
            al. (2021): see `dice_plus_plus`.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss in `[1e-7 ** exponent, 1]`, shape `(batch,)`.

    Reference:
        [Abraham and Khan, 2018](https://arxiv.org/abs/1810.07842); Kethavath et al. (2025), Eq. 5, which prints no
        value for the exponent; Yeung et al. (2021), Eq. 17, as a mean over classes.
    """

def hybrid(
    y_true: Any,
    y_pred: Any,
    smooth: float = 1e-06,
    window: int | None = 11,
    sigma: float = 1.5,
    padding: Literal["valid", "same"] = "valid",
    c1: float = 0.0001,
    c2: float = 0.0009,
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """Sum of the Jaccard, binary cross-entropy and SSIM losses of each image.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        smooth: Number of voxels added to numerator and denominator of the Jaccard index.
        window: Side of the window of SSIM in voxels, odd, or `None` for the whole image: see `ssim`.
        sigma: Standard deviation of the Gaussian window of SSIM in voxels.
        padding: Of SSIM: `"valid"`, or `"same"` for zeros around the image.
        c1: Constant of SSIM in the term of the means.
        c2: Constant of SSIM in the term of the variances.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Kethavath et al. (2025), Eq. 7. The cross-entropy is the mean over voxels; the sum that the paper prints would
        outweigh the other two terms.
    """

def jaccard(
    y_true: Any,
    y_pred: Any,
    smooth: float = 1e-06,
    smooth_numerator: float | None = None,
    penalty_gamma: float = 1.0,
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """Jaccard loss of each image, averaged over classes.

    `1 - (TP + smooth) / (TP + FP + FN + smooth)` with the soft counts of one class.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of 0.
        smooth_numerator: Replaces `smooth` in the numerator (0 for Mehrtash et al., 2020), or `None`.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss in `[0, 1]`, shape `(batch,)`.

    Reference:
        Kethavath et al. (2025), Eq. 8, which has no `smooth` and is 0/0 for a batch without foreground.
    """

def log_cosh(
    y_true: Any,
    y_pred: Any,
    voxels: Literal["mean", "sum"] = "mean",
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """Log-cosh of the error of each voxel, averaged over voxels and classes.

    `log(cosh(x)) = |x| + log(1 + exp(-2|x|)) - log 2` with `x = y_pred - y_true`, which is about `x ** 2 / 2`.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        voxels: Whether the loss is the `"mean"` or the `"sum"` over voxels.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss in `[0, 0.434]` for the mean, shape `(batch,)`.

    Reference:
        Kethavath et al. (2025), Eq. 2, which prints the sum; a constant factor does not change Adam's step.
    """

def log_cosh_dice(
    y_true: Any,
    y_pred: Any,
    smooth: float = 1e-06,
    smooth_numerator: float | None = None,
    penalty_gamma: float = 1.0,
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """Log-cosh of the Dice loss of each class, `log(cosh(dice))`, averaged over classes.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of 0.
        smooth_numerator: Replaces `smooth` in the numerator (0 for Mehrtash et al., 2020), or `None`.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss in `[0, 0.434]`, shape `(batch,)`.

    Reference:
        [Jadon, 2020](https://arxiv.org/abs/2006.14822).
    """

def log_dice(
    y_true: Any,
    y_pred: Any,
    smooth: float = 1e-06,
    smooth_numerator: float | None = None,
    penalty_gamma: float = 1.0,
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """Log Dice loss of each image, averaged over classes.

    `-log((2 TP + smooth) / (2 TP + FP + FN + smooth))` with the soft counts of one class, which is
    `-log(1 - dice loss)`. Its slope grows as the overlap decreases.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of 0.
        smooth_numerator: Replaces `smooth` in the numerator (0 for Mehrtash et al., 2020), or `None`.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss of at least 0, shape `(batch,)`; without overlap it is about `log(voxels / smooth)`.

    Reference:
        Kethavath et al. (2025), Eq. 6.
    """

def poly_dice(
    y_true: Any,
    y_pred: Any,
    epsilon: float | Any = 0.0,
    order: int | None = 1,
    scale: Literal["corrected", "printed"] = "corrected",
    smooth: float = 1e-06,
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """PolyDice loss of each image, averaged over classes.

    With the angle `theta` between labels `y` and probabilities `p` as vectors, and the scale
    `s = 2 |p| |y| / (|p|^2 + |y|^2)`, `dice(squared=True)` is `1 - s cos theta`. PolyDice expands the cosine and adds
    `epsilon` to the first coefficient: `(1 - s) + s ((1/2 + epsilon) theta^2 - theta^4 / 24 + ...)`.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        epsilon: Added to the first coefficient: a number above -1/2, or a tensor `(batch,)` with one number per image,
            which excludes `over="batch"`. (At -1/2 and below, a larger angle would have a smaller loss.) A higher
            epsilon penalises a wrong shape more than a wrong size.
        order: Highest power of `theta^2` in the expansion: 1 as in the paper, 2, 3, ... up to 90, or `None` for all
            powers.
        scale: `"corrected"`, as above; or `"printed"`, `2 <p, y> / (|p|^2 + |y|^2)`, for which order `None` and an
            epsilon of 0 do not give the Dice loss.
        smooth: Number of voxels added to numerators and denominators of scale and cosine. If positive, a class that is
            in neither map has a loss of 0. For slices without the organ, use `smooth=1`, as in `dice`.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss in `[0, 1 - s + s (1/2 + epsilon) pi^2 / 4]` up to rounding, shape `(batch,)`; it may exceed 1.

    Raises:
        ValueError: For an epsilon of -1/2 or less, or a wrong option.

    Reference:
        Hiroike (2026), Eq. 5 and 6, with the scale for which its Eq. 3 equals its Eq. 2.
    """

def ssim(
    y_true: Any,
    y_pred: Any,
    window: int | None = 11,
    sigma: float = 1.5,
    padding: Literal["valid", "same"] = "valid",
    c1: float = 0.0001,
    c2: float = 0.0009,
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """`1 - SSIM` between labels and probabilities as two images, averaged over positions and classes.

    Means, variances and covariance are those of a Gaussian window around each position, along every spatial axis (a
    cube in a volume). Variances are population moments, `E[x^2] - E[x]^2`. Ignored voxels are left out of the windows.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        window: Side of the window in voxels, odd; on a shorter axis, the largest odd side that fits. `None`: the means
            and variances are those of the whole image.
        sigma: Standard deviation of the Gaussian in voxels, at least 0.01.
        padding: `"valid"`, or `"same"` for zeros around the image.
        c1: Constant in the term of the means, above 0.
        c2: Constant in the term of the variances, above 0.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss in `[0, 2]`, shape `(batch,)`.

    Reference:
        Kethavath et al. (2025), Eq. 9 and 10. The printed constants 0.012 and 0.032 are `0.01^2` and `0.03^2` without
        their superscripts. The Gaussian window is taken from the fusion loss on which the paper builds.
    """

def tversky(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth: float = 1e-06,
    smooth_numerator: float | None = None,
    penalty_gamma: float = 1.0,
    variant: Literal["recommended", "released"] = "recommended",
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """Tversky loss of each image, averaged over classes.

    `1 - (TP + smooth) / (TP + alpha * FP + beta * FN + smooth)` with the soft counts of one class. With alpha and beta
    of 0.5 it is the Dice loss with twice the `smooth`; with alpha and beta of 1 it is the Jaccard loss.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        alpha: Weight of false positives, at least 0 (as Keras documents it; the code of Keras 3.15 has alpha and beta
            swapped).
        beta: Weight of false negatives, at least 0. Above alpha, it trades precision for recall. Alpha and beta are not
            both 0.
        smooth: Number of voxels added to numerator and denominator. If positive, a class that is in neither map has a
            loss of 0.
        smooth_numerator: Replaces `smooth` in the numerator (0 for Mehrtash et al., 2020), or `None`.
        penalty_gamma: Power of the false positive and the false negative of each voxel: 2 gives the "++" form of Yeung
            et al. (2021).
        variant: `"recommended"`; or `"released"`, which clips labels to `[1e-7, 1 - 1e-7]` as does the code of Yeung et
            al. (2021): see `dice_plus_plus`.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss in `[0, 1]`, shape `(batch,)`.

    Reference:
        [Salehi et al., 2017](https://arxiv.org/abs/1706.05721); Kethavath et al. (2025), Eq. 4, at 0.3 and 0.7;
        Yeung et al. (2021), Eq. 15 and 16, with `smooth=1e-7`, and with the power applied before alpha and beta.
    """

def tversky_ce(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.5,
    beta: float = 0.5,
    tversky_weight: float | Any = 0.5,
    smooth: float = 1e-06,
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """`w * Tversky loss + (1 - w) * cross-entropy` of each image.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        alpha: Weight of false positives in the Tversky loss.
        beta: Weight of false negatives in the Tversky loss.
        tversky_weight: `w`, in [0, 1]: a number, or a scalar tensor, through which no gradient flows.
        smooth: Number of voxels added to numerator and denominator of the Tversky index.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the Tversky loss, if the classes are exclusive. The
            cross-entropy always includes all classes.
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Zhang et al. (2025), Eq. 3 to 5 and 8: `include_background=False, over="batch"`, with an alpha of 0.7 and a beta
        of 0.3, or both 0.5. Eq. 3 of the paper is the Tversky index; the loss is one minus the index.
    """

def unified_focal(
    y_true: Any,
    y_pred: Any,
    weight: float = 0.5,
    delta: float = 0.6,
    gamma: float = 0.1,
    smooth: float = 1e-07,
    penalty_gamma: float = 1.0,
    variant: Literal["recommended", "printed", "released"] = "recommended",
    *,
    over: Literal["image", "batch"] = "image",
    include_background: bool = True,
    class_weights: Sequence[float] | numpy.ndarray | None = None,
    ignore_value: float | None = None,
    multilabel: bool = False,
    from_logits: bool = False,
    mask: Any = None,
) -> Any:
    """`weight * asymmetric_focal + (1 - weight) * asymmetric_focal_tversky` of each image.

    Args:
        y_true: One-hot labels, `(batch, *spatial, classes)`.
        y_pred: Probabilities, same shape.
        weight: Weight of the cross-entropy, in [0, 1]; lambda in the paper.
        delta: Weight of foreground classes in the cross-entropy, and of false negatives in the Tversky loss, in [0, 1].
        gamma: In [0, 1). Power of the error of the background in the cross-entropy. The Tversky loss of foreground
            classes is raised to `1 - gamma`.
        smooth: Number of voxels added to numerator and denominator of the Tversky index.
        penalty_gamma: Power of the false positive and the false negative of each voxel in the Tversky index: 2 gives
            Unified Focal++.
        variant: `"recommended"`; `"printed"`, where `delta` is the weight of false positives in the Tversky loss; or
            `"released"`, where `weight` is the weight of the Tversky loss, which is the same for a weight of 0.5.
        over: `"image"` computes the loss of each image; `"batch"` sums the voxels of the whole batch first and returns
            the one value for every image.
        include_background: `False` leaves channel 0 out of the mean over classes, if the classes are exclusive (two or
            more channels, not `multilabel`).
        class_weights: One number per class, at least 0. The mean over classes becomes `sum(w * loss) / sum(w)`.
        ignore_value: Voxels with this value in every channel of `y_true` are left out of every sum.
        multilabel: The channels are independent sigmoids, and none of them is the background.
        from_logits: `y_pred` holds logits instead of probabilities.
        mask: True where a voxel counts, `(batch, *spatial)`, or `None`.

    Returns:
        Loss of at least 0, shape `(batch,)`.

    Reference:
        Yeung et al. (2021), Eq. 18; [Yeung et al., 2022](https://doi.org/10.1016/j.compmedimag.2021.102026).
    """
