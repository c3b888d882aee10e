"""Temperature scaling of dense maps: calibration after training, by one number (Guo et al., 2017)."""

import dataclasses
import math

import numpy as np
from scipy import optimize

from keras_uq.inference.maps import CLIP, binary_or_categorical_entropy

BOUNDS = (0.1, 10.0)


class TemperatureScaling:
    """A predictor whose mean probabilities are flattened (above 1) or sharpened (below 1) by a temperature.

    The predicted class stays, so does Dice. For probabilities `p` it is `p ** (1 / temperature)`, divided by the sum
    over classes: what dividing logits by it gives.

    Args:
        predictor: `MCDropout`, `Ensemble`, or anything with their `predict`.
        temperature: Above 0; `fit_temperature` finds it.

    `predict` gives `UncertaintyMaps` whose `mean` and `entropy` are scaled; the spread over samples (`std`, `variance`,
    `expected_entropy`, `mutual_information`) stays that of the predictor.
    """

    def __init__(self, predictor, temperature):
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"Expected a temperature above 0. Received: temperature={temperature!r}.")
        self.predictor = predictor
        self.temperature = float(temperature)

    def describe(self):
        """What is needed to repeat the prediction, as JSON types."""
        return {"method": "temperature", "temperature": self.temperature, "of": self.predictor.describe()}

    def predict(self, images, batch_size=8, case=0):
        """Maps of the images, as `MCDropout.predict`."""
        maps = self.predictor.predict(images, batch_size=batch_size, case=case)
        mean = scale_probabilities(maps.mean, self.temperature)
        return dataclasses.replace(maps, mean=mean, entropy=binary_or_categorical_entropy(mean))


def scale_probabilities(probabilities, temperature):
    """Probabilities `(*spatial, classes)` at a temperature; one class is the foreground's. Clipped at 1e-7."""
    probabilities = np.asarray(probabilities)
    if probabilities.shape[-1] == 1:
        p = np.clip(probabilities.astype("float64"), CLIP, 1 - CLIP)
        scaled = 1 / (1 + np.exp(-(np.log(p) - np.log1p(-p)) / temperature))
    else:
        powers = np.maximum(probabilities, CLIP).astype("float64") ** (1 / temperature)
        scaled = powers / powers.sum(axis=-1, keepdims=True)
    return scaled.astype(probabilities.dtype)


def fit_temperature(cases, bounds=BOUNDS):
    """The temperature with the least negative log-likelihood over all voxels of some cases.

    Fit on validation cases and report on others. For a network's own probabilities the likelihood has one minimum.

    Args:
        cases: Pairs of class numbers `(*spatial)` and probabilities `(*spatial, classes)`, one a case; something that
            can be gone through again and again, such as a list. One case is held in memory at a time if it is lazy.
        bounds: Least and greatest temperature. Where a network is never wrong the best one is 0; a bound keeps it
            finite, and is then what is returned.

    Returns:
        The temperature, a float.

    Raises:
        ValueError: If there is no voxel, the bounds do not rise from above 0, or `cases` can be gone through once.

    Reference:
        Guo et al. (2017), Section 4.2. Mehrtash et al. (2020), Section VIII, ask for calibration without retraining.
    """
    if not 0 < bounds[0] < bounds[1]:
        raise ValueError(f"Expected rising bounds above 0. Received: bounds={bounds!r}.")
    if iter(cases) is cases:
        raise ValueError("Expected cases that can be gone through again, such as a list. Received: an iterator.")
    if not any(np.asarray(labels).size for labels, _ in cases):
        raise ValueError("There is no voxel to fit a temperature on.")

    def loss(log_temperature):
        return math.fsum(_log_loss(labels, p, math.exp(log_temperature)) for labels, p in cases)

    ends = tuple(map(math.log, bounds))
    found = optimize.minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-4})
    # The search never quite reaches its ends.
    best = min((found.x, *ends), key=loss)
    return float(math.exp(best))


def _log_loss(labels, probabilities, temperature):
    """Sum over voxels of minus the log of their class's probability at a temperature."""
    labels, probabilities = np.asarray(labels).ravel(), np.asarray(probabilities)
    flat = probabilities.reshape(-1, probabilities.shape[-1])
    if flat.shape[1] == 1:
        flat = np.concatenate([1 - flat, flat], axis=1)
    logits = np.log(np.maximum(flat, CLIP)) / temperature
    peak = logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(logits - peak).sum(axis=1)) + peak[:, 0]
    of_class = np.take_along_axis(logits, labels[:, np.newaxis].astype(np.intp), axis=1)[:, 0]
    return float(np.sum(total - of_class, dtype="float64"))
