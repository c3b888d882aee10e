"""Predict whole volumes with overlapping windows. Memory grows neither with the number of windows nor of samples."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_uq._kinds import Flag, Integer, Items, Number, argument, shown
from keras_uq.files import gibibytes, max_memory
from keras_uq.inference._checks import check_images, check_options, input_shapes
from keras_uq.inference.ensemble import Ensemble
from keras_uq.inference.maps import MapSum, UncertaintyMaps
from keras_uq.inference.predictor import Predictor

# Standard deviation of the Gaussian that weights the voxels of a window, as a share of the window's sides.
SIGMA = 1 / 8
# Smallest weight of a voxel, so that no voxel of the image has a total weight near 0.
LEAST_WEIGHT = 1e-3


class SlidingWindow:
    """Predict images of any size with a predictor that takes windows of one size.

    Windows overlap. Each sample is first blended to a whole image, in which the voxels of a window are weighted by a
    Gaussian around its centre; the maps are then computed from the whole samples. The last window of an axis is moved
    inwards to end with the image. An image smaller than the window is padded with zeros at its end.

    Args:
        predictor: An `MCDropout`, an `Ensemble` (of models or of `MCDropout`), or a Keras model, which is then
            predicted deterministically.
        window: Sides of the window in voxels, one per spatial axis, each at least 1.
        overlap: Share of a window's side that it has in common with the next window, in [0, 1).
        consistent: Whether each Monte Carlo sample is *one* function of the image. Dropout masks are then anchored to
            the image and repeat with the size of the window, so that overlapping windows drop the same voxels.
            Distances between windows are rounded down to a multiple of the dropout layers' total stride (8 voxels for
            three poolings, for example). With `False`, windows are predicted like separate images: with masks that are
            the same in every window (`MCDropout(shared=True)`), or with new masks for each window, whose variation the
            blending partly averages away.

    Raises:
        ValueError: For an invalid window or overlap, for a window that the model does not take or the memory does not
            hold, or for a predictor that cannot predict window by window.

    `predict` and `draw` have the interface of `MCDropout`. They keep one batch of windows, one blended sample, and the
    running moments of all samples in memory.
    """

    def __init__(
        self,
        predictor: Predictor | keras.Model,
        window: Sequence[int],
        overlap: float = 0.5,
        consistent: bool = True,
    ) -> None:
        window = window.tolist() if isinstance(window, np.ndarray) else window
        self.window = argument("SlidingWindow", "window", window, Items(Integer(least=1), least=1))
        self.overlap = argument("SlidingWindow", "overlap", overlap, Number(least=0, below=1))
        self.consistent = argument("SlidingWindow", "consistent", consistent, Flag())
        predictor = Ensemble([predictor]) if isinstance(predictor, keras.Model) else predictor
        if isinstance(predictor, type) or not hasattr(predictor, "networks"):
            raise ValueError(
                f"SlidingWindow takes an MCDropout, an Ensemble or a model. Received: {shown(predictor)}. A "
                "TemperatureScaling works on whole maps: wrap it around the SlidingWindow instead."
            )
        _check_window(self.window, predictor)
        self.predictor = predictor.anchored(self.window) if consistent else predictor
        self._strides = self.predictor.strides if consistent else (1,) * len(self.window)
        self._importance = _importance(self.window)

    def describe(self) -> dict[str, Any]:
        """Return the settings needed to repeat the prediction, as JSON types."""
        return {
            "method": "sliding window",
            "window": list(self.window),
            "overlap": self.overlap,
            "blending": "Gaussian",
            "consistent": self.consistent,
            "of": self.predictor.describe(),
        }

    def predict(self, images: np.ndarray, batch_size: int = 1, case: int = 0) -> UncertaintyMaps:
        """Return the uncertainty maps of the images.

        Args:
            images: `(images, *spatial, channels)`, finite numbers, an array or a memory map.
            batch_size: Number of windows predicted at a time, at least 1.
            case: As in `MCDropout.predict`.

        Returns:
            `UncertaintyMaps`.

        Raises:
            ValueError: If the number of spatial axes is not the number of the window's sides; else as
                `MCDropout.predict`.
        """
        images, batch_size, case = self._checked(images, batch_size, case)
        parts = []
        for image in images:
            total, weight = MapSum(), self._weight(image.shape[:-1])
            for network in self.predictor.networks(case):
                total.add(self._blend(network, image, weight, batch_size)[np.newaxis])
            parts.append(total.maps())
        return UncertaintyMaps.concatenate(parts) if len(parts) > 1 else parts[0]

    def draw(self, images: np.ndarray, batch_size: int = 1, case: int = 0) -> Iterator[np.ndarray]:
        """Yield the blended samples that `predict` averages, each `(images, *spatial, classes)`."""
        images, batch_size, case = self._checked(images, batch_size, case)
        weights = [self._weight(image.shape[:-1]) for image in images]
        return (
            np.stack([self._blend(network, *pair, batch_size) for pair in zip(images, weights)])
            for network in self.predictor.networks(case)
        )

    def corners(self, shape: Sequence[int]) -> list[tuple[int, ...]]:
        """Return the first voxel of every window of an image of this spatial shape, in the order of prediction."""
        axes = [
            window_starts(size, side, self.overlap, stride)
            for size, side, stride in zip(shape, self.window, self._strides)
        ]
        # Windows of one batch must have the same phase, because they share their rolled masks.
        return sorted(itertools.product(*axes), key=self._phase)

    def _phase(self, corner):
        return tuple(start % side for start, side in zip(corner, self.window)) if self.consistent else ()

    def _blend(self, network, image, weight, batch_size):
        """Predict one sample of a whole image, `(*spatial, classes)`."""
        total, importance, start = None, self._importance[..., np.newaxis], 0
        for phase, group in itertools.groupby(self.corners(image.shape[:-1]), key=self._phase):
            corners = list(group)
            for first in range(0, len(corners), batch_size):
                batch_corners = corners[first : first + batch_size]
                batch = np.stack([cut_window(image, corner, self.window) for corner in batch_corners])
                output = network(batch, start=start, batch_size=batch_size, phase=phase or None)
                start += len(batch_corners)
                if total is None:
                    total = np.zeros((*image.shape[:-1], output.shape[-1]), dtype="float32")
                for corner, probabilities in zip(batch_corners, output):
                    inside = _inside(corner, self.window, total.shape)
                    kept = tuple(slice(0, part.stop - part.start) for part in inside)
                    total[inside] += probabilities[kept] * importance[kept]
        total /= weight[..., np.newaxis]
        # Rounding of the blend may turn a probability of 1 into 1 + 1e-7.
        return np.clip(total, 0, 1, out=total)

    def _weight(self, shape):
        """Sum of the weights of all windows at each voxel."""
        total = np.zeros(shape, dtype="float32")
        for corner in self.corners(shape):
            inside = _inside(corner, self.window, shape)
            total[inside] += self._importance[tuple(slice(0, part.stop - part.start) for part in inside)]
        return total

    def _checked(self, images, batch_size, case):
        for *_, channels in input_shapes(self.predictor) or [(None,)]:
            images = check_images("SlidingWindow", images, (None, *[None] * len(self.window), channels))
        return images, *check_options("SlidingWindow", batch_size, case)


def _check_window(window, predictor):
    """Raise `ValueError` if a model does not take the window, or if it takes more memory than there is."""
    size = 4 * math.prod(window)
    if size > max_memory():
        raise ValueError(
            f"SlidingWindow: one window of {window} voxels takes {gibibytes(size)}, more than the limit of "
            f"{gibibytes(max_memory())}. Choose a smaller `window`."
        )
    for shape in input_shapes(predictor):
        if len(shape) != len(window) + 2:
            raise ValueError(
                f"SlidingWindow expects `window` with one side per spatial axis of the model, which has "
                f"{len(shape) - 2}. Received: window={window}."
            )
        if any(side not in (None, wanted) for side, wanted in zip(shape[1:-1], window)):
            raise ValueError(
                f"SlidingWindow expects `window` to be {shape[1:-1]}, the input of the model. Received: "
                f"window={window}."
            )


def window_starts(size: int, window: int, overlap: float = 0.5, stride: int = 1) -> list[int]:
    """Return the first voxel of each window along one axis, so that the windows cover the axis.

    Args:
        size: Size of the image in voxels, at least 1.
        window: Size of a window in voxels, at least 1.
        overlap: Share of a window that it has in common with the next window, in [0, 1).
        stride: All starts are multiples of this number. The distance between windows is rounded down and the last start
            is rounded up, so the last window may extend up to `stride - 1` voxels beyond the image.

    Raises:
        ValueError: If an argument is out of its range.
    """
    for name, value in (("size", size), ("window", window), ("stride", stride)):
        argument("window_starts", name, value, Integer(least=1))
    argument("window_starts", "overlap", overlap, Number(least=0, below=1))
    if size <= window:
        return [0]
    step = max(int(window * (1 - overlap)) // stride * stride, stride)
    last = -(-(size - window) // stride) * stride
    return [*range(0, size - window, step), last]


def cut_window(image: np.ndarray, corner: Sequence[int], window: Sequence[int]) -> np.ndarray:
    """Cut the window that begins at `corner` from an image `(*spatial, channels)`; zeros fill voxels beyond its end.

    Raises:
        ValueError: If corner, window and image differ in their number of axes, or if the corner lies outside the image.
    """
    sides = np.shape(image)[:-1]
    inside = len(corner) == len(window) == len(sides) and all(0 <= c < s for c, s in zip(corner, sides))
    if not inside:
        raise ValueError(
            f"cut_window expects a corner within the image, and one side of the window per axis. Received: "
            f"corner={tuple(corner)}, window={tuple(window)}, image of {sides} voxels."
        )
    part = np.asarray(image[_inside(corner, window, image.shape)])
    missing = [(0, side - size) for side, size in zip(window, part.shape)]
    return np.pad(part, [*missing, (0, 0)]) if any(behind for _, behind in missing) else part


def _inside(corner, window, shape):
    return tuple(slice(start, min(start + side, size)) for start, side, size in zip(corner, window, shape))


def _importance(window):
    """Weight of each voxel of a window, 1 at its centre."""
    importance = np.ones(window, dtype="float32")
    for axis, side in enumerate(window):
        distances = (np.arange(side) - (side - 1) / 2) / (SIGMA * side)
        curve = np.exp(-0.5 * distances**2).astype("float32")
        importance *= curve.reshape([side if other == axis else 1 for other in range(len(window))])
    return np.maximum(importance / importance.max(), LEAST_WEIGHT)
