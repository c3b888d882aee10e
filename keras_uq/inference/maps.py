"""Uncertainty maps, accumulated sample by sample, so that memory does not grow with the number of samples."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from keras_uq.inference._checks import check_probabilities
from keras_uq.metrics.segments import binary_entropy

# Probabilities are clipped to this distance from 0 before a logarithm.
CLIP = 1e-7


@dataclass(frozen=True)
class UncertaintyMaps:
    """Mean, spread and entropies of a set of stochastic predictions, for each voxel. All arrays are float32.

    With one class, `p` below stands for the two probabilities `p` and `1 - p`. Logarithms are natural: the entropies
    of two classes lie in `[0, log 2]`.

    Attributes:
        mean: Mean probability, `(images, *spatial, classes)`: the prediction.
        std: Standard deviation over the samples (population), same shape.
        variance: Square of `std`, same shape.
        entropy: `-sum p log p` of the mean, `(images, *spatial)`: the total uncertainty.
        expected_entropy: Mean of the entropies of the samples: the data (aleatoric) uncertainty.
        mutual_information: `entropy - expected_entropy`, at least 0: the model (epistemic) uncertainty.
        samples: Number of predictions.

    Reference:
        Kethavath et al. (2025), Eq. 11 and 16; Hiroike (2026), Eq. 8 to 10.
    """

    mean: np.ndarray
    std: np.ndarray
    variance: np.ndarray
    entropy: np.ndarray
    expected_entropy: np.ndarray
    mutual_information: np.ndarray
    samples: int

    @property
    def mask(self) -> np.ndarray:
        """The predicted classes, uint8 `(images, *spatial)`: `mean >= 0.5` for one class, else the arg-max."""
        if self.mean.shape[-1] == 1:
            return (self.mean[..., 0] >= 0.5).astype("uint8")
        return np.argmax(self.mean, axis=-1).astype("uint8")

    def __getitem__(self, image: int) -> Self:
        """The maps of one image, without the first axis."""
        arrays = {entry.name: getattr(self, entry.name)[image] for entry in fields(self) if entry.name != "samples"}
        return type(self)(**arrays, samples=self.samples)

    @classmethod
    def concatenate(cls, parts: Iterable[Self], length: int | None = None) -> Self:
        """Join the maps of several batches along the first axis.

        Args:
            parts: Maps of the batches, in order.
            length: Number of images of all parts. With it, `parts` may be an iterator: each part is then copied as it
                comes, so that the maps of a volume are held once and not twice.
        """
        if length is None:
            parts = list(parts)
            length = sum(len(part.mean) for part in parts)
        whole, start = {}, 0
        for part in parts:
            stop = start + len(part.mean)
            for entry in fields(cls):
                if entry.name != "samples":
                    array = getattr(part, entry.name)
                    if start == 0:
                        whole[entry.name] = np.empty((length, *array.shape[1:]), array.dtype)
                    whole[entry.name][start:stop] = array
            start, samples = stop, part.samples
        return cls(**whole, samples=samples)


class MapSum:
    """Running moments of samples (Welford, 1962). `add` samples of equal shape, then call `maps`."""

    def __init__(self) -> None:
        self.samples = 0

    def add(self, probabilities: npt.ArrayLike) -> None:
        """Add one sample, `(images, *spatial, classes)`.

        Raises:
            ValueError: If a value is NaN or lies outside [0, 1], if several classes do not sum to 1, or if the shape
                differs from the first sample's.
        """
        probabilities = check_probabilities(f"Sample {self.samples}", probabilities).astype("float32", copy=False)
        if self.samples == 0:
            self._mean = np.zeros_like(probabilities)
            self._squares = np.zeros_like(probabilities)
            self._entropy = np.zeros(probabilities.shape[:-1], dtype="float32")
        if probabilities.shape != self._mean.shape:
            raise ValueError(
                f"Expected samples of one shape, {self._mean.shape} as the first. Received: {probabilities.shape} as "
                f"sample {self.samples}. Members of an ensemble need the same classes and the same grid."
            )
        entropy = _entropy(probabilities)
        self.samples += 1
        difference = probabilities - self._mean
        self._mean += difference / self.samples
        self._squares += difference * (probabilities - self._mean)
        self._entropy += (entropy - self._entropy) / self.samples

    def maps(self) -> UncertaintyMaps:
        """Return the `UncertaintyMaps` of the samples so far. Raises `ValueError` if there are none."""
        if self.samples == 0:
            raise ValueError("There is no sample to make maps of. Call `add` first.")
        variance = np.maximum(self._squares / self.samples, 0)
        entropy = _entropy(self._mean)
        return UncertaintyMaps(
            mean=self._mean,
            std=np.sqrt(variance),
            variance=variance,
            entropy=entropy,
            expected_entropy=self._entropy,
            # Rounding can make the difference slightly negative.
            mutual_information=np.maximum(entropy - self._entropy, 0),
            samples=self.samples,
        )


def binary_or_categorical_entropy(probabilities: np.ndarray) -> np.ndarray:
    """Return the entropy of each voxel in nats, `(images, *spatial)`.

    Args:
        probabilities: `(images, *spatial, classes)`; one class is the probability of foreground.

    Raises:
        ValueError: If a value is NaN or lies outside [0, 1], or if several classes do not sum to 1.
    """
    return _entropy(check_probabilities("Entropy", probabilities))


def _entropy(probabilities):
    if probabilities.shape[-1] == 1:
        return binary_entropy(probabilities[..., 0])
    return -np.sum(probabilities * np.log(np.maximum(probabilities, CLIP)), axis=-1)
