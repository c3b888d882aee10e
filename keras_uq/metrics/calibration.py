"""Proper scores of probabilities, summed exactly over any number of cases."""

import math

import numpy as np

# Probabilities are kept this far from 0 before a logarithm.
CLIP = 1e-7


class Calibration:
    """Sums from which negative log-likelihood and Brier score follow, over one case or many.

    Memory does not grow with the number of voxels; sums are float64, counts integers. `a + b` is the same as adding
    all cases to one.

    Attributes:
        voxels: How many have been added.
    """

    def __init__(self):
        self.voxels = 0
        self.classes = None
        self._log_loss = 0.0
        self._foreground_log_loss = 0.0
        self._squares = 0.0

    def add(self, labels, probabilities):
        """Take in one case.

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
        for value in range(classes):
            here = labels == value
            p = probabilities[..., value] if probabilities.shape[-1] > 1 else _of_two(probabilities[..., 0], value)
            loss = -float(np.sum(np.log(np.maximum(p[here], CLIP)), dtype="float64"))
            self._log_loss += loss
            self._foreground_log_loss += loss if value else 0.0
            self._squares += float(np.sum((here - p) ** 2, dtype="float64"))

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
        return total

    def nll(self, mode="full"):
        """Negative log-likelihood in nats, mean over voxels; NaN without voxels.

        Args:
            mode: `"full"`: `-log` of the probability of each voxel's class. `"foreground"`: only voxels of foreground
                classes contribute, and the mean is still over all voxels, which rewards predicting foreground.

        Reference:
            Yeung et al. (2021), Eq. 1; their tables hold the second, as their evaluation code shows.
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

    def _mean(self, total):
        return total / self.voxels if self.voxels else math.nan


def _of_two(foreground, value):
    return foreground if value else 1 - foreground.astype(np.result_type(foreground.dtype, "float32"))
