"""The grids of a scan before and after preprocessing, and resampling from one to the other."""

import functools
from dataclasses import dataclass, field
from typing import Any

import cv2
import nibabel.orientations as orientations
import numpy as np


@dataclass(frozen=True)
class Geometry:
    """The grids of a scan before and after `Preprocessing.image`, so that maps can be transformed back.

    Attributes:
        oriented: `(depth, height, width)` after reorientation, before resampling and resizing.
        resized: `(height, width)` after resampling and resizing.
        canvas_shape: `(depth, height, width)` of the network's input.
        offset: Rows and columns of padding before the slice; negative if the slice is cut.
        reorient: nibabel's axis transform from the file to `orientation`, or `None`.
        spacing: Millimetres between slices, rows and columns of the network's input.
    """

    oriented: tuple[int, int, int]
    resized: tuple[int, int]
    canvas_shape: tuple[int, int, int]
    offset: tuple[int, int]
    reorient: Any = field(default=None)
    spacing: tuple[float, float, float] | None = None

    @property
    def windows(self) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Two pairs of slices (rows, columns): the filled part of the canvas, and the part of the slice in it."""
        inside, taken = [], []
        for side, canvas_side, before in zip(self.resized, self.canvas_shape[1:], self.offset):
            inside.append(slice(max(before, 0), min(before + side, canvas_side)))
            taken.append(slice(max(-before, 0), max(-before, 0) + inside[-1].stop - inside[-1].start))
        return tuple(inside), tuple(taken)

    def restore(self, volume: np.ndarray, interpolation: str = "linear", outside: float = 0) -> np.ndarray:
        """Resample a map from the network's grid to the grid of the scan.

        Args:
            volume: `(depth, height, width)`, the shape that `image` returned without channels.
            interpolation: `"linear"` for maps, `"nearest"` for masks.
            outside: Value of voxels outside the network's input.

        Returns:
            Array `(x, y, z)` of the scan's shape, with the type of `volume`.
        """
        if volume.shape != self.canvas_shape:
            raise ValueError(f"Expected a map of shape {self.canvas_shape}. Received: {volume.shape}.")
        inside, taken = self.windows
        whole = np.full((len(volume), *self.resized), outside, dtype=volume.dtype)
        whole[(slice(None), *taken)] = volume[(slice(None), *inside)]
        if whole.shape != self.oriented:
            whole = resample(whole[..., np.newaxis], self.oriented, interpolation)[..., 0]
        volume = whole.transpose(2, 1, 0)
        if self.reorient is not None:
            inverse = np.asarray(self.reorient).copy()
            # Axis i of the file went to axis reorient[i, 0]; the inverse moves it back, with the same flip.
            for axis, (target, flip) in enumerate(np.asarray(self.reorient)):
                inverse[int(target)] = (axis, flip)
            volume = orientations.apply_orientation(volume, inverse)
        return np.ascontiguousarray(volume)


def resample(volume: np.ndarray, shape: tuple[int, int, int], interpolation: str) -> np.ndarray:
    """Resample a volume `(depth, height, width, channels)` to another grid that covers the same space.

    The grids are aligned at their outer borders, not at the centres of their first voxels.
    """
    depth, height, width = shape
    if volume.shape[1:3] != (height, width):
        flag = {"linear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST_EXACT}[interpolation]
        resize = functools.partial(cv2.resize, dsize=(width, height), interpolation=flag)
        dtype = "float32" if interpolation == "linear" else volume.dtype
        volume = np.stack(
            [
                np.stack(
                    [
                        resize(np.ascontiguousarray(part[..., channel], dtype=dtype))
                        for channel in range(part.shape[-1])
                    ],
                    -1,
                )
                for part in volume
            ]
        )
    if len(volume) == depth:
        return volume
    centres = (np.arange(depth) + 0.5) * len(volume) / depth
    if interpolation == "nearest":
        return volume[np.floor(centres).astype(int)]
    positions = np.clip(centres - 0.5, 0, len(volume) - 1)
    below = np.floor(positions).astype(int)
    above = np.minimum(below + 1, len(volume) - 1)
    share = (positions - below).astype("float32")[:, np.newaxis, np.newaxis, np.newaxis]
    return volume[below] * (1 - share) + volume[above] * share
