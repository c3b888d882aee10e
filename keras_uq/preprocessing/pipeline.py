"""The steps between a scan and the network, and the way back."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import cv2
import nibabel.orientations as orientations
import numpy as np
from scipy import ndimage

# Fields that configurations of before do not have, and what they mean there. Fingerprints of data hold configurations.
LATER = {"zscore": False, "resampling": "linear"}


@dataclass(frozen=True)
class Preprocessing:
    """What is done to a scan before a network sees it: one configuration for training and for use.

    The steps, in this order: axes to `orientation`; intensities by `window` or `percentiles` to `[0, 1]`, or by
    `zscore`; a median filter in each slice; slices resized to `size`; zero padding to `canvas` and to a multiple of
    `multiple`.

    Args:
        orientation: Anatomical direction of increasing x, y and z, e.g. `"LPS"`: slices are then axial and look as
            radiologists look at them. `None` keeps the file's axes.
        window: `(width, level)` in Hounsfield units: clip to `level - width / 2 ... level + width / 2`.
        percentiles: `(low, high)` in percent of the volume, each channel by itself (MRI). Not together with `window`.
        median: Side of the median filter in pixels, 3 or 5, or `None`.
        zscore: Subtract the mean and divide by the standard deviation of the scan, over all channels. Not together
            with the other two.
        size: `(height, width)` to resize to, or `None`.
        resampling: `"linear"`: images bilinear, masks nearest; or `"spline"`: images by cubic splines, masks bilinear
            and then above one half.
        canvas: `(height, width)` that smaller slices are padded to, or `None`.
        multiple: Slices are padded until height and width are multiples of this.

    Reference:
        Kethavath et al. (2025), Section 3.2 and Figure 2: `window=(300, 150)`, `median=3`. Yeung et al. (2021):
        `zscore=True`, `resampling="spline"`, the resampling as in the code that they used.
    """

    orientation: str | None = "LPS"
    window: tuple | None = None
    percentiles: tuple | None = None
    median: int | None = None
    size: tuple | None = None
    canvas: tuple | None = None
    multiple: int = 1
    zscore: bool = False
    resampling: str = "linear"

    def __post_init__(self):
        for name in ("window", "percentiles", "size", "canvas"):
            value = getattr(self, name)
            if value is not None:
                if len(value) != 2:
                    raise ValueError(f"`{name}` needs two numbers. Received: {name}={value!r}.")
                object.__setattr__(self, name, tuple(value))
        if sum((self.window is not None, self.percentiles is not None, self.zscore)) > 1:
            raise ValueError("Give one of `window` (CT), `percentiles` (MRI) and `zscore`, not several.")
        if self.window is not None and self.window[0] <= 0:
            raise ValueError(f"The width of `window` must be positive. Received: window={self.window!r}.")
        if self.percentiles is not None and not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise ValueError(f"`percentiles` must rise within [0, 100]. Received: percentiles={self.percentiles!r}.")
        if self.median not in (None, 3, 5):
            raise ValueError(f"`median` must be 3, 5 or None. Received: median={self.median!r}.")
        if self.resampling not in ("linear", "spline"):
            raise ValueError(f'`resampling` must be "linear" or "spline". Received: resampling={self.resampling!r}.')
        if self.multiple < 1:
            raise ValueError(f"`multiple` must be at least 1. Received: multiple={self.multiple!r}.")

    def to_json(self):
        """The configuration as JSON text. Later additions are left out where they change nothing."""
        values = {name: value for name, value in asdict(self).items() if name not in LATER or value != LATER[name]}
        return json.dumps(values, indent=2)

    @classmethod
    def from_json(cls, text):
        """The configuration that `to_json` wrote. Raises `ValueError` for unknown entries."""
        values = json.loads(text)
        unknown = set(values) - {entry.name for entry in fields(cls)}
        if unknown:
            raise ValueError(f"Unknown preprocessing entries {sorted(unknown)}; was it written by a newer version?")
        return cls(**values)

    def image(self, voxels, affine):
        """Network input of a scan.

        Args:
            voxels: `(x, y, z)` or `(x, y, z, channels)`, any real type.
            affine: `(4, 4)`, voxel index to millimetres.

        Returns:
            Float32 array `(depth, height, width, channels)`, within `[0, 1]` if `window` or `percentiles` is set, and
            the `Geometry` that leads back to the scan's grid.
        """
        slices, geometry = self._slices(voxels, affine)
        low, high = self._range(slices)
        if self.zscore:
            # A constant scan has no spread; it becomes 0.
            spread = np.std(slices, dtype="float64") or 1.0
            slices = ((slices - np.mean(slices, dtype="float64")) / spread).astype("float32")
        depth, height, width, channels = (*geometry.canvas_shape, slices.shape[-1])
        output = np.zeros((depth, height, width, channels), dtype="float32")
        top, left = geometry.offset
        rows, columns = geometry.resized
        for index in range(depth):
            for channel in range(channels):
                picture = slices[index, :, :, channel].astype("float32")
                if low is not None:
                    # A constant channel has no range; it becomes 0.
                    span = max(high[channel] - low[channel], np.finfo("float32").tiny)
                    picture = (np.clip(picture, low[channel], high[channel]) - low[channel]) / span
                if self.median is not None:
                    picture = cv2.medianBlur(picture, self.median)
                if self.size is not None:
                    picture = self._resized(picture, rows, columns)
                output[index, top : top + rows, left : left + columns, channel] = picture
        return output, geometry

    def slice_shape(self, shape, affine):
        """`(height, width)` of the slices of a scan of this shape, before resizing and padding."""
        axes = list(range(3))
        if self.orientation is not None:
            for source, (target, _) in enumerate(self._reorientation(affine)):
                axes[int(target)] = source
        return shape[axes[1]], shape[axes[0]]

    def mask(self, labels, affine):
        """Labels on the grid of `image`, uint8, shape `(depth, height, width, 1)`."""
        slices, geometry = self._slices(labels, affine)
        output = np.zeros((*geometry.canvas_shape, 1), dtype="uint8")
        top, left = geometry.offset
        rows, columns = geometry.resized
        for index in range(len(output)):
            picture = slices[index, :, :, 0].astype("uint8")
            if self.size is not None:
                picture = self._resized_mask(picture, rows, columns)
            output[index, top : top + rows, left : left + columns, 0] = picture
        return output

    def _resized(self, picture, rows, columns):
        if self.resampling == "linear":
            return cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_LINEAR)
        factors = (rows / picture.shape[0], columns / picture.shape[1])
        resized = ndimage.zoom(picture, factors, order=3, mode="nearest", grid_mode=True)
        return np.clip(resized, picture.min(), picture.max())  # Splines overshoot.

    def _resized_mask(self, picture, rows, columns):
        if self.resampling == "linear":
            # EXACT samples at pixel centres, as INTER_LINEAR does; INTER_NEAREST is half a pixel beside it.
            return cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT)
        resized = np.zeros((rows, columns), dtype="uint8")
        for value in np.unique(picture[picture > 0]):
            share = cv2.resize((picture == value).astype("float32"), (columns, rows), interpolation=cv2.INTER_LINEAR)
            resized[share >= 0.5] = value
        return resized

    def _reorientation(self, affine):
        """nibabel's axis transform: row i tells where axis i of the file goes, and whether it is flipped."""
        source = orientations.io_orientation(affine)
        return orientations.ornt_transform(source, orientations.axcodes2ornt(tuple(self.orientation)))

    def _slices(self, voxels, affine):
        if voxels.ndim == 3:
            voxels = voxels[..., np.newaxis]
        if voxels.ndim != 4:
            raise ValueError(f"Expected a volume (x, y, z) or (x, y, z, channels). Received: shape={voxels.shape}.")
        reorient = None
        if self.orientation is not None:
            reorient = self._reorientation(affine)
            voxels = orientations.apply_orientation(voxels, reorient)
        slices = np.ascontiguousarray(voxels.transpose(2, 1, 0, 3))
        depth, *oriented = slices.shape[:3]
        rows, columns = self.size or oriented
        padded = [
            -(-max(side, least) // self.multiple) * self.multiple
            for side, least in zip((rows, columns), self.canvas or (0, 0))
        ]
        return slices, Geometry(
            oriented=(depth, *oriented),
            resized=(rows, columns),
            canvas_shape=(depth, *padded),
            offset=((padded[0] - rows) // 2, (padded[1] - columns) // 2),
            reorient=None if reorient is None else reorient.tolist(),
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
    """How `Preprocessing.image` moved a scan, so that maps can go back.

    Attributes:
        oriented: `(depth, height, width)` after the change of axes, before resizing.
        resized: `(height, width)` after resizing.
        canvas_shape: `(depth, height, width)` of the network's input.
        offset: Rows and columns of padding before the slice.
        reorient: nibabel's axis transform from the file to `orientation`, or `None`.
    """

    oriented: tuple
    resized: tuple
    canvas_shape: tuple
    offset: tuple
    reorient: Any = field(default=None)

    def restore(self, volume, interpolation="linear"):
        """A map of the network's grid on the scan's own grid.

        Args:
            volume: `(depth, height, width)`, the shape that `image` returned without channels.
            interpolation: `"linear"` for maps, `"nearest"` for masks.

        Returns:
            Array `(x, y, z)` of the scan's shape, same type.
        """
        if volume.shape != self.canvas_shape:
            raise ValueError(f"Expected a map of shape {self.canvas_shape}. Received: {volume.shape}.")
        top, left = self.offset
        rows, columns = self.resized
        volume = volume[:, top : top + rows, left : left + columns]
        _, height, width = self.oriented
        if (rows, columns) != (height, width):
            how = {"linear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST_EXACT}[interpolation]
            volume = np.stack([cv2.resize(picture, (width, height), interpolation=how) for picture in volume])
        volume = volume.transpose(2, 1, 0)
        if self.reorient is not None:
            inverse = np.asarray(self.reorient).copy()
            # Axis i of the file went to axis reorient[i, 0]; the inverse sends it back, flipped where it was flipped.
            for axis, (target, flip) in enumerate(np.asarray(self.reorient)):
                inverse[int(target)] = (axis, flip)
            volume = orientations.apply_orientation(volume, inverse)
        return np.ascontiguousarray(volume)
