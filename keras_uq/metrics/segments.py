"""How sure a network is of a structure as a whole: entropy over what it segmented."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

# Probabilities are kept this far from 0 and 1 before a logarithm.
CLIP = 1e-7


class Segment(NamedTuple):
    """A connected component of a predicted class.

    Attributes:
        label: The class.
        voxels: Its size.
        entropy: Mean binary entropy of the class's probability over it, in nats, within `[0, log 2]`.
        box: The slices that hold it, one an axis.
    """

    label: int
    voxels: int
    entropy: float
    box: tuple


def segment_entropy(probabilities):
    """Mean entropy over the predicted segment of each foreground class.

    The segment of a class is where it is the predicted one (arg-max, or `p >= 0.5` for one class); the entropy is that
    of the class against all others, `-(p log p + (1 - p) log(1 - p))`. Higher is less certain.

    Args:
        probabilities: Of one whole case, `(*spatial, classes)`; one class is the foreground, else class 0 is
            background.

    Returns:
        Nats, `(foreground classes,)`, each in `[0, log 2]`; NaN for a class that is predicted nowhere.

    Raises:
        ValueError: If a value is not within [0, 1].

    Reference:
        Mehrtash et al. (2020), Eq. 7.
    """
    predicted, of_classes = _foreground(probabilities)
    found = []
    for label, p in enumerate(of_classes, start=1):
        inside = p[predicted == label]
        found.append(float(np.mean(_entropy(inside))) if inside.size else float("nan"))
    return np.array(found)


def segment_components(probabilities, least=1):
    """The same, of each connected component by itself (voxels that share a face), largest first within a class.

    Args:
        probabilities: As in `segment_entropy`.
        least: Components of fewer voxels are left out.

    Returns:
        A list of `Segment`; empty if nothing is predicted.
    """
    predicted, of_classes = _foreground(probabilities)
    found = []
    for label, p in enumerate(of_classes, start=1):
        components, number = ndimage.label(predicted == label)
        sizes = np.bincount(components.ravel(), minlength=number + 1)[1:]
        boxes = ndimage.find_objects(components)
        for index in np.argsort(-sizes, kind="stable"):
            if sizes[index] >= least:
                box = boxes[index]
                inside = p[box][components[box] == index + 1]
                found.append(Segment(label, int(sizes[index]), float(np.mean(_entropy(inside))), box))
    return found


def _foreground(probabilities):
    """The predicted class of each voxel, and the probabilities of each foreground class."""
    probabilities = np.asarray(probabilities)
    if probabilities.ndim < 2 or (probabilities.size and not 0 <= probabilities.min() <= probabilities.max() <= 1):
        raise ValueError(
            "Expected probabilities (*spatial, classes) in [0, 1]. Received: shape="
            f"{probabilities.shape}{_range(probabilities)}."
        )
    if probabilities.shape[-1] == 1:
        return probabilities[..., 0] >= 0.5, [probabilities[..., 0]]
    return np.argmax(probabilities, axis=-1), list(np.moveaxis(probabilities, -1, 0)[1:])


def _range(probabilities):
    return f", values from {probabilities.min()} to {probabilities.max()}" if probabilities.size else ""


def _entropy(p):
    p = np.clip(p.astype("float64"), CLIP, 1 - CLIP)
    return -(p * np.log(p) + (1 - p) * np.log1p(-p))
