"""Are probabilities what they say? Proper scores, calibration error and reliability, exact over any number of cases."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

# Probabilities are kept this far from 0 before a logarithm.
CLIP = 1e-7
# Bins that are counted; all numbers of bins that divide it can be asked for.
FINE = 60
CELLS = 2 * FINE + 1
# In bins: the float32 next to an edge counts as the edge.
EDGE = 6e-6
# Voxels at a time: what fits into a processor's cache.
CHUNK = 2**16
# Voxels that one thread sums.
SLAB = 2**20


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
        self._cells = {}

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
        labels, probabilities = labels.reshape(-1), probabilities.reshape(-1, probabilities.shape[-1])
        slabs = [slice(start, start + SLAB) for start in range(0, len(labels), SLAB)]

        def sums(slab):
            found = Calibration()
            found._add_slab(labels[slab], probabilities[slab], classes)
            return found

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            parts = list(threads.map(sums, slabs) if len(slabs) > 1 else map(sums, slabs))
        self.classes = classes
        # In the order of the slabs, so that the sums do not depend on the number of threads.
        for part in parts:
            self._merge(part)

    def _add_slab(self, labels, probabilities, classes):
        if labels.max() >= classes or labels.min() < 0:
            raise ValueError(f"Expected labels from 0 to {classes - 1}. Received: {labels.min()} to {labels.max()}.")
        if not (probabilities.min() >= 0 and probabilities.max() <= 1):
            raise ValueError(
                f"Expected probabilities in [0, 1]. Received: {probabilities.min()} to {probabilities.max()}."
            )
        self.voxels += len(labels)
        for start in range(0, len(labels), CHUNK):
            part = slice(start, start + CHUNK)
            self._add(labels[part], _wide(probabilities[part]))

    def _add(self, labels, probabilities):
        if probabilities.shape[1] == 1:
            right = np.abs(probabilities[:, 0] - (labels == 0))
            self._squares += 2 * float(np.sum((1 - right) ** 2, dtype="float64"))
            self._count("single", probabilities[:, 0], labels)
        else:
            _check_sums(probabilities)
            columns = list(np.ascontiguousarray(probabilities.T))
            right, confidence, predicted = columns[0], columns[0], np.zeros(labels.shape, dtype="uint8")
            for value, p in enumerate(columns):
                here = labels == value
                self._squares += float(np.sum((p - here) ** 2, dtype="float64"))
                self._count(value, p, here)
                if value:
                    right = np.where(here, p, right)
                    predicted[p > confidence] = value  # The first of equal ones wins, as in arg-max.
                    confidence = np.maximum(confidence, p)
            if len(columns) > 2:
                self._count("foreground", np.minimum(sum(columns[1:]), 1), labels > 0)
            self._count("confidence", confidence, predicted == labels)
        loss = -np.log(np.maximum(right, CLIP))
        self._log_loss += float(np.sum(loss, dtype="float64"))
        self._foreground_log_loss += float(np.sum(loss[labels > 0], dtype="float64"))

    def _count(self, kind, p, came_true):
        """Count probabilities by cell: the edges of the bins, 0 among them, and what lies between two of them."""
        scaled = p * FINE
        cells = (np.ceil(scaled - EDGE) + np.floor(scaled + EDGE)).astype(np.intp)
        cells += cells
        cells += came_true
        counts = np.bincount(cells, minlength=2 * CELLS).reshape(CELLS, 2)
        sums = np.bincount(cells, weights=p, minlength=2 * CELLS).reshape(CELLS, 2)
        before = self._cells.get(kind)
        self._cells[kind] = (counts, sums) if before is None else (before[0] + counts, before[1] + sums)

    def __add__(self, other):
        """The sums of both."""
        if not isinstance(other, Calibration):
            return NotImplemented
        if None not in (self.classes, other.classes) and self.classes != other.classes:
            raise ValueError(f"Expected one number of classes. Received: {self.classes} and {other.classes}.")
        total = Calibration()
        total.classes = self.classes or other.classes
        total._merge(self)
        total._merge(other)
        return total

    def _merge(self, other):
        for name in ("voxels", "_log_loss", "_foreground_log_loss", "_squares"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for kind, cells in other._cells.items():
            before = self._cells.get(kind)
            self._cells[kind] = cells if before is None else tuple(sum(of) for of in zip(before, cells))

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
        parts = [self._cells[kind]] if kind in self._cells else []
        if "single" in self._cells:
            parts.append(_of_single(*self._cells["single"], kind))
        if not parts:
            return Reliability(*(of[0] for of in _no(bins, 1)))
        counts, sums = (sum(of) for of in zip(*parts))
        # An edge closes the bin below it.
        to_bin = np.maximum((np.arange(CELLS) - 1) // 2, 0) * bins // FINE
        number, total, true = (
            np.bincount(to_bin, weights=values, minlength=bins)
            for values in (counts.sum(axis=1), sums.sum(axis=1), counts[:, 1])
        )
        at_least_one = np.maximum(number, 1)
        empty = np.where(number > 0, 1.0, math.nan)
        return Reliability(number.astype("int64"), total / at_least_one * empty, true / at_least_one * empty)

    def _mean(self, total):
        return total / self.voxels if self.voxels else math.nan


def _of_single(counts, sums, kind):
    """Cells of a kind from those of one sigmoid, `(cells, 2)`: probabilities of foreground, by label.

    Class 0 has 1 - p, so its cells are those of p the other way round; the confidence is the larger of both.
    """
    mirrored = counts[::-1, ::-1], (counts - sums)[::-1, ::-1]
    if kind == 1:
        return counts, sums
    if kind == 0:
        return mirrored
    # p >= 0.5 is foreground.
    middle = FINE
    found = tuple(of.copy() for of in (counts, sums))
    for of, other in zip(found, mirrored):
        of[middle + 1 :] += other[middle + 1 :]
        of[:middle] = 0
    return found


def _wide(probabilities):
    """At least float32."""
    return probabilities.astype(np.result_type(probabilities.dtype, "float32"), copy=False)


def _check_sums(probabilities):
    largest = float(np.abs(probabilities.sum(axis=1) - 1).max())
    if largest > 0.01:
        raise ValueError(
            f"Expected probabilities that sum to 1 over the classes. Received sums up to {largest:.3g} away from it. "
            "Independent channels: make them exclusive first (keras_uq.inference.exclusive)."
        )


def _no(bins, classes=0):
    """The curve of nothing."""
    return Reliability(np.zeros((classes, bins), dtype=int), *(np.full((classes, bins), math.nan) for _ in range(2)))
