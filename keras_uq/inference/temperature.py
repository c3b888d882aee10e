"""Temperature scaling of probability maps: calibration of a trained network with one parameter (Guo et al., 2017)."""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from keras_uq._kinds import Items, Number, argument, shown
from keras_uq.inference._checks import check_images, check_options, check_probabilities, numbered_pairs
from keras_uq.inference.maps import CLIP, UncertaintyMaps, binary_or_categorical_entropy
from keras_uq.inference.predictor import Predictor

BOUNDS = (0.1, 10.0)
# Beyond this range, probabilities are 0, 1 or equal to float32's precision.
TEMPERATURE = Number(least=1e-3, most=1e3)


class TemperatureScaling:
    """Recalibrate the mean probabilities of a predictor with a temperature.

    Temperatures above 1 flatten the probabilities, temperatures below 1 sharpen them. The predicted class does not
    change, and neither does Dice. Probabilities `p` become `p ** (1 / temperature)`, divided by the sum over classes,
    which is the same as dividing the logits by the temperature.

    Args:
        predictor: An `MCDropout`, an `Ensemble`, a `SlidingWindow`, or any other `Predictor`.
        temperature: Number in [0.001, 1000], for example from `fit_temperature`.

    Raises:
        ValueError: If `predictor` is no `Predictor`, or if the temperature is out of range.

    `predict` returns `UncertaintyMaps` with scaled `mean` and `entropy`. The spread over samples (`std`, `variance`,
    `expected_entropy`, `mutual_information`) is the predictor's and is not scaled.
    """

    def __init__(self, predictor: Predictor, temperature: float) -> None:
        if isinstance(predictor, type) or not isinstance(predictor, Predictor):
            raise ValueError(
                "TemperatureScaling expects a predictor, an object with the methods `predict` and `describe`. "
                f"Received: {shown(predictor)}. For a Keras model, use Ensemble([model])."
            )
        self.predictor = predictor
        self.temperature = argument("TemperatureScaling", "temperature", temperature, TEMPERATURE)

    def describe(self) -> dict[str, Any]:
        """Return the settings needed to repeat the prediction, as JSON types."""
        return {"method": "temperature", "temperature": self.temperature, "of": self.predictor.describe()}

    def predict(self, images: np.ndarray, batch_size: int = 8, case: int = 0) -> UncertaintyMaps:
        """Return the maps of the images, as `MCDropout.predict` does."""
        images = check_images("TemperatureScaling", images)
        batch_size, case = check_options("TemperatureScaling", batch_size, case)
        maps = self.predictor.predict(images, batch_size=batch_size, case=case)
        mean = scale_probabilities(maps.mean, self.temperature)
        return dataclasses.replace(maps, mean=mean, entropy=binary_or_categorical_entropy(mean))


def scale_probabilities(probabilities: npt.ArrayLike, temperature: float) -> np.ndarray:
    """Apply a temperature to probabilities.

    Args:
        probabilities: `(*spatial, classes)`; one class is the probability of foreground. They are clipped at 1e-7.
        temperature: Number in [0.001, 1000].

    Returns:
        Array of the same shape, float32 or wider.

    Raises:
        ValueError: If a probability is NaN or lies outside [0, 1], if several classes do not sum to 1, or if the
            temperature is out of range.
    """
    temperature = argument("scale_probabilities", "temperature", temperature, TEMPERATURE)
    probabilities = check_probabilities("scale_probabilities", probabilities)
    if probabilities.shape[-1] == 1:
        p = np.clip(probabilities.astype("float64"), CLIP, 1 - CLIP)
        scaled = special.expit((np.log(p) - np.log1p(-p)) / temperature)
    else:
        p = np.maximum(probabilities, CLIP).astype("float64")
        # The largest class stays 1, so that the sum is not 0 at a low temperature.
        powers = (p / p.max(axis=-1, keepdims=True)) ** (1 / temperature)
        scaled = powers / powers.sum(axis=-1, keepdims=True)
    return scaled.astype(probabilities.dtype)


