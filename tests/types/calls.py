"""Right and wrong calls of every loss. A type checker must report exactly the lines that are marked `# wrong: <rule>`.

`python -m tests.types` runs the type checker; `test_types.py` runs the calls.
"""

import keras
import numpy as np

import keras_uq
from keras_uq import losses

Y = np.ones((1, 4, 4, 2), "float32")
P = np.full((1, 4, 4, 2), 0.5, "float32")
MASK = np.ones((1, 4, 4), bool)

# Classes, each with its own arguments.
losses.SSIM(window=3, sigma=1.5, padding="same", c1=1e-4, c2=9e-4)
losses.AsymmetricFocal(delta=0.6, gamma=0.1)
losses.AsymmetricFocalTversky(delta=0.6, gamma=0.1, smooth=1, penalty_gamma=2, variant="printed")
losses.BinaryCrossentropy(voxels="sum")
losses.CategoricalCrossentropy(class_weights=[1, 2.5])
losses.Combo(alpha=0.5, beta=0.5, smooth=1, penalty_gamma=2, variant="released")
losses.Dice(smooth=1, smooth_numerator=0, squared=False, penalty_gamma=2)
losses.DiceCE(dice_weight=0.5, smooth=1)
losses.DicePlusPlus(gamma=2, smooth=1e-7, variant="released")
losses.FocalTversky(0.3, 0.7, exponent=0.75, smooth=1, smooth_numerator=0, penalty_gamma=2, variant="released")
losses.FocalTversky(alpha=0.3, beta=0.7)
losses.Hybrid(smooth=1, window=None, sigma=1.5, padding="same", c1=1e-4, c2=9e-4)
losses.Jaccard(smooth=1, smooth_numerator=0, penalty_gamma=2)
losses.LogCosh(voxels="mean")
losses.LogCoshDice(smooth=1, smooth_numerator=0, penalty_gamma=2)
losses.LogDice(smooth=1, smooth_numerator=None, penalty_gamma=2)
losses.PolyDice(epsilon="per_image", order=None, scale="corrected", smooth=1)
losses.PolyDice(0.2, order=2, scale="printed")
losses.Tversky(alpha=0.3, beta=0.7, smooth=1, smooth_numerator=0, penalty_gamma=2, variant="recommended")
losses.TverskyCE(alpha=0.7, beta=0.3, tversky_weight=0.5, smooth=1, adaptive="epoch", weights=None)
losses.TverskyCEWeights(start=(0.3, 0.7), name="tversky_weight", dtype="float32")
losses.UnifiedFocal(weight=0.5, delta=0.6, gamma=0.1, smooth=1, penalty_gamma=2, variant="released")

losses.SSIM(windw=3)  # wrong: reportCallIssue
losses.SSIM(padding="reflect")  # wrong: reportArgumentType
losses.AsymmetricFocal(detla=0.6)  # wrong: reportCallIssue
losses.AsymmetricFocalTversky(variant="paper")  # wrong: reportArgumentType
losses.BinaryCrossentropy(voxels="max")  # wrong: reportArgumentType
losses.CategoricalCrossentropy(weights=[1, 2])  # wrong: reportCallIssue
losses.Combo(beta="0.5")  # wrong: reportArgumentType
losses.Dice(over="bach")  # wrong: reportArgumentType
losses.Dice(smoth=1)  # wrong: reportCallIssue
losses.DiceCE(weight=0.5)  # wrong: reportCallIssue
losses.DicePlusPlus(variant="printed")  # wrong: reportArgumentType
losses.FocalTversky(gamma=0.75)  # wrong: reportCallIssue
losses.Hybrid(voxels="mean")  # wrong: reportCallIssue
losses.Jaccard(1, 0, 2, "batch")  # wrong: reportCallIssue
losses.LogCosh(smooth=1)  # wrong: reportCallIssue
losses.LogCoshDice(squared=True)  # wrong: reportCallIssue
losses.LogDice(smooth=None)  # wrong: reportArgumentType
losses.PolyDice(epsilon="image")  # wrong: reportArgumentType
losses.PolyDice(scale="paper")  # wrong: reportArgumentType
losses.Tversky(alfa=0.3)  # wrong: reportCallIssue
losses.Tversky(0.3, alpha=0.3)  # wrong: reportCallIssue
losses.TverskyCE(adaptive="batch")  # wrong: reportArgumentType
losses.TverskyCE(adaptiv="epoch")  # wrong: reportCallIssue
losses.TverskyCEWeights(begin=(0.3, 0.7))  # wrong: reportCallIssue
losses.UnifiedFocal(lamda=0.5)  # wrong: reportCallIssue

# Options of every class.
losses.Dice(over="batch", include_background=False, class_weights=(1, 2), ignore_value=255)
losses.Dice(multilabel=True, from_logits=True, name="dice", reduction="sum", dtype="float32")
losses.Dice(class_weights=np.array([1.0, 2.0]), reduction=None, dtype=keras.DTypePolicy("float32"))
losses.Dice(class_weights=2)  # wrong: reportArgumentType
losses.Dice(include_background="no")  # wrong: reportArgumentType
losses.Dice(ignore_value="255")  # wrong: reportArgumentType
losses.Dice(reduction="median")  # wrong: reportArgumentType
losses.Dice(mask=MASK)  # wrong: reportCallIssue

