"""Whole volumes by overlapping windows, blended sample by sample: memory grows with neither windows nor samples."""

import itertools

import keras
import numpy as np

from keras_uq.inference.ensemble import Ensemble
from keras_uq.inference.maps import MapSum, UncertaintyMaps

# Of the Gaussian that weights a window, as a share of its sides; and its least weight.
SIGMA = 1 / 8
LEAST_WEIGHT = 1e-3


class SlidingWindow:
    """Predict images of any size with a predictor that takes windows of one size.

    Each sample is blended to a whole image first, and the maps are made of whole samples: the voxels of a window count
    by a Gaussian around its centre. At the ends of the image windows are moved inwards; an image smaller than the
    window is padded with zeros behind.

    Args:
        predictor: An `MCDropout`, an `Ensemble` (of models or of `MCDropout`), or a Keras model, then deterministic.
        window: Its sides in voxels, one a spatial axis.
        overlap: Share of a window's side that it has in common with the next, in [0, 1).
        consistent: A Monte Carlo sample is *one* function of the image: its dropout masks are anchored to the image and
            repeat with the window's size, so that overlapping windows drop the same places. Distances between windows
            are then rounded down to what all dropout layers can follow, 8 voxels for three poolings, say. With `False`
            the windows are separate images to the predictor: with masks that stand still in the window (`shared`), or
            of their own, which blending averages away.

    Raises:
        ValueError: For a window or an overlap that cannot be, or a predictor that cannot be asked window by window.

    `predict` and `draw` are those of `MCDropout`; they hold one batch of windows, the sum of one sample, and the
    moments of all.
    """

    def __init__(self, predictor, window, overlap=0.5, consistent=True):
        self.window = tuple(int(side) for side in window)
        if not self.window or min(self.window) < 1:
            raise ValueError(f"Expected one side of at least 1 voxel a spatial axis. Received: window={window!r}.")
        if not 0 <= overlap < 1:
            raise ValueError(f"Expected an overlap in [0, 1). Received: overlap={overlap!r}.")
        predictor = Ensemble([predictor]) if isinstance(predictor, keras.Model) else predictor
        if not hasattr(predictor, "networks"):
            raise ValueError(
                f"SlidingWindow takes an MCDropout, an Ensemble or a model. Received: {type(predictor).__name__}. What "
                "works on whole maps, such as TemperatureScaling, goes around it."
            )
        self.overlap = overlap
        self.consistent = consistent
        self.predictor = predictor.anchored(self.window) if consistent else predictor
        self._strides = self.predictor.strides if consistent else (1,) * len(self.window)
        self._importance = _importance(self.window)

    def describe(self):
        """What is needed to repeat the prediction, as JSON types."""
        return {
            "method": "sliding window",
            "window": list(self.window),
            "overlap": self.overlap,
            "blending": "Gaussian",
            "consistent": self.consistent,
            "of": self.predictor.describe(),
        }

    def predict(self, images, batch_size=1, case=0):
        """Maps of the images.

        Args:
            images: `(images, *spatial, channels)`, an array or a memory map.
            batch_size: Windows at a time.
            case: As in `MCDropout.predict`.

        Returns:
            `UncertaintyMaps`.

        Raises:
            ValueError: If the images have not as many spatial axes as the window has sides, or there are none.
        """
        self._check(images)
        parts = []
        for image in images:
            total, weight = MapSum(), self._weight(image.shape[:-1])
            for network in self.predictor.networks(case):
                total.add(self._blend(network, image, weight, batch_size)[np.newaxis])
            parts.append(total.maps())
        return UncertaintyMaps.concatenate(parts) if len(parts) > 1 else parts[0]

    def draw(self, images, batch_size=1, case=0):
        """Yield the blended samples that `predict` averages, each `(images, *spatial, classes)`."""
        self._check(images)
        weights = [self._weight(image.shape[:-1]) for image in images]
        for network in self.predictor.networks(case):
            yield np.stack([self._blend(network, *pair, batch_size) for pair in zip(images, weights)])

    def corners(self, shape):
        """First voxels of all windows of an image of this spatial shape, in the order they are predicted."""
        axes = [
            window_starts(size, side, self.overlap, stride)
            for size, side, stride in zip(shape, self.window, self._strides)
        ]
        # Windows of one batch share their masks, which depend on the place within the period of the window.
        return sorted(itertools.product(*axes), key=self._phase)

    def _phase(self, corner):
        return tuple(start % side for start, side in zip(corner, self.window)) if self.consistent else ()

    def _blend(self, network, image, weight, batch_size):
        """One sample of a whole image, `(*spatial, classes)`."""
        total, importance, start = None, self._importance[..., np.newaxis], 0
        for phase, group in itertools.groupby(self.corners(image.shape[:-1]), key=self._phase):
            corners = list(group)
            for first in range(0, len(corners), batch_size):
                some = corners[first : first + batch_size]
                batch = np.stack([cut_window(image, corner, self.window) for corner in some])
                found = network(batch, start=start, batch_size=batch_size, phase=phase or None)
                start += len(some)
                if total is None:
                    total = np.zeros((*image.shape[:-1], found.shape[-1]), dtype="float32")
                for corner, probabilities in zip(some, found):
                    inside = _inside(corner, self.window, total.shape)
                    kept = tuple(slice(0, part.stop - part.start) for part in inside)
                    total[inside] += probabilities[kept] * importance[kept]
        total /= weight[..., np.newaxis]
        # Rounding of the blend: probabilities of 1 must not become 1 + 1e-7.
        return np.clip(total, 0, 1, out=total)

    def _weight(self, shape):
        """Sum of the windows' weights, `shape`."""
        total = np.zeros(shape, dtype="float32")
        for corner in self.corners(shape):
            inside = _inside(corner, self.window, shape)
            total[inside] += self._importance[tuple(slice(0, part.stop - part.start) for part in inside)]
        return total

    def _check(self, images):
        if len(images) == 0:
            raise ValueError("There is no image to predict. Received an empty array.")
        if np.ndim(images) != len(self.window) + 2:
            raise ValueError(
                f"A window of {len(self.window)} sides needs images with {len(self.window) + 2} axes, (images, "
                f"*spatial, channels). Received: shape={np.shape(images)}. For one image, add the first: images[None]."
            )


