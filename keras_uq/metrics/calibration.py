"""Calibration of probabilities: proper scores, calibration error and reliability, exact over any number of cases."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from keras_uq._kinds import Choice, argument, shown
from keras_uq.metrics._checks import check_sums, real, within_0_and_1

# Probabilities are clipped to this distance from 0 before a logarithm.
CLIP = 1e-7
# Number of bins that are counted. Every divisor of it is available as a number of bins.
FINE = 60
# One cell for each edge of these bins and one for the interior of each bin.
CELLS = 2 * FINE + 1
# Tolerance in units of a bin: probabilities this close to an edge count as the edge. It covers float32 rounding.
EDGE = 6e-6
# Number of voxels processed at a time, chosen to fit the processor's cache.
CHUNK = 2**16
# Number of voxels that one thread sums.
SLAB = 2**20


class Reliability(NamedTuple):
    """A reliability curve: arrays `(bins,)`, or `(classes, bins)` for `kind="class"`.

    Attributes:
        counts: Number of voxels in each bin.
        confidence: Mean probability of these voxels; NaN in an empty bin.
        accuracy: Observed frequency of the event among these voxels; NaN in an empty bin.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


class Calibration:
    """Accumulate the sums from which calibration scores are computed, over one case or many.

    Memory does not grow with the number of voxels. Sums are float64 and counts are integers, so large scans lose no
    precision. `a + b` equals one object to which all cases were added: keep one object per case for scores per case,
    and add them for pooled scores.

    Attributes:
        voxels: Number of voxels added so far.
        classes: Number of classes including background; `None` before the first voxel.
    """

    def __init__(self) -> None:
        self.voxels = 0
        self.classes = None
        self._log_loss = 0.0
        self._foreground_log_loss = 0.0
        self._squares = 0.0
        self._cells = {}

    def add(self, labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> None:
        """Add one case, or a part of one.

        Args:
            labels: Class numbers, `(*spatial)`, integers or Booleans.
            probabilities: `(*spatial, classes)`; one class is the probability of foreground.

        Raises:
            ValueError: If the shapes do not match, a label is not a class number, or a value lies outside [0, 1].
        """
        labels, probabilities = np.asarray(labels), real("Calibration.add", "probabilities", probabilities)
        if (
            not probabilities.ndim
            or not probabilities.shape[-1]
            or labels.shape != probabilities.shape[:-1]
            or labels.dtype.kind not in "biu"
        ):
            raise ValueError(
                "Calibration.add expects class numbers (*spatial), whole numbers or Booleans, and probabilities "
                f"(*spatial, classes). Received: {labels.dtype} {labels.shape} and {probabilities.shape}."
            )
        # One sigmoid channel stands for two classes.
        classes = max(probabilities.shape[-1], 2)
        if self.classes not in (None, classes):
            raise ValueError(f"Expected {self.classes} classes, as in the earlier cases. Received: {classes}.")
        if labels.size == 0:
            return
        labels, probabilities = labels.reshape(-1), probabilities.reshape(-1, probabilities.shape[-1])
        slabs = [slice(start, start + SLAB) for start in range(0, len(labels), SLAB)]

        def sums(slab):
            part = Calibration()
            part._add_slab(labels[slab], probabilities[slab], classes)
            return part

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            parts = list(threads.map(sums, slabs) if len(slabs) > 1 else map(sums, slabs))
        self.classes = classes
        # Slabs are merged in order, so that the sums do not depend on the number of threads.
        for part in parts:
            self._merge(part)

    def _add_slab(self, labels, probabilities, classes):
        if labels.max() >= classes or labels.min() < 0:
            raise ValueError(f"Expected labels from 0 to {classes - 1}. Received: {labels.min()} to {labels.max()}.")
        if not (probabilities.min() >= 0 and probabilities.max() <= 1):
            within_0_and_1("Calibration.add", "probabilities", probabilities)
        self.voxels += len(labels)
        for start in range(0, len(labels), CHUNK):
            part = slice(start, start + CHUNK)
            self._add(labels[part], _wide(probabilities[part]))

    def _add(self, labels, probabilities):
        if probabilities.shape[1] == 1:
            label_probability = np.abs(probabilities[:, 0] - (labels == 0))
            self._squares += 2 * float(np.sum((1 - label_probability) ** 2, dtype="float64"))
            self._count("single", probabilities[:, 0], labels)
        else:
            check_sums("Calibration.add", probabilities)
            columns = list(np.ascontiguousarray(probabilities.T))
            label_probability, confidence = columns[0], columns[0]
            predicted = np.zeros(labels.shape, dtype="uint8")
            for value, p in enumerate(columns):
                is_label = labels == value
                self._squares += float(np.sum((p - is_label) ** 2, dtype="float64"))
                self._count(value, p, is_label)
                if value:
                    label_probability = np.where(is_label, p, label_probability)
                    predicted[p > confidence] = value  # The first of equal values wins, as in arg-max.
                    confidence = np.maximum(confidence, p)
            if len(columns) > 2:
                self._count("foreground", np.minimum(sum(columns[1:]), 1), labels > 0)
            self._count("confidence", confidence, predicted == labels)
        loss = -np.log(np.maximum(label_probability, CLIP))
        self._log_loss += float(np.sum(loss, dtype="float64"))
        self._foreground_log_loss += float(np.sum(loss[labels > 0], dtype="float64"))

    def _count(self, kind, p, outcome):
        """Count probabilities per cell and outcome. Cells are the edges of the bins and the intervals between them."""
        scaled = p * FINE
        cells = (np.ceil(scaled - EDGE) + np.floor(scaled + EDGE)).astype(np.intp)
        cells += cells
        cells += outcome
        counts = np.bincount(cells, minlength=2 * CELLS).reshape(CELLS, 2)
        sums = np.bincount(cells, weights=p, minlength=2 * CELLS).reshape(CELLS, 2)
        before = self._cells.get(kind)
        self._cells[kind] = (counts, sums) if before is None else (before[0] + counts, before[1] + sums)

    def __add__(self, other: "Calibration") -> "Calibration":
        """Return a new object with the sums of both."""
        if not isinstance(other, Calibration):
            raise TypeError(f"Calibration + ... expects another Calibration. Received: {shown(other)}.")
        if None not in (self.classes, other.classes) and self.classes != other.classes:
            raise ValueError(f"Expected equal numbers of classes. Received: {self.classes} and {other.classes}.")
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
            self._cells[kind] = cells if before is None else tuple(sum(arrays) for arrays in zip(before, cells))

    def nll(self, mode: str = "full") -> float:
        """Return the negative log-likelihood in nats, as a mean over voxels; NaN without voxels.

        Args:
            mode: `"full"` is the mean of `-log` of the probability of each voxel's class. With `"foreground"`, only
                voxels of foreground classes contribute, but the sum is still divided by the number of all voxels; this
                does not penalise foreground that is predicted on background.

        Reference:
            Mehrtash et al. (2020), Eq. 3; Yeung et al. (2021), Eq. 1. The tables of Yeung et al. contain the second
            mode, as their evaluation code shows.
        """
        argument("Calibration.nll", "mode", mode, Choice("full", "foreground"))
        return self._mean(self._log_loss if mode == "full" else self._foreground_log_loss)

    def brier(self, normalize: bool = True) -> float:
        """Return the Brier score, as a mean over voxels; NaN without voxels.

        Args:
            normalize: Whether to divide the sum over classes by their number. With two classes the result is the mean
                of `(y - p) ** 2` of the foreground.

        With two classes, `nll("full") >= 2.4554 * brier()` always holds, because `-log(1 - q) >= 2.4554 q ** 2`.

        Reference:
            Yeung et al. (2021), Eq. 11; Mehrtash et al. (2020), Eq. 4. The tables of Mehrtash et al. contain the sum
            over classes.
        """
        return self._mean(self._squares) / (self.classes if normalize and self.classes else 1)

    def ece(self, bins: int = 10, kind: str = "confidence") -> float | np.ndarray:
        """Return the expected calibration error: the mean over voxels of the gap between confidence and accuracy.

        Args:
            bins: Number of bins, a divisor of 60. Bins have equal width and are closed on the right.
            kind: `"confidence"` compares the probability of the predicted class with the share of correct predictions.
                `"foreground"` compares the probability of any foreground class with its frequency. `"class"` does so
                for each class separately.

        Returns:
            A number in [0, 1]; for `"class"` an array `(classes,)`. NaN without voxels.

        Reference:
            Mehrtash et al. (2020), Eq. 5, with the mean confidence of the predicted class; Guo et al. (2017).
        """
        counts, confidence, accuracy = self.reliability(bins, kind)
        gaps = np.where(counts > 0, counts * np.abs(accuracy - confidence), 0).sum(axis=-1)
        error = gaps / self.voxels if self.voxels else gaps * math.nan
        return error if kind == "class" else float(error)

    def reliability(self, bins: int = 10, kind: str = "confidence") -> Reliability:
        """Return the `Reliability` curve. The arguments are those of `ece`.

        Raises:
            ValueError: If 60 is not a multiple of `bins`, or the kind is unknown.

        Reference:
            Mehrtash et al. (2020), Section V-B.
        """
        if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 1 or FINE % bins:
            divisors = [number for number in range(1, FINE + 1) if FINE % number == 0]
            raise ValueError(f"Calibration expects `bins` to be one of {divisors}. Received: bins={shown(bins)}.")
        argument("Calibration", "kind", kind, Choice("confidence", "foreground", "class"))
        if kind == "class":
            curves = [self._curve(bins, value) for value in range(self.classes or 0)]
            return Reliability(*(np.array(arrays) for arrays in zip(*curves))) if curves else _empty(bins)
        # With two classes, the foreground is class 1.
        return self._curve(bins, 1 if kind == "foreground" and self.classes == 2 else kind)

    def _curve(self, bins, kind):
        parts = [self._cells[kind]] if kind in self._cells else []
        if "single" in self._cells:
            parts.append(_from_single(*self._cells["single"], kind))
        if not parts:
            return Reliability(*(array[0] for array in _empty(bins, 1)))
        counts, sums = (sum(arrays) for arrays in zip(*parts))
        # A bin contains its upper edge.
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


def _from_single(counts, sums, kind):
    """Compute the cells of a kind, `(cells, 2)`, from those of one sigmoid channel: foreground probability by label.

    The probability of class 0 is 1 - p, so its cells are those of p in reverse order. The confidence is the larger of
    the two.
    """
    mirrored = counts[::-1, ::-1], (counts - sums)[::-1, ::-1]
    if kind == 1:
        return counts, sums
    if kind == 0:
        return mirrored
    # p >= 0.5 is foreground.
    middle = FINE
    folded = tuple(array.copy() for array in (counts, sums))
    for array, other in zip(folded, mirrored):
        array[middle + 1 :] += other[middle + 1 :]
        array[:middle] = 0
    return folded


def _wide(probabilities):
    """Convert to float32 unless the type is wider already."""
    return probabilities.astype(np.result_type(probabilities.dtype, "float32"), copy=False)


def _empty(bins, classes=0):
    """The curve without any voxel."""
    return Reliability(np.zeros((classes, bins), dtype=int), *(np.full((classes, bins), math.nan) for _ in range(2)))