# Functions.
losses.asymmetric_focal(Y, P, delta=0.6, gamma=0.1)
losses.asymmetric_focal_tversky(Y, P, delta=0.6, gamma=0.1, smooth=1, penalty_gamma=2, variant="released")
losses.binary_crossentropy(Y, P, voxels="sum")
losses.categorical_crossentropy(Y, P, class_weights=[1, 2])
losses.combo(Y, P, alpha=0.5, beta=0.5, smooth=1, penalty_gamma=2, variant="released")
losses.dice(Y, P, smooth=1, smooth_numerator=0, squared=False, penalty_gamma=2)
losses.dice_ce(Y, P, dice_weight=0.5, smooth=1)
losses.dice_plus_plus(Y, P, gamma=2, smooth=1e-7, variant="released")
losses.focal_tversky(Y, P, 0.3, 0.7, exponent=0.5, smooth=1, smooth_numerator=0, penalty_gamma=2, variant="released")
losses.focal_tversky(Y, P, alpha=0.3, beta=0.7)
losses.hybrid(Y, P, smooth=1, window=3, sigma=1.5, padding="same", c1=1e-4, c2=9e-4)
losses.jaccard(Y, P, smooth=1, smooth_numerator=0, penalty_gamma=2)
losses.log_cosh(Y, P, voxels="mean")
losses.log_cosh_dice(Y, P, smooth=1, smooth_numerator=0, penalty_gamma=2)
losses.log_dice(Y, P, smooth=1, smooth_numerator=None, penalty_gamma=2)
losses.poly_dice(Y, P, epsilon=np.array([0.1]), order=None, scale="corrected", smooth=1)
losses.ssim(Y, P, window=3, sigma=1.5, padding="same", c1=1e-4, c2=9e-4)
losses.tversky(Y, P, alpha=0.3, beta=0.7, smooth=1, smooth_numerator=0, penalty_gamma=2, variant="released")
losses.tversky_ce(Y, P, alpha=0.7, beta=0.3, tversky_weight=np.ones(()), smooth=1)
losses.unified_focal(Y, P, weight=0.5, delta=0.6, gamma=0.1, smooth=1, penalty_gamma=2, variant="printed")
losses.dice(Y, P, over="batch", include_background=False, class_weights=(1, 2), ignore_value=255)
losses.dice(y_true=Y, y_pred=P, multilabel=True, from_logits=True, mask=MASK)

losses.asymmetric_focal(Y, P, detla=0.6)  # wrong: reportCallIssue
losses.asymmetric_focal_tversky(Y, P, variant="paper")  # wrong: reportArgumentType
losses.binary_crossentropy(Y, P, voxels="max")  # wrong: reportArgumentType
losses.categorical_crossentropy(Y, P, weights=[1, 2])  # wrong: reportCallIssue
losses.combo(Y, P, gama=2)  # wrong: reportCallIssue
losses.dice(Y)  # wrong: reportCallIssue
losses.dice(Y, P, over="bach")  # wrong: reportArgumentType
losses.dice_ce(Y, P, weight=0.5)  # wrong: reportCallIssue
losses.dice_plus_plus(Y, P, variant="printed")  # wrong: reportArgumentType
losses.focal_tversky(Y, P, gamma=0.75)  # wrong: reportCallIssue
losses.hybrid(Y, P, windw=3)  # wrong: reportCallIssue
losses.jaccard(Y, P, 1, 0, 2, "batch")  # wrong: reportCallIssue
losses.log_cosh(Y, P, smooth=1)  # wrong: reportCallIssue
losses.log_cosh_dice(Y, P, squared=True)  # wrong: reportCallIssue
losses.log_dice(Y, P, smooth=None)  # wrong: reportArgumentType
losses.poly_dice(Y, P, scale="paper")  # wrong: reportArgumentType
losses.ssim(Y, P, padding="reflect")  # wrong: reportArgumentType
losses.tversky(Y, P, alfa=0.3)  # wrong: reportCallIssue
losses.tversky_ce(Y, P, adaptive="epoch")  # wrong: reportCallIssue
losses.unified_focal(Y, P, lamda=0.5)  # wrong: reportCallIssue

# Attributes, calls of a loss, and classes of one's own.
tversky = keras_uq.losses.Tversky(alpha=0.3, beta=0.7)
alpha: float = tversky.alpha
tversky(Y, P, mask=MASK)
tversky(Y, P, sample_weight=np.ones(1))
adaptive = losses.TverskyCE(adaptive="step")
metrics: list[keras.metrics.Metric] = adaptive.metrics
print(tversky.alfa)  # wrong: reportAttributeAccessIssue
print(tversky.exponent)  # wrong: reportAttributeAccessIssue
over: int = tversky.over  # wrong: reportAssignmentType
tversky(Y, P, masc=MASK)  # wrong: reportCallIssue
keras_uq.losses.Tverski()  # wrong: reportAttributeAccessIssue
keras_uq.loses.Tversky()  # wrong: reportAttributeAccessIssue


class Half(losses.SegmentationLoss):
    function = staticmethod(losses.dice)


Half(smooth=1)(Y, P)
