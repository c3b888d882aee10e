"""The steps between a scan and the network, and the way back."""

import functools
import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import cv2
import nibabel.orientations as orientations
import numpy as np
from scipy import ndimage

# Fields that configurations of before do not have, and what they mean there. Fingerprints of data hold configurations.
LATER = {"zscore": False, "resampling": "linear", "spacing": None, "crop": None}


@dataclass(frozen=True)
class Preprocessing:
    """What is done to a scan before a network sees it: one configuration for training and for use.

    The steps, in this order: axes to `orientation`; voxels to `spacing`; intensities by `window` or `percentiles` to
    `[0, 1]`, or by `zscore`; a median filter in each slice; slices resized to `size`; slices cut or zero padded to
    `crop`, or padded to `canvas`; padding to a multiple of `multiple`.

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
        spacing: `(slice, row, column)` distances in millimetres to resample to, images linearly, masks nearest; `None`
            for all or one of them keeps the scan's. Not together with `size`.
        crop: `(height, width)` around the centre that every slice is cut or padded to, or `None`.

    Reference:
        Kethavath et al. (2025), Section 3.2 and Figure 2: `window=(300, 150)`, `median=3`. Yeung et al. (2021):
        `zscore=True`, `resampling="spline"`, the resampling as in the code that they used. Mehrtash et al. (2020),
        Section IV-D: `spacing`, `crop=(224, 224)`, `percentiles=(0, 100)`.
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
    spacing: tuple | None = None
    crop: tuple | None = None

    def __post_init__(self):
        for name in ("window", "percentiles", "size", "canvas", "crop", "spacing"):
            value, numbers = getattr(self, name), 3 if name == "spacing" else 2
            if value is not None:
                if len(value) != numbers:
                    raise ValueError(f"`{name}` needs {numbers} numbers. Received: {name}={value!r}.")
                object.__setattr__(self, name, tuple(value))
        if self.spacing is not None and (
            self.size is not None or min(x for x in (*self.spacing, 1) if x is not None) <= 0
        ):
            raise ValueError(
                "`spacing` needs three sizes above 0 in mm, or None, and no `size`. "
                f"Received: spacing={self.spacing!r}, size={self.size!r}."
            )
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
        slices, geometry = self._slices(voxels, affine, "linear")
        low, high = self._range(slices)
        if self.zscore:
            # A constant scan has no spread; it becomes 0.
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
                    # A constant channel has no range; it becomes 0.
                    span = max(high[channel] - low[channel], np.finfo("float32").tiny)
                    picture = (np.clip(picture, low[channel], high[channel]) - low[channel]) / span
                if self.median is not None:
                    picture = cv2.medianBlur(picture, self.median)
                if self.size is not None:
                    picture = self._resized(picture, rows, columns)
                output[(index, *inside, channel)] = picture[taken]
        return output, geometry

    def slice_shape(self, shape, affine):
        """`(height, width)` of the slices of a scan of this shape at `spacing`, before resizing and padding."""
        axes = self._axes(affine)
        oriented = tuple(shape[axis] for axis in reversed(axes))
        return self._resampled_shape(oriented, self._spacing(affine))[1:]

    def _axes(self, affine):
        """Which axes of the file become x, y and z."""
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

    def mask(self, labels, affine):
        """Labels on the grid of `image`, uint8, shape `(depth, height, width, 1)`."""
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

    def _slices(self, voxels, affine, interpolation):
        if voxels.ndim == 3:
            voxels = voxels[..., np.newaxis]
        if voxels.ndim != 4:
            raise ValueError(f"Expected a volume (x, y, z) or (x, y, z, channels). Received: shape={voxels.shape}.")
        reorient = None
        if self.orientation is not None:
            reorient = self._reorientation(affine)
            voxels = orientations.apply_orientation(voxels, reorient)
        slices = np.ascontiguousarray(voxels.transpose(2, 1, 0, 3))
        oriented, spacing = slices.shape[:3], self._spacing(affine)
        resampled = self._resampled_shape(oriented, spacing)
        if resampled != oriented:
            slices = _resample(slices, resampled, interpolation)
        depth, *sides = resampled
        rows, columns = self.size or sides
        padded = [
            -(-max(side, least) // self.multiple) * self.multiple
            for side, least in zip(self.crop or (rows, columns), self.canvas or (0, 0))
        ]
        return slices, Geometry(
            oriented=oriented,
            resized=(rows, columns),
            canvas_shape=(depth, *padded),
            offset=((padded[0] - rows) // 2, (padded[1] - columns) // 2),
            reorient=None if reorient is None else reorient.tolist(),
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
    """How `Preprocessing.image` moved a scan, so that maps can go back.

    Attributes:
        oriented: `(depth, height, width)` after the change of axes, before resampling and resizing.
        resized: `(height, width)` after them.
        canvas_shape: `(depth, height, width)` of the network's input.
        offset: Rows and columns of padding before the slice; negative where the slice is cut.
        reorient: nibabel's axis transform from the file to `orientation`, or `None`.
        spacing: Millimetres between slices, rows and columns of the network's input.
    """

    oriented: tuple
    resized: tuple
    canvas_shape: tuple
    offset: tuple
    reorient: Any = field(default=None)
    spacing: tuple | None = None

    @property
    def windows(self):
        """Where a slice comes to lie in the canvas, and which part of the slice that is: slices of rows and columns."""
        inside, taken = [], []
        for side, room, before in zip(self.resized, self.canvas_shape[1:], self.offset):
            inside.append(slice(max(before, 0), min(before + side, room)))
            taken.append(slice(max(-before, 0), max(-before, 0) + inside[-1].stop - inside[-1].start))
        return tuple(inside), tuple(taken)

    def restore(self, volume, interpolation="linear", outside=0):
        """A map of the network's grid on the scan's own grid.

        Args:
            volume: `(depth, height, width)`, the shape that `image` returned without channels.
            interpolation: `"linear"` for maps, `"nearest"` for masks.
            outside: Value of voxels that the network did not see.

        Returns:
            Array `(x, y, z)` of the scan's shape, same type.
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
            # Axis i of the file went to axis reorient[i, 0]; the inverse sends it back, flipped where it was flipped.
            for axis, (target, flip) in enumerate(np.asarray(self.reorient)):
                inverse[int(target)] = (axis, flip)
            volume = orientations.apply_orientation(volume, inverse)
        return np.ascontiguousarray(volume)


def _resample(volume, shape, interpolation):
    """A volume `(depth, height, width, channels)` on another grid over the same space; voxel centres are aligned."""
    depth, height, width = shape
    if volume.shape[1:3] != (height, width):
        how = {"linear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST_EXACT}[interpolation]
        resize = functools.partial(cv2.resize, dsize=(width, height), interpolation=how)
        kind = "float32" if interpolation == "linear" else volume.dtype
        volume = np.stack(
            [
                np.stack(
                    [resize(np.ascontiguousarray(part[..., channel], dtype=kind)) for channel in range(part.shape[-1])],
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
    places = np.clip(centres - 0.5, 0, len(volume) - 1)
    below = np.floor(places).astype(int)
    above = np.minimum(below + 1, len(volume) - 1)
    share = (places - below).astype("float32")[:, np.newaxis, np.newaxis, np.newaxis]
    return volume[below] * (1 - share) + volume[above] * share
