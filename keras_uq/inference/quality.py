"""Predict the Dice score of a new scan, without ground truth, from the mean entropy of its predicted segments."""

import json
import math
import os
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from keras_uq._kinds import Anything, Integer, Items, Mapping, Number, argument
from keras_uq.files import BadFile, check, parse
from keras_uq.metrics import segment_entropy

# Dice scores are clipped to this distance from 0 and 1 before the logit.
CLIP = 1e-3
# Smallest number of validation cases for a regression line.
LEAST_CASES = 4
# Smallest sum of squared deviations of the entropies that makes a line.
LEAST_SQUARES = 1e-30
# What `dice` computes of numbers below this limit is finite.
FINITE = Number(-1e100, 1e100)
# What each field of `ClassQuality` may be, as an argument and in JSON.
KINDS = {
    "label": Integer(1, 255),
    "slope": FINITE,
    "intercept": FINITE,
    "r": Number(-1, 1),
    "p": Number(0, 1),
    "n": Integer(LEAST_CASES, 10**9),
    "residual_std": Number(0, 1e100),
    "mean": FINITE,
    "squares": Number(LEAST_SQUARES, 1e100),
    "threshold": FINITE,
}


@dataclass(frozen=True)
class ClassQuality:
    """The regression of one class: `logit(Dice) = intercept + slope * entropy`.

    Attributes:
        label: Number of the class.
        slope: Slope of the regression line, in logits per nat; expected to be negative.
        intercept: Intercept of the regression line.
        r: Pearson's correlation of `logit(Dice)` and entropy.
        p: p-value of the test that there is no correlation.
        n: Number of cases that the line was fitted on.
        residual_std: Standard deviation of the residuals, in logits.
        mean: Mean of the entropies.
        squares: Sum of squared deviations of the entropies from their mean.
        threshold: Entropy above which a scan is flagged for review.
    """

    label: int
    slope: float
    intercept: float
    r: float
    p: float
    n: int
    residual_std: float
    mean: float
    squares: float
    threshold: float

    def __post_init__(self):
        for name, kind in KINDS.items():
            argument("ClassQuality", name, getattr(self, name), kind)

    def dice(self, entropy: float, level: float = 0.95) -> tuple[float, float, float]:
        """Predict the Dice score of a segment from its entropy.

        Args:
            entropy: `segment_entropy` of the segment, in nats.
            level: Level of the prediction interval, in (0, 1).

        Returns:
            `(predicted Dice, low, high)`; the interval is a prediction interval for a single new scan.
        """
        entropy = argument("ClassQuality.dice", "entropy", entropy, FINITE)
        level = argument("ClassQuality.dice", "level", level, Number(above=0, below=1))
        centre = self.intercept + self.slope * entropy
        spread = math.sqrt(1 + 1 / self.n + (entropy - self.mean) ** 2 / self.squares)
        reach = stats.t.ppf((1 + level) / 2, self.n - 2) * self.residual_std * spread
        return tuple(float(special.expit(value)) for value in (centre, centre - reach, centre + reach))


