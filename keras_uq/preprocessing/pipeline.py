"""Preprocess scans for a network, and map its output back to the grid of the scan."""

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

import cv2
import nibabel.orientations as orientations
import numpy as np
from scipy import ndimage

# Fields added after the first configurations were saved, with the values that those configurations imply. `to_json`
# omits them at these values, because fingerprints of prepared data contain the configuration.
LATER = {"zscore": False, "resampling": "linear", "spacing": None, "crop": None}


@dataclass(frozen=True)
class Preprocessing:
    """Configuration of the preprocessing of a scan, the same for training and for prediction.

    The steps are applied in this order: reorient the axes to `orientation`; resample the voxels to `spacing`; scale the
    intensities to `[0, 1]` by `window` or `percentiles`, or normalise them by `zscore`; filter each slice with a median
    filter; resize the slices to `size`; cut or zero-pad them to `crop`, or pad them to `canvas`; pad them to a multiple
    of `multiple`.

    Args:
        orientation: Anatomical direction of increasing x, y and z. With `"LPS"` slices are axial, in the orientation
            that radiologists use. `None` keeps the file's axes.
        window: `(width, level)` in Hounsfield units: clip to `level - width / 2 ... level + width / 2`.
        percentiles: `(low, high)` in percent of the volume, for each channel separately (MRI). It excludes `window`.
        median: Side of the median filter in pixels, 3 or 5, or `None`.
        zscore: Whether to subtract the mean of the scan and divide by its standard deviation, both over all channels.
            It excludes `window` and `percentiles`.
        size: `(height, width)` to resize to, or `None`.
        resampling: `"linear"` resizes images bilinearly and masks by nearest neighbour. `"spline"` resizes images by
            cubic splines, and masks bilinearly with a threshold of one half.
        canvas: `(height, width)` to which smaller slices are padded, or `None`.
        multiple: Slices are padded until height and width are multiples of this number.
        spacing: Distances in millimetres between slices, rows and columns to resample to, images linearly and masks by
            nearest neighbour. `None` for all or one of them keeps the scan's distance. It excludes `size`.
        crop: `(height, width)` to which every slice is cut or padded around its centre, or `None`.

    Reference:
        Kethavath et al. (2025), Section 3.2 and Figure 2, use `window=(300, 150)`, `median=3`. Yeung et al. (2021) use
        `zscore=True` and, in their code, `resampling="spline"`. Mehrtash et al. (2020), Section IV-D, use `spacing`,
        `crop=(224, 224)` and `percentiles=(0, 100)`.
    """

    orientation: str | None = "LPS"
    window: tuple[float, float] | None = None
    percentiles: tuple[float, float] | None = None
    median: int | None = None
    size: tuple[int, int] | None = None
    canvas: tuple[int, int] | None = None
    multiple: int = 1
    zscore: bool = False
    resampling: str = "linear"
    spacing: tuple[float | None, float | None, float | None] | None = None
    crop: tuple[int, int] | None = None

    def __post_init__(self):
        for name in ("window", "percentiles", "size", "canvas", "crop", "spacing"):
            value, length = getattr(self, name), 3 if name == "spacing" else 2
            if value is not None:
                if len(value) != length:
                    raise ValueError(f"`{name}` needs {length} numbers. Received: {name}={value!r}.")
                object.__setattr__(self, name, tuple(value))
        if self.spacing is not None and (
            self.size is not None or min(x for x in (*self.spacing, 1) if x is not None) <= 0
        ):
            raise ValueError(
                "`spacing` needs three sizes above 0 in mm, or None, and no `size`. "
                f"Received: spacing={self.spacing!r}, size={self.size!r}."
            )
        if sum((self.window is not None, self.percentiles is not None, self.zscore)) > 1:
            raise ValueError("Give one of `window` (CT), `percentiles` (MRI) and `zscore`. Received more than one.")
        if self.window is not None and self.window[0] <= 0:
            raise ValueError(f"The width of `window` must be positive. Received: window={self.window!r}.")
        if self.percentiles is not None and not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise ValueError(
                f"`percentiles` must satisfy 0 <= low < high <= 100. Received: percentiles={self.percentiles!r}."
            )
        if self.median not in (None, 3, 5):
            raise ValueError(f"`median` must be 3, 5 or None. Received: median={self.median!r}.")
        if self.resampling not in ("linear", "spline"):
            raise ValueError(f'`resampling` must be "linear" or "spline". Received: resampling={self.resampling!r}.')
        if self.multiple < 1:
            raise ValueError(f"`multiple` must be at least 1. Received: multiple={self.multiple!r}.")

    def to_json(self) -> str:
        """Return the configuration as JSON text. Fields that were added later are omitted at their defaults."""
        values = {name: value for name, value in asdict(self).items() if name not in LATER or value != LATER[name]}
        return json.dumps(values, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the configuration that `to_json` wrote. Raises `ValueError` for unknown entries."""
        values = json.loads(text)
        unknown = set(values) - {entry.name for entry in fields(cls)}
        if unknown:
            raise ValueError(f"Unknown preprocessing entries {sorted(unknown)}; was it written by a newer version?")
        return cls(**values)

    def image(self, voxels: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, "Geometry"]:
        """Convert a scan to network input.

        Args:
            voxels: `(x, y, z)` or `(x, y, z, channels)`, any real type.
            affine: Matrix `(4, 4)` from voxel index to millimetres.

        Returns:
            A float32 array `(depth, height, width, channels)`, within `[0, 1]` if `window` or `percentiles` is set, and
            the `Geometry` that maps arrays of this grid back to the grid of the scan.
        """
        slices, geometry = self._slices(voxels, affine, "linear")
        low, high = self._range(slices)
        if self.zscore:
            # A constant scan has a standard deviation of 0; its output is 0.
            spread = np.std(slices, dtype="float64") or 1.0
            slices = ((slices - np.mean(slices, dtype="float64")) / spread).astype("float32")
        depth, height, width, channels = (*geometry.canvas_shape, slices.shape[-1])
        output = np.zeros((depth, height, width, channels), dtype="float32")
        inside, taken = geometry.windows
        rows, columns = geometry.resized
        for index in range(depth):
            for channel in range(channels):
                picture = slices[index, :, :, channel].astype("float32")
                if low is not None:
                    # A constant channel has a range of 0; its output is 0.
                    span = max(high[channel] - low[channel], np.finfo("float32").tiny)
                    picture = (np.clip(picture, low[channel], high[channel]) - low[channel]) / span
                if self.median is not None:
                    picture = cv2.medianBlur(picture, self.median)
                if self.size is not None:
                    picture = self._resized(picture, rows, columns)
                output[(index, *inside, channel)] = picture[taken]
        return output, geometry

    def slice_shape(self, shape: Sequence[int], affine: np.ndarray) -> tuple[int, int]:
        """Return `(height, width)` of the slices of a scan after resampling to `spacing`, before resizing and padding.

        Args:
            shape: `(x, y, z)` of the scan.
            affine: Matrix `(4, 4)` from voxel index to millimetres.
        """
        return self._resampled_shape(self._oriented_shape(shape, affine), self._spacing(affine))[1:]

    def output_shape(self, shape: Sequence[int], affine: np.ndarray) -> tuple[int, int, int]:
        """Return `(depth, height, width)` of what `image` and `mask` would return for a scan. Nothing is allocated.

        Args:
            shape: `(x, y, z)` or `(x, y, z, channels)` of the scan.
            affine: Matrix `(4, 4)` from voxel index to millimetres.
        """
        return self._geometry(self._oriented_shape(shape, affine), affine).canvas_shape

    def _oriented_shape(self, shape, affine):
        """`(depth, height, width)` after reorientation."""
        return tuple(int(shape[axis]) for axis in reversed(self._axes(affine)))

    def _axes(self, affine):
        """The axes of the file that become x, y and z."""
        axes = list(range(3))
        if self.orientation is not None:
            for source, (target, _) in enumerate(self._reorientation(affine)):
                axes[int(target)] = source
        return axes

    def _spacing(self, affine):
        """Millimetres between slices, rows and columns, before resampling."""
        sizes = np.linalg.norm(np.asarray(affine, dtype="float64")[:3, :3], axis=0)
        return tuple(float(sizes[axis]) for axis in reversed(self._axes(affine)))

    def _resampled_shape(self, shape, spacing):
        if self.spacing is None:
            return shape
        return tuple(
            number if wanted is None else max(round(number * size / wanted), 1)
            for number, size, wanted in zip(shape, spacing, self.spacing)
        )

    def mask(self, labels: np.ndarray, affine: np.ndarray) -> np.ndarray:
        """Resample labels to the grid of `image`. Returns uint8 `(depth, height, width, 1)`."""
        slices, geometry = self._slices(labels, affine, "nearest")
        output = np.zeros((*geometry.canvas_shape, 1), dtype="uint8")
        inside, taken = geometry.windows
        rows, columns = geometry.resized
        for index in range(len(output)):
            picture = slices[index, :, :, 0].astype("uint8")
            if self.size is not None:
                picture = self._resized_mask(picture, rows, columns)
            output[(index, *inside, 0)] = picture[taken]
        return output

    def _resized(self, picture, rows, columns):
        if self.resampling == "linear":
            return cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_LINEAR)
        factors = (rows / picture.shape[0], columns / picture.shape[1])
        resized = ndimage.zoom(picture, factors, order=3, mode="nearest", grid_mode=True)
        return np.clip(resized, picture.min(), picture.max())  # Cubic splines can overshoot.

    def _resized_mask(self, picture, rows, columns):
        if self.resampling == "linear":
            # NEAREST_EXACT samples at pixel centres, as INTER_LINEAR does; INTER_NEAREST is shifted by half a pixel.
            return cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT)
        resized = np.zeros((rows, columns), dtype="uint8")
        for value in np.unique(picture[picture > 0]):
            share = cv2.resize((picture == value).astype("float32"), (columns, rows), interpolation=cv2.INTER_LINEAR)
            resized[share >= 0.5] = value
        return resized

    def _reorientation(self, affine):
        """nibabel's axis transform: row i gives the target of axis i of the file, and whether it is flipped."""
        source = orientations.io_orientation(affine)
        return orientations.ornt_transform(source, orientations.axcodes2ornt(tuple(self.orientation)))

    def _slices(self, voxels, affine, interpolation):
        if voxels.ndim == 3:
            voxels = voxels[..., np.newaxis]
        if voxels.ndim != 4:
            raise ValueError(f"Expected a volume (x, y, z) or (x, y, z, channels). Received: shape={voxels.shape}.")
        if self.orientation is not None:
            voxels = orientations.apply_orientation(voxels, self._reorientation(affine))
        slices = np.ascontiguousarray(voxels.transpose(2, 1, 0, 3))
        resampled = self._resampled_shape(slices.shape[:3], self._spacing(affine))
        geometry = self._geometry(slices.shape[:3], affine)
        if resampled != geometry.oriented:
            slices = _resample(slices, resampled, interpolation)
        return slices, geometry

    def _geometry(self, oriented, affine):
        """The `Geometry` of a scan of shape `(depth, height, width)` after reorientation."""
        spacing = self._spacing(affine)
        depth, *sides = self._resampled_shape(oriented, spacing)
        rows, columns = self.size or sides
        padded = [
            -(-max(side, least) // self.multiple) * self.multiple
            for side, least in zip(self.crop or (rows, columns), self.canvas or (0, 0))
        ]
        return Geometry(
            oriented=oriented,
            resized=(rows, columns),
            canvas_shape=(depth, *padded),
            offset=((padded[0] - rows) // 2, (padded[1] - columns) // 2),
            reorient=None if self.orientation is None else self._reorientation(affine).tolist(),
            spacing=tuple(
                size * before / after for size, before, after in zip(spacing, oriented, (depth, rows, columns))
            ),
        )

    def _range(self, slices):
        """Lower and upper intensity limit of each channel, or `(None, None)`."""
        if self.window is not None:
            width, level = self.window
            ones = np.ones(slices.shape[-1], dtype="float32")
            return (level - width / 2) * ones, (level + width / 2) * ones
        if self.percentiles is not None:
            return np.percentile(slices, self.percentiles, axis=(0, 1, 2)).astype("float32")
        return None, None


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
            whole = _resample(whole[..., np.newaxis], self.oriented, interpolation)[..., 0]
        volume = whole.transpose(2, 1, 0)
        if self.reorient is not None:
            inverse = np.asarray(self.reorient).copy()
            # Axis i of the file went to axis reorient[i, 0]; the inverse moves it back, with the same flip.
            for axis, (target, flip) in enumerate(np.asarray(self.reorient)):
                inverse[int(target)] = (axis, flip)
            volume = orientations.apply_orientation(volume, inverse)
        return np.ascontiguousarray(volume)


def _resample(volume, shape, interpolation):
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