def fit_temperature(
    cases: Iterable[tuple[npt.ArrayLike, npt.ArrayLike]], bounds: tuple[float, float] = BOUNDS
) -> float:
    """Fit the temperature that minimises the negative log-likelihood over all voxels of the cases.

    Fit on validation cases and report on others. For the softmax of one network the likelihood has a single minimum.

    Args:
        cases: One pair per case: class numbers `(*spatial)`, integers, and probabilities `(*spatial, classes)`. The
            cases are iterated several times, so pass a list or another object that can be iterated again; a lazy one
            needs memory for one case only.
        bounds: Smallest and largest temperature, in [0.001, 1000]. The optimum of a network that is never wrong is 0;
            the lower bound is returned in this case.

    Returns:
        The temperature.

    Raises:
        ValueError: If labels and probabilities of a case are not what is described here (the message names the case by
            its number), if there is no voxel, if the bounds do not satisfy low < high, or if `cases` is an
            iterator.

    Reference:
        Guo et al. (2017), Section 4.2. Mehrtash et al. (2020), Section VIII, ask for calibration without retraining.
    """
    low, high = argument("fit_temperature", "bounds", bounds, Items(TEMPERATURE, count=2))
    if not low < high:
        raise ValueError(f"fit_temperature expects `bounds` with low < high. Received: bounds={bounds!r}.")
    if isinstance(cases, Iterator):
        raise ValueError(
            "fit_temperature expects cases that can be iterated again, such as a list. Received: an iterator."
        )

    def loss(log_temperature):
        return math.fsum(_log_loss(labels, p, math.exp(log_temperature)) for labels, p in cases)

    ends = math.log(low), math.log(high)
    # All cases are checked while the loss at the lower bound is summed, so that the checks need no further pass.
    voxels, first = 0, []
    for caller, labels, probabilities in numbered_pairs("fit_temperature", cases):
        labels, probabilities = _checked(caller, labels, probabilities)
        voxels += labels.size
        first.append(_log_loss(labels, probabilities, low))
    if voxels == 0:
        raise ValueError("fit_temperature: there is no voxel to fit a temperature on.")
    minimum = optimize.minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-4})
    # The bounded search never evaluates its bounds exactly, so they are compared here.
    losses = {minimum.x: minimum.fun, ends[0]: math.fsum(first), ends[1]: loss(ends[1])}
    return float(math.exp(min(losses, key=losses.get)))


def _checked(caller, labels, probabilities):
    labels, probabilities = np.asarray(labels), check_probabilities(caller, probabilities)
    if labels.dtype.kind not in "biu" or labels.shape != probabilities.shape[:-1]:
        raise ValueError(
            f"{caller} expects class numbers (*spatial), integers, and probabilities (*spatial, classes). Received: "
            f"{labels.dtype} {labels.shape} and {probabilities.shape}."
        )
    classes = max(probabilities.shape[-1], 2)
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"{caller} expects class numbers from 0 to {classes - 1}. Received: {labels.min()} to {labels.max()}."
        )
    return labels, probabilities


def _log_loss(labels, probabilities, temperature):
    """Negative log-likelihood at a temperature, summed over voxels."""
    labels, probabilities = np.asarray(labels).ravel(), np.asarray(probabilities)
    # The logarithm of half precision has no digits to fit by.
    flat = probabilities.reshape(-1, probabilities.shape[-1])
    flat = flat.astype(np.promote_types(flat.dtype, "float32"), copy=False)
    if flat.shape[1] == 1:
        flat = np.concatenate([1 - flat, flat], axis=1)
    logits = np.log(np.maximum(flat, CLIP)) / temperature
    peak = logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(logits - peak).sum(axis=1)) + peak[:, 0]
    label_logits = np.take_along_axis(logits, labels[:, np.newaxis].astype(np.intp), axis=1)[:, 0]
    return float(np.sum(total - label_logits, dtype="float64"))