@dataclass(frozen=True)
class QualityCard:
    """Linear regressions of Dice on segment entropy, one per foreground class, fitted on validation cases.

    A card can be saved with a model (`save_model(..., quality=card)`). `keras-uq predict` then writes the predicted
    Dice of every scan into its JSON file.

    Attributes:
        classes: One `ClassQuality` per foreground class, in the order of the classes.

    Reference:
        Mehrtash et al. (2020), Section VI-E and Figure 3: logit-transformed Dice against `H(S)`.
    """

    classes: tuple[ClassQuality, ...]

    def __post_init__(self):
        labels = [quality.label for quality in self.classes]
        if not labels or labels != sorted(set(labels)):
            raise ValueError(
                f"A QualityCard needs one line per foreground class, in ascending order of `label`. Received: {labels}."
            )

    @classmethod
    def fit(cls, entropies: npt.ArrayLike, dices: npt.ArrayLike, share: float = 0.05) -> Self:
        """Fit a card on validation cases.

        Args:
            entropies: `segment_entropy` of each case, `(cases, foreground classes)`; NaN where nothing was predicted.
                Such a case does not contribute to the class's line, and a new case of this kind is always flagged.
            dices: Dice scores of the cases, same shape.
            share: Share of the validation cases above the threshold, in [0, 1]. About this share of similar cases is
                flagged.

        Returns:
            The fitted `QualityCard`.

        Raises:
            ValueError: If the shapes differ, if an entropy is infinite or a Dice score lies outside [0, 1], if a class
                has fewer than 4 cases with both numbers, or if all of its entropies are equal.
        """
        share = argument("QualityCard.fit", "share", share, Number(0, 1))
        try:
            entropies, dices = (np.asarray(values, dtype="float64") for values in (entropies, dices))
        except (TypeError, ValueError) as error:
            raise ValueError(f"QualityCard.fit expects numbers, with NaN for what is missing: {error}.") from None
        if entropies.shape != dices.shape or entropies.ndim != 2:
            raise ValueError(
                "Expected entropies and Dice scores of one shape, (cases, foreground classes). "
                f"Received: {entropies.shape} and {dices.shape}."
            )
        if np.isinf(entropies).any():
            raise ValueError(f"Expected finite entropies. Received: {np.isinf(entropies).sum()} infinite values.")
        outside = dices[(dices < 0) | (dices > 1)]
        if outside.size:
            raise ValueError(f"Expected Dice scores in [0, 1]. Received: {outside[:5].tolist()}.")
        return cls(
            tuple(
                _fit_class(label, entropy, dice, share)
                for label, (entropy, dice) in enumerate(zip(entropies.T, dices.T), start=1)
            )
        )

    def read(self, probabilities: npt.ArrayLike) -> list[dict[str, Any]]:
        """Predict the Dice score of one scan, class by class.

        Args:
            probabilities: Probabilities of the whole scan, `(*spatial, classes)`, made as for the validation cases.

        Returns:
            One dictionary of JSON types per class: the predicted Dice with its interval, and whether the scan is
            flagged for review.

        Raises:
            ValueError: If the scan has another number of classes than the card, or if a value is NaN or outside [0, 1].
        """
        probabilities = np.asarray(probabilities)
        if probabilities.size == 0 or not np.isfinite(probabilities).all():
            share = np.mean(~np.isfinite(probabilities)) if probabilities.size else 0
            raise ValueError(
                f"A QualityCard reads finite probabilities of a whole scan. Received: shape={probabilities.shape}, "
                f"{share:.2%} NaN or infinite."
            )
        entropies = segment_entropy(probabilities)
        if len(entropies) != len(self.classes):
            raise ValueError(f"The card has {len(self.classes)} foreground classes. Received: {len(entropies)}.")
        return [self._line(quality, entropy) for quality, entropy in zip(self.classes, entropies)]

    def _line(self, quality, entropy):
        if math.isnan(entropy):
            return {"class": quality.label, "flag": True, "why": "nothing was segmented"}
        dice, low, high = quality.dice(entropy)
        flag = bool(entropy > quality.threshold)
        return {
            "class": quality.label,
            "segment_entropy": float(entropy),
            "predicted_dice": dice,
            "low": low,
            "high": high,
            "flag": flag,
            "why": f"segment entropy above {quality.threshold:.3f}, where validation scans seldom are" if flag else "",
        }

    def to_json(self) -> str:
        """Return the card as JSON text."""
        return json.dumps({"classes": [asdict(quality) for quality in self.classes]}, indent=2)

    @classmethod
    def from_json(cls, text: str | bytes, source: str | os.PathLike = "quality card") -> Self:
        """Return the card that `to_json` wrote.

        Args:
            text: JSON text, or its bytes in UTF-8.
            source: File that errors name.

        Raises:
            BadFile: If the text is no JSON, lacks a field, or holds an unknown one or a value that a field cannot have.
        """
        lines = parse(text, source, once=True)
        check(lines, {"classes": Items(Mapping(Anything()), least=1, most=255)}, source)
        for number, line in enumerate(lines["classes"], start=1):
            check(line, KINDS, f"{source}, entry {number} of `classes`")
        try:
            return cls(tuple(ClassQuality(**line) for line in lines["classes"]))
        except ValueError as error:
            raise BadFile(f"{source}: {error}") from None


def logit_dice(dice: npt.ArrayLike) -> np.ndarray | np.floating:
    """Return the logit of Dice scores, `log(d / (1 - d))`, with Dice clipped to [0.001, 0.999]."""
    return special.logit(np.clip(dice, CLIP, 1 - CLIP))


def _fit_class(label, entropy, dice, share):
    complete = ~(np.isnan(entropy) | np.isnan(dice))
    if complete.sum() < LEAST_CASES:
        raise ValueError(
            f"Class {label} has {complete.sum()} validation cases with a segment and a Dice score; a regression needs "
            f"at least {LEAST_CASES}."
        )
    x, y = entropy[complete], logit_dice(dice[complete])
    squares = float(((x - x.mean()) ** 2).sum())
    if np.ptp(x) == 0 or squares < LEAST_SQUARES:
        raise ValueError(f"All {len(x)} segments of class {label} have the same entropy, so no line can be fitted.")
    line = stats.linregress(x, y)
    residuals = y - line.intercept - line.slope * x
    return ClassQuality(
        label=label,
        slope=float(line.slope),
        intercept=float(line.intercept),
        r=float(line.rvalue),
        p=float(line.pvalue),
        n=len(x),
        residual_std=math.sqrt(float(residuals @ residuals) / (len(x) - 2)),
        mean=float(x.mean()),
        squares=squares,
        threshold=float(np.quantile(x, 1 - share)),
    )
