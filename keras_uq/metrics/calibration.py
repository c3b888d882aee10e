"""Are probabilities what they say? Proper scores, calibration error and reliability, exact over any number of cases."""

import math
from typing import NamedTuple

import numpy as np

# Probabilities are kept this far from 0 before a logarithm.
CLIP = 1e-7
# Bins that are counted; all numbers of bins that divide it can be asked for.
FINE = 60
# In bins: the float32 next to an edge counts as the edge.
EDGE = 4e-6
# Voxels at a time.
CHUNK = 2**18


class Reliability(NamedTuple):
    """A reliability curve; arrays `(bins,)`, or `(classes, bins)` for `kind="class"`.

    Attributes:
        counts: Voxels in each bin, integers.
        confidence: Their mean probability; NaN in an empty bin.
        accuracy: The share of them for which the event came true; NaN in an empty bin.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


class Calibration:
    """Sums from which scores of probabilities follow, over one case or many.

    Memory does not grow with the number of voxels; sums are float64, counts integers, so neither is a large scan
    rounded away. `a + b` is the same as adding all cases to one: keep one a case for values by case, add them up for
    pooled values.

    Attributes:
        voxels: How many have been added.
        classes: How many there are, the background counted; `None` before any voxel.
    """

    def __init__(self):
        self.voxels = 0
        self.classes = None
        self._log_loss = 0.0
        self._foreground_log_loss = 0.0
        self._squares = 0.0
        self._bins = {}

    def add(self, labels, probabilities):
        """Take in one case, or a part of one.

        Args:
            labels: Class numbers, `(*spatial)`, integers or Booleans.
            probabilities: `(*spatial, classes)`; one class is the probability of foreground.

        Raises:
            ValueError: If the shapes do not match, a label is no class, or a value is not within [0, 1].
        """
        labels, probabilities = np.asarray(labels), np.asarray(probabilities)
        if labels.shape != probabilities.shape[:-1] or labels.dtype.kind not in "biu":
            raise ValueError(
                "Expected class numbers (*spatial) and probabilities (*spatial, classes). "
                f"Received: {labels.dtype} {labels.shape} and {probabilities.shape}."
            )
        # One sigmoid is two classes.
        classes = max(probabilities.shape[-1], 2)
        if self.classes not in (None, classes):
            raise ValueError(f"Expected {self.classes} classes, as in the cases before. Received: {classes}.")
        if labels.size == 0:
            return
        if labels.max() >= classes or labels.min() < 0:
            raise ValueError(f"Expected labels from 0 to {classes - 1}. Received: {labels.min()} to {labels.max()}.")
        if not (probabilities.min() >= 0 and probabilities.max() <= 1):
            raise ValueError(
                f"Expected probabilities in [0, 1]. Received: {probabilities.min()} to {probabilities.max()}."
            )
        self.classes = classes
        self.voxels += labels.size
        labels, probabilities = labels.reshape(-1), probabilities.reshape(-1, probabilities.shape[-1])
        for start in range(0, len(labels), CHUNK):
            part = slice(start, start + CHUNK)
            self._add(labels[part], probabilities[part].astype("float64"))

    def _add(self, labels, probabilities):
        # For one sigmoid, p >= 0.5 is foreground; in an arg-max the first of equal ones wins.
        single = probabilities.shape[1] == 1
        columns = list(np.ascontiguousarray(probabilities.T))
        columns = [1 - columns[0], columns[0]] if single else columns
        confidence, predicted = columns[0], np.zeros(labels.shape, dtype="uint8")
        for value, p in enumerate(columns):
            here = labels == value
            hit = p[here]
            loss = -float(np.sum(np.log(np.maximum(hit, CLIP))))
            self._log_loss += loss
            self._foreground_log_loss += loss if value else 0.0
            # The sum of (y - p)^2.
            self._squares += float(np.dot(p, p) - 2 * hit.sum() + len(hit))
            self._count(value, p, here)
            if value:
                predicted[p >= confidence if single else p > confidence] = value
                confidence = np.maximum(confidence, p)
        if len(columns) > 2:
            self._count("foreground", np.minimum(sum(columns[1:]), 1), labels > 0)
        self._count("confidence", confidence, predicted == labels)

    def _count(self, kind, p, came_true):
        """Put probabilities into right-closed bins, 0 into the first."""
        bins = np.maximum(np.ceil(p * FINE - EDGE).astype(np.intp) - 1, 0)
        counts = np.bincount(2 * bins + came_true, minlength=2 * FINE).reshape(FINE, 2)
        sums = np.bincount(bins, weights=p, minlength=FINE)
        before = self._bins.get(kind)
        self._bins[kind] = (counts, sums) if before is None else (before[0] + counts, before[1] + sums)

    def __add__(self, other):
        """The sums of both."""
        if not isinstance(other, Calibration):
            return NotImplemented
        if None not in (self.classes, other.classes) and self.classes != other.classes:
            raise ValueError(f"Expected one number of classes. Received: {self.classes} and {other.classes}.")
        total = Calibration()
        total.classes = self.classes or other.classes
        for name in ("voxels", "_log_loss", "_foreground_log_loss", "_squares"):
            setattr(total, name, getattr(self, name) + getattr(other, name))
        for kind in self._bins | other._bins:
            parts = [each._bins[kind] for each in (self, other) if kind in each._bins]
            total._bins[kind] = tuple(sum(of) for of in zip(*parts))
        return total

    def nll(self, mode="full"):
        """Negative log-likelihood in nats, mean over voxels; NaN without voxels.

        Args:
            mode: `"full"`: `-log` of the probability of each voxel's class. `"foreground"`: only voxels of foreground
                classes contribute, and the mean is still over all voxels, which rewards predicting foreground.

        Reference:
            Mehrtash et al. (2020), Eq. 3; Yeung et al. (2021), Eq. 1, whose tables hold the second, as their
            evaluation code shows.
        """
        if mode not in ("full", "foreground"):
            raise ValueError(f'`mode` must be "full" or "foreground". Received: mode={mode!r}.')
        return self._mean(self._log_loss if mode == "full" else self._foreground_log_loss)

    def brier(self, normalize=True):
        """Brier score, mean over voxels; NaN without voxels.

        Args:
            normalize: Divide the sum over classes by their number. With two classes this is the mean of
                `(y - p) ** 2` of the foreground alone.

        Two classes: `nll("full") >= 2.4554 * brier()`, always, because `-log(1 - q) >= 2.4554 q ** 2`.

        Reference:
            Yeung et al. (2021), Eq. 11; Mehrtash et al. (2020), Eq. 4, whose tables hold the sum.
        """
        return self._mean(self._squares) / (self.classes if normalize and self.classes else 1)

    def ece(self, bins=10, kind="confidence"):
        """Expected calibration error: mean over voxels of the gap between confidence and accuracy of their bin.

        Args:
            bins: Of equal width, closed on the right; a divisor of 60.
            kind: `"confidence"`: probability of the predicted class, against whether it is right. `"foreground"`:
                probability of any foreground class, against its frequency. `"class"`: the same of each class.

        Returns:
            A number in [0, 1]; for `"class"` an array `(classes,)`. NaN without voxels.

        Reference:
            Mehrtash et al. (2020), Eq. 5, with the mean confidence of the predicted class; Guo et al. (2017).
        """
        counts, confidence, accuracy = self.reliability(bins, kind)
        gaps = np.where(counts > 0, counts * np.abs(accuracy - confidence), 0).sum(axis=-1)
        error = gaps / self.voxels if self.voxels else gaps * math.nan
        return error if kind == "class" else float(error)

    def reliability(self, bins=10, kind="confidence"):
        """The `Reliability` curve. Arguments as in `ece`.

        Raises:
            ValueError: If 60 is no multiple of `bins`, or the kind is unknown.

        Reference:
            Mehrtash et al. (2020), Section V-B.
        """
        if not isinstance(bins, (int, np.integer)) or bins < 1 or FINE % bins:
            known = [number for number in range(1, FINE + 1) if FINE % number == 0]
            raise ValueError(f"`bins` must be one of {known}. Received: bins={bins!r}.")
        if kind not in ("confidence", "foreground", "class"):
            raise ValueError(f'`kind` must be "confidence", "foreground" or "class". Received: kind={kind!r}.')
        if kind == "class":
            each = [self._curve(bins, value) for value in range(self.classes or 0)]
            return Reliability(*(np.array(of).reshape(len(each), bins) for of in zip(*each))) if each else _no(bins)
        # Of two classes, the foreground is the second.
        return self._curve(bins, 1 if kind == "foreground" and self.classes == 2 else kind)

    def _curve(self, bins, kind):
        if kind not in self._bins:
            return Reliability(*(of[0] for of in _no(bins, 1)))
        counts, sums = self._bins[kind]
        true = counts[:, 1].reshape(bins, -1).sum(axis=1)
        counts = counts.sum(axis=1).reshape(bins, -1).sum(axis=1)
        at_least_one = np.maximum(counts, 1)
        empty = np.where(counts > 0, 1.0, math.nan)
        confidence = sums.reshape(bins, -1).sum(axis=1) / at_least_one
        return Reliability(counts, confidence * empty, true / at_least_one * empty)

    def _mean(self, total):
        return total / self.voxels if self.voxels else math.nan


def _no(bins, classes=0):
    """The curve of nothing."""
    return Reliability(np.zeros((classes, bins), dtype=int), *(np.full((classes, bins), math.nan) for _ in range(2)))
