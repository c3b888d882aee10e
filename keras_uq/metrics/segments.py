"""Mean entropy over a predicted segment: how certain a network is about a structure as a whole."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from keras_uq._kinds import Integer, argument
from keras_uq.metrics._checks import distributions

# Probabilities are clipped to this distance from 0 and 1 before a logarithm.
CLIP = 1e-7


class Segment(NamedTuple):
    """A connected component of a predicted class.

    Attributes:
        label: Number of the class.
        voxels: Size of the component in voxels.
        entropy: Mean binary entropy of the class's probability over the component, in nats, within `[0, log 2]`.
        box: Bounding box of the component, one slice per axis.
    """

    label: int
    voxels: int
    entropy: float
    box: tuple[slice, ...]


def segment_entropy(probabilities: npt.ArrayLike) -> np.ndarray:
    """Return the mean entropy over the predicted segment of each foreground class.

    The segment of a class consists of the voxels predicted as this class (arg-max, or `p >= 0.5` for one class). The
    entropy is that of the class against all others, `-(p log p + (1 - p) log(1 - p))`. A higher value means less
    certain.

    Args:
        probabilities: Probabilities of one whole case, `(*spatial, classes)`. One class is the foreground; of several,
            class 0 is background.

    Returns:
        Array `(foreground classes,)` in nats, each in `[0, log 2]`; NaN for a class that is predicted nowhere.

    Raises:
        ValueError: If a value lies outside [0, 1], or several classes of a voxel do not sum to 1 (within 0.01).

    Reference:
        Mehrtash et al. (2020), Eq. 7.
    """
    predicted, class_probabilities = _foreground("segment_entropy", probabilities)
    entropies = []
    for label, p in enumerate(class_probabilities, start=1):
        inside = p[predicted == label]
        entropies.append(_mean_entropy(inside) if inside.size else float("nan"))
    return np.array(entropies)


def segment_components(probabilities: npt.ArrayLike, least: int = 1) -> list[Segment]:
    """Return the mean entropy of each connected component of the predicted segments.

    Voxels are connected if they share a face.

    Args:
        probabilities: As in `segment_entropy`.
        least: Smallest component to return, in voxels, at least 1.

    Returns:
        A list of `Segment`, sorted by class and then from the largest component to the smallest; empty if nothing is
        predicted.
    """
    argument("segment_components", "least", least, Integer(least=1))
    predicted, class_probabilities = _foreground("segment_components", probabilities)
    segments = []
    for label, p in enumerate(class_probabilities, start=1):
        components, number = ndimage.label(predicted == label)
        sizes = np.bincount(components.ravel(), minlength=number + 1)[1:]
        boxes = ndimage.find_objects(components)
        for index in np.argsort(-sizes, kind="stable"):
            if sizes[index] >= least:
                box = boxes[index]
                inside = p[box][components[box] == index + 1]
                segments.append(Segment(label, int(sizes[index]), _mean_entropy(inside), box))
    return segments


def binary_entropy(p: np.ndarray) -> np.ndarray:
    """Return the entropy of a probability and its complement, in nats: `-(p log p + (1 - p) log(1 - p))`.

    Args:
        p: Probabilities of any shape, clipped to [1e-7, 1 - 1e-7].

    Returns:
        Array of the same shape and type, in `[0, log 2]`.
    """
    p = np.clip(p, CLIP, 1 - CLIP)
    return -(p * np.log(p) + (1 - p) * np.log1p(-p))


def _foreground(caller, probabilities):
    """Return the predicted class of each voxel and a list with the probabilities of each foreground class."""
    probabilities = distributions(caller, "probabilities", probabilities)
    if probabilities.shape[-1] == 1:
        return probabilities[..., 0] >= 0.5, [probabilities[..., 0]]
    return np.argmax(probabilities, axis=-1), list(np.moveaxis(probabilities, -1, 0)[1:])


def _mean_entropy(p):
    return float(np.mean(binary_entropy(p.astype("float64"))))
