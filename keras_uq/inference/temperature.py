"""Temperature scaling of probability maps: calibration of a trained network with one parameter (Guo et al., 2017)."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize

from keras_uq.inference.maps import CLIP, UncertaintyMaps, binary_or_categorical_entropy

BOUNDS = (0.1, 10.0)


class TemperatureScaling:
    """Recalibrate the mean probabilities of a predictor with a temperature.

    Temperatures above 1 flatten the probabilities, temperatures below 1 sharpen them. The predicted class does not
    change, and neither does Dice. Probabilities `p` become `p ** (1 / temperature)`, divided by the sum over classes,
    which is the same as dividing the logits by the temperature.

    Args:
        predictor: An `MCDropout`, an `Ensemble`, or any object with the same `predict` method.
        temperature: Number above 0, for example from `fit_temperature`.

    `predict` returns `UncertaintyMaps` with scaled `mean` and `entropy`. The spread over samples (`std`, `variance`,
    `expected_entropy`, `mutual_information`) is the predictor's and is not scaled.
    """

    def __init__(self, predictor: Any, temperature: float) -> None:
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"Expected a temperature above 0. Received: temperature={temperature!r}.")
        self.predictor = predictor
        self.temperature = float(temperature)

    def describe(self) -> dict[str, Any]:
        """Return the settings needed to repeat the prediction, as JSON types."""
        return {"method": "temperature", "temperature": self.temperature, "of": self.predictor.describe()}

    def predict(self, images: np.ndarray, batch_size: int = 8, case: int = 0) -> UncertaintyMaps:
        """Return the maps of the images, as `MCDropout.predict` does."""
        maps = self.predictor.predict(images, batch_size=batch_size, case=case)
        mean = scale_probabilities(maps.mean, self.temperature)
        return dataclasses.replace(maps, mean=mean, entropy=binary_or_categorical_entropy(mean))


def scale_probabilities(probabilities: npt.ArrayLike, temperature: float) -> np.ndarray:
    """Apply a temperature to probabilities.

    Args:
        probabilities: `(*spatial, classes)`; one class is the probability of foreground. They are clipped at 1e-7.
        temperature: Number above 0.

    Returns:
        Array of the same shape and type.
    """
    probabilities = np.asarray(probabilities)
    if probabilities.shape[-1] == 1:
        p = np.clip(probabilities.astype("float64"), CLIP, 1 - CLIP)
        scaled = 1 / (1 + np.exp(-(np.log(p) - np.log1p(-p)) / temperature))
    else:
        powers = np.maximum(probabilities, CLIP).astype("float64") ** (1 / temperature)
        scaled = powers / powers.sum(axis=-1, keepdims=True)
    return scaled.astype(probabilities.dtype)


def fit_temperature(
    cases: Iterable[tuple[npt.ArrayLike, npt.ArrayLike]], bounds: tuple[float, float] = BOUNDS
) -> float:
    """Fit the temperature that minimises the negative log-likelihood over all voxels of the cases.

    Fit on validation cases and report on others. For the softmax of one network the likelihood has a single minimum.

    Args:
        cases: One pair per case: class numbers `(*spatial)` and probabilities `(*spatial, classes)`. The cases are
            iterated several times, so pass a list or another object that can be iterated again; a lazy one needs memory
            for one case only.
        bounds: Smallest and largest temperature. The optimum of a network that is never wrong is 0; the lower bound is
            returned in this case.

    Returns:
        The temperature.

    Raises:
        ValueError: If there is no voxel, if the bounds do not satisfy 0 < low < high, or if `cases` is an iterator.

    Reference:
        Guo et al. (2017), Section 4.2. Mehrtash et al. (2020), Section VIII, ask for calibration without retraining.
    """
    if not 0 < bounds[0] < bounds[1]:
        raise ValueError(f"Expected bounds with 0 < low < high. Received: bounds={bounds!r}.")
    if iter(cases) is cases:
        raise ValueError("Expected cases that can be iterated again, such as a list. Received: an iterator.")
    if not any(np.asarray(labels).size for labels, _ in cases):
        raise ValueError("There is no voxel to fit a temperature on.")

    def loss(log_temperature):
        return math.fsum(_log_loss(labels, p, math.exp(log_temperature)) for labels, p in cases)

    ends = tuple(map(math.log, bounds))
    minimum = optimize.minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-4})
    # The bounded search never evaluates its bounds exactly, so they are compared here.
    best = min((minimum.x, *ends), key=loss)
    return float(math.exp(best))


def _log_loss(labels, probabilities, temperature):
    """Negative log-likelihood at a temperature, summed over voxels."""
    labels, probabilities = np.asarray(labels).ravel(), np.asarray(probabilities)
    flat = probabilities.reshape(-1, probabilities.shape[-1])
    if flat.shape[1] == 1:
        flat = np.concatenate([1 - flat, flat], axis=1)
    logits = np.log(np.maximum(flat, CLIP)) / temperature
    peak = logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(logits - peak).sum(axis=1)) + peak[:, 0]
    label_logits = np.take_along_axis(logits, labels[:, np.newaxis].astype(np.intp), axis=1)[:, 0]
    return float(np.sum(total - label_logits, dtype="float64"))
