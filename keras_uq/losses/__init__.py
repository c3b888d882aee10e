"""Losses for segmentation, each as a function and as a class: `tversky(...)` and `Tversky(...)`.

**Shapes.** `y_true` and `y_pred` are `(batch, *spatial, classes)` with any number of spatial axes. With one class,
`y_pred` is the probability of the foreground (sigmoid); with two or more, it is a softmax, and `y_true` is one-hot. The
functions return one value per image, `(batch,)`; the classes leave `reduction` and `sample_weight` to Keras. Pass the
class to `compile`: before it calls a function, Keras squeezes the inputs.

**Options.** Every loss has the options `over`, `include_background`, `class_weights`, `ignore_value`, `multilabel` and
`from_logits`, as keyword arguments of the function and as arguments of the class. A `mask` of the voxels that count is
an argument of the function and of the call of the loss. `help` of any loss explains them. Cross-entropies (categorical,
asymmetric focal, and those parts of Combo and Unified Focal) are sums over exclusive classes, and there `class_weights`
multiply the terms of the sum.

Overlap losses also have `penalty_gamma` (2 for the "++" form of Yeung et al., 2021) and `smooth`, a number of voxels
added to numerator and denominator, so that a class in neither map has a loss of 0. Some have `smooth_numerator`, which
replaces it in the numerator (0 for Mehrtash et al., 2020), and `variant`, where a paper and its published code differ.

A wrong shape, option or weight raises a `ValueError` that states what was expected, what was received and how to
correct it. A `TypeError` names a wrong argument.

**Symbols of the papers.** The letters differ between papers; here `alpha` is always the weight of false positives and
`beta` the weight of false negatives, except in `Combo`.

| paper, equation | here |
| --- | --- |
| Kethavath et al. (2025), Eq. 1 | `Dice(over="batch")` |
| Eq. 2 | `LogCosh()` |
| Eq. 3 | `BinaryCrossentropy()` |
| Eq. 4 | `Tversky(alpha=0.3, beta=0.7, over="batch")` |
| Eq. 5, its `gamma` | `FocalTversky(alpha=0.3, beta=0.7, exponent=0.75, over="batch")` |
| Eq. 6 | `LogDice(over="batch")` |
| Eq. 7 | `Hybrid(over="batch")` |
| Eq. 8 | `Jaccard(over="batch")` |
| Eq. 9, 10 | `SSIM()` |
| Yeung et al. (2021), Eq. 1 | `CategoricalCrossentropy()` |
| Eq. 2, 3 | `Dice(smooth=1e-5)` |
| Eq. 9, DSC++ | `DicePlusPlus(gamma=2)` |
| Eq. 13, 14, and ++ | `Combo(alpha=0.5, beta=0.5)`, and `penalty_gamma=2` |
| Eq. 15, 16, and ++ | `Tversky(alpha=0.3, beta=0.7, smooth=1e-7)`, and `penalty_gamma=2` |
| Eq. 17, its `1 / gamma`, and ++ | `FocalTversky(0.3, 0.7, exponent=0.75, smooth=1e-7)`, and `penalty_gamma=2` |
| Eq. 18, its `lambda`, and ++ | `UnifiedFocal(weight=0.5, delta=0.6, gamma=0.1)`, and `penalty_gamma=2` |
| Eq. 19 | `AsymmetricFocal(delta=0.6, gamma=0.1)` |
| Eq. 20, 21 | `AsymmetricFocalTversky(delta=0.6, gamma=0.1)` |
| Mehrtash et al. (2020), Eq. 1 | `CategoricalCrossentropy(class_weights=...)` |
| Eq. 2 | `Dice(over="batch", smooth_numerator=0, multilabel=True)` |
| Hiroike (2026), Eq. 2 | `Dice(squared=True)` |
| Eq. 6, PolyDice-1 | `PolyDice(epsilon=0.0)`; one epsilon per image: `PolyDice(epsilon="per_image")` |
| Zhang et al. (2025), 1 minus Eq. 3 | `Tversky(alpha=0.7, beta=0.3, over="batch", include_background=False)` |
| Eq. 8 to 11 | `TverskyCE(0.7, 0.3, adaptive="epoch", over="batch", include_background=False)` |
"""

from keras_uq.losses._base import SegmentationLoss
from keras_uq.losses.combo import Combo, combo
from keras_uq.losses.crossentropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    binary_crossentropy,
    categorical_crossentropy,
)
from keras_uq.losses.dice import Dice, DicePlusPlus, dice, dice_plus_plus
from keras_uq.losses.dice_ce import DiceCE, dice_ce
from keras_uq.losses.focal_tversky import FocalTversky, focal_tversky
from keras_uq.losses.hybrid import Hybrid, hybrid
from keras_uq.losses.jaccard import Jaccard, jaccard
from keras_uq.losses.log_cosh import LogCosh, LogCoshDice, log_cosh, log_cosh_dice
from keras_uq.losses.log_dice import LogDice, log_dice
from keras_uq.losses.poly_dice import PolyDice, poly_dice
from keras_uq.losses.ssim import SSIM, ssim
from keras_uq.losses.tversky import Tversky, tversky
from keras_uq.losses.tversky_ce import TverskyCE, TverskyCEWeights, tversky_ce
from keras_uq.losses.unified_focal import (
    AsymmetricFocal,
    AsymmetricFocalTversky,
    UnifiedFocal,
    asymmetric_focal,
    asymmetric_focal_tversky,
    unified_focal,
)

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