def window_starts(size, window, overlap=0.5, stride=1):
    """Where the windows of one axis begin, multiples of `stride`: from 0, the last so that it reaches the end.

    Args:
        size: Of the image, voxels.
        window: Of a window, voxels.
        overlap: Share that neighbours have in common, in [0, 1).
        stride: The distance between windows is rounded down to a multiple of it, the last start up to one, so that the
            last window may reach up to `stride - 1` voxels beyond the end.
    """
    if size <= window:
        return [0]
    step = max(int(window * (1 - overlap)) // stride * stride, stride)
    last = -(-(size - window) // stride) * stride
    return [*range(0, size - window, step), last]


def cut_window(image, corner, window):
    """The part of an image `(*spatial, channels)` that begins at `corner`, with zeros behind where the image ends."""
    part = np.asarray(image[_inside(corner, window, image.shape)])
    missing = [(0, side - size) for side, size in zip(window, part.shape)]
    return np.pad(part, [*missing, (0, 0)]) if any(behind for _, behind in missing) else part


def _inside(corner, window, shape):
    return tuple(slice(start, min(start + side, size)) for start, side, size in zip(corner, window, shape))


def _importance(window):
    """Weight of each voxel of a window, 1 in its middle."""
    importance = np.ones(window, dtype="float32")
    for axis, side in enumerate(window):
        places = (np.arange(side) - (side - 1) / 2) / (SIGMA * side)
        curve = np.exp(-0.5 * places**2).astype("float32")
        importance *= curve.reshape([side if other == axis else 1 for other in range(len(window))])
    return np.maximum(importance / importance.max(), LEAST_WEIGHT)
