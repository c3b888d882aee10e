"""What a scan's segmentation is probably worth, without its ground truth: read off the entropy of its segments."""

import json
import math
from dataclasses import asdict, dataclass

import numpy as np
from scipy import special, stats

from keras_uq.metrics import segment_entropy

# Dice scores are kept this far from 0 and 1 before the logit.
CLIP = 1e-3
LEAST_CASES = 4


@dataclass(frozen=True)
class ClassQuality:
    """The regression of one class: `logit(Dice) = intercept + slope * entropy`.

    Attributes:
        label: The class.
        slope: Of the line, in logits a nat; expected to be negative.
        intercept: Of the line.
        r: Pearson's correlation of `logit(Dice)` and entropy.
        p: Of the test that there is none.
        n: Cases it was fitted on.
        residual_std: Standard deviation around the line, in logits.
        mean: Of the entropies.
        squares: Sum of their squared distances from it.
        threshold: Entropy above which a scan is flagged.
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

    def dice(self, entropy, level=0.95):
        """`(predicted Dice, low, high)` of a segment of this entropy; the interval is for a single new scan."""
        centre = self.intercept + self.slope * entropy
        spread = math.sqrt(1 + 1 / self.n + (entropy - self.mean) ** 2 / self.squares)
        reach = stats.t.ppf((1 + level) / 2, self.n - 2) * self.residual_std * spread
        return tuple(float(special.expit(value)) for value in (centre, centre - reach, centre + reach))


@dataclass(frozen=True)
class QualityCard:
    """Regressions of Dice on segment entropy, one a foreground class, fitted on validation cases.

    A model file can carry one (`save_model(..., quality=card)`); `keras-uq predict` then writes what it says beside
    every scan.

    Reference:
        Mehrtash et al. (2020), Section VI-E and Figure 3: logit-transformed Dice against `H(S)`.
    """

    classes: tuple

    @classmethod
    def fit(cls, entropies, dices, share=0.05):
        """Fit on validation cases.

        Args:
            entropies: `segment_entropy` of each case, `(cases, foreground classes)`. NaN where nothing was predicted;
                such a case is left out of that class's line, and a new one is always flagged.
            dices: Their Dice scores, same shape.
            share: About this share of cases like these will be flagged: the threshold is that quantile from above.

        Raises:
            ValueError: If the shapes differ, a class has fewer than 4 cases with both numbers, or no spread of entropy.
        """
        entropies, dices = (np.asarray(values, dtype="float64") for values in (entropies, dices))
        if entropies.shape != dices.shape or entropies.ndim != 2:
            raise ValueError(
                "Expected entropies and Dice scores of one shape, (cases, foreground classes). "
                f"Received: {entropies.shape} and {dices.shape}."
            )
        return cls(
            tuple(
                _fit_class(label, entropy, dice, share)
                for label, (entropy, dice) in enumerate(zip(entropies.T, dices.T), start=1)
            )
        )

    def read(self, probabilities):
        """What the card says about one scan, one dictionary of JSON types a class.

        Args:
            probabilities: Of the whole scan, `(*spatial, classes)`, as the card was fitted on.

        Raises:
            ValueError: If the scan has another number of classes.
        """
        found = segment_entropy(probabilities)
        if len(found) != len(self.classes):
            raise ValueError(f"The card is of {len(self.classes)} foreground classes. Received: {len(found)}.")
        return [self._line(quality, entropy) for quality, entropy in zip(self.classes, found)]

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

    def to_json(self):
        """The card as JSON text."""
        return json.dumps({"classes": [asdict(quality) for quality in self.classes]}, indent=2)

    @classmethod
    def from_json(cls, text):
        """The card that `to_json` wrote."""
        return cls(tuple(ClassQuality(**values) for values in json.loads(text)["classes"]))


def logit_dice(dice):
    """`log(d / (1 - d))` with Dice kept within [0.001, 0.999]."""
    return special.logit(np.clip(dice, CLIP, 1 - CLIP))


def _fit_class(label, entropy, dice, share):
    known = ~(np.isnan(entropy) | np.isnan(dice))
    if known.sum() < LEAST_CASES:
        raise ValueError(
            f"Class {label} has {known.sum()} validation cases with a segment and a Dice score; a line needs at least "
            f"{LEAST_CASES}."
        )
    x, y = entropy[known], logit_dice(dice[known])
    if np.ptp(x) == 0:
        raise ValueError(f"All {len(x)} segments of class {label} have one entropy, so there is no line.")
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
        squares=float(((x - x.mean()) ** 2).sum()),
        threshold=float(np.quantile(x, 1 - share)),
    )
