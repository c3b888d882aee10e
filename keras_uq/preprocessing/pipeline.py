"""Preprocess scans for a network, and map its output back to the grid of the scan."""

import functools
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

import cv2
import nibabel.orientations as orientations
import numpy as np
from scipy import ndimage

from keras_uq._kinds import Choice, Flag, Integer, Items, Maybe, Number, Text, argument, shown
from keras_uq.files import BadFile, check, gibibytes, max_memory, parse
from keras_uq.preprocessing.geometry import Geometry, resample
from keras_uq.preprocessing.nifti import BadScan

SIDES = Maybe(Items(Integer(1, 16384), 2))
# What each field of `Preprocessing` may be, as an argument and in JSON.
KINDS = {
    "orientation": Maybe(
        Text(
            pattern="(?=.*[LR])(?=.*[PA])(?=.*[SI]).{3}",
            described='three letters, one each of L or R, P or A, S or I, such as "LPS"',
        )
    ),
    "window": Maybe(Items(Number(-1e9, 1e9), 2)),
    "percentiles": Maybe(Items(Number(0, 100), 2)),
    "median": Maybe(Choice(3, 5)),
    "size": SIDES,
    "canvas": SIDES,
    "multiple": Integer(1, 1024),
    "zscore": Flag(),
    "resampling": Choice("linear", "spline"),
    "spacing": Maybe(Items(Maybe(Number(0.001, 1000, unit="mm")), 3)),
    "crop": SIDES,
}
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
        for name, kind in KINDS.items():
            value = _plain(getattr(self, name))
            argument("Preprocessing", name, value, kind)
            # 300 stays 300 and does not become 300.0: fingerprints of prepared data hold the JSON text.
            object.__setattr__(self, name, value)
        if self.spacing is not None and self.size is not None:
            raise ValueError(
                f"Give `spacing` or `size`, not both. Received: spacing={self.spacing!r}, size={self.size!r}."
            )
        if sum((self.window is not None, self.percentiles is not None, self.zscore)) > 1:
            raise ValueError("Give one of `window` (CT), `percentiles` (MRI) and `zscore`. Received more than one.")
        if self.percentiles is not None and self.percentiles[0] >= self.percentiles[1]:
            raise ValueError(
                f"`percentiles` must satisfy 0 <= low < high <= 100. Received: percentiles={self.percentiles!r}."
            )
        if self.window is not None:
            low, high = (bound[0] for bound in self._range(np.empty((0, 0, 0, 1))))
            if not low < high:
                raise ValueError(
                    "`window` is (width, level), with a width above 0 that float32 can tell from 0 at this level. "
                    f"Received: window={self.window!r}."
                )

    def to_json(self) -> str:
        """Return the configuration as JSON text. Fields that were added later are omitted at their defaults."""
        values = {name: value for name, value in asdict(self).items() if name not in LATER or value != LATER[name]}
        return json.dumps(values, indent=2)

    @classmethod
    def from_json(cls, text: str | bytes, source: str | os.PathLike = "preprocessing") -> Self:
        """Return the configuration that `to_json` wrote.

        Args:
            text: JSON text, or its bytes in UTF-8.
            source: File that errors name.

        Raises:
            BadFile: If the text is no JSON, or holds an unknown field or a value that a field cannot have.
        """
        values = parse(text, source, once=True)
        unknown = isinstance(values, dict) and set(values) - set(KINDS)
        if unknown:
            raise BadFile(
                f"{source} holds the unknown fields {shown(sorted(unknown))}; was it written by a newer version? "
                f"Known: {', '.join(KINDS)}."
            )
        check(values, KINDS, source, optional=KINDS)
        try:
            return cls(**values)
        except ValueError as error:
            raise BadFile(f"{source}: {error}") from None

    def image(self, voxels: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, "Geometry"]:
        """Convert a scan to network input.

        Args:
            voxels: `(x, y, z)` or `(x, y, z, channels)`, any real type.
            affine: Matrix `(4, 4)` from voxel index to millimetres.

        Returns:
            A float32 array `(depth, height, width, channels)`, within `[0, 1]` if `window` or `percentiles` is set, and
            the `Geometry` that maps arrays of this grid back to the grid of the scan.

        Raises:
            BadScan: With the code `image_not_finite` if the scan holds NaN, or values that float32 cannot hold; with
                `too_large` if the result needs more memory than `keras_uq.files.max_memory()`.
            ValueError: If `voxels` or `affine` are not as described.
        """
        if voxels.dtype.kind not in "biuf":
            raise ValueError(f"Expected voxels of a real type. Received: dtype={voxels.dtype}.")
        with np.errstate(over="ignore", invalid="ignore"):  # What is not finite afterwards is refused.
            slices, geometry = self._slices(voxels, affine, "linear")
            return self._scaled(slices, geometry, real=voxels.dtype.kind == "f"), geometry

    def _scaled(self, slices, geometry, real):
        """The network's input from resampled slices: intensities, median filter, size and padding."""
        low, high = self._range(slices)
        if low is not None and not np.isfinite(high - low).all():
            raise _not_finite(slices)
        if self.zscore:
            # A constant scan has a standard deviation of 0; its output is 0.
            mean, spread = np.mean(slices, dtype="float64"), np.std(slices, dtype="float64") or 1.0
            if not np.isfinite(spread):
                raise _not_finite(slices)
            slices = ((slices - mean) / spread).astype("float32")
        depth, height, width, channels = (*geometry.canvas_shape, slices.shape[-1])
        output = np.zeros((depth, height, width, channels), dtype="float32")
        inside, taken = geometry.windows
        rows, columns = geometry.resized
        for index in range(depth):
            for channel in range(channels):
                picture = slices[index, :, :, channel].astype("float32")
                if real and not np.isfinite(picture).all():  # Integers are always finite.
                    raise _not_finite(slices)
                if low is not None:
                    # A constant channel has a range of 0; its output is 0.
                    span = max(high[channel] - low[channel], np.finfo("float32").tiny)
                    picture = (np.clip(picture, low[channel], high[channel]) - low[channel]) / span
                if self.median is not None:
                    picture = cv2.medianBlur(picture, self.median)
                if self.size is not None:
                    picture = self._resized(picture, rows, columns)
                output[(index, *inside, channel)] = picture[taken]
        return output

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
        if len(shape) not in (3, 4) or min(shape) < 1:
            raise ValueError(f"Expected a volume of at least one voxel. Received: shape={tuple(shape)}.")
        affine = np.asarray(affine)
        if affine.shape != (4, 4) or not np.all(np.isfinite(affine)) or not np.linalg.det(affine[:3, :3]):
            raise ValueError(f"Expected an affine (4, 4) that can be inverted. Received: {shown(affine.tolist())}.")
        return tuple(int(shape[axis]) for axis in reversed(self._axes(affine)))

    def _check_memory(self, shape, affine):
        """Refuse a scan before anything is allocated for it: resampled slices and the output, as float32."""
        geometry = self._geometry(self._oriented_shape(shape, affine), affine)
        resampled = self._resampled_shape(geometry.oriented, self._spacing(affine))
        channels = shape[3] if len(shape) == 4 else 1
        needed, limit = 4 * channels * (math.prod(resampled) + math.prod(geometry.canvas_shape)), max_memory()
        if needed > limit:
            raise BadScan(
                "too_large",
                f"Preprocessing would make {shown(geometry.canvas_shape)} voxels of a scan of {shown(tuple(shape))}, "
                f"which needs {gibibytes(needed)}; the limit is {gibibytes(limit)} (KERAS_UQ_MAX_MEMORY). Check "
                "`spacing`, `size`, `canvas`, `crop` and `multiple`.",
            )

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
        """Resample labels to the grid of `image`.

        Args:
            labels: Whole numbers from 0 to 255 of any real type, `(x, y, z)` or `(x, y, z, 1)`.
            affine: Matrix `(4, 4)` from voxel index to millimetres.

        Returns:
            uint8 `(depth, height, width, 1)`.

        Raises:
            BadScan: With the code `unknown_label` for other values; with `too_large` as `image` does.
            ValueError: If `labels` or `affine` are not as described.
        """
        if labels.ndim == 4 and labels.shape[3] != 1:
            raise ValueError(f"Expected labels (x, y, z) or (x, y, z, 1). Received: shape={labels.shape}.")
        slices, geometry = self._slices(_uint8(labels), affine, "nearest")
        output = np.zeros((*geometry.canvas_shape, 1), dtype="uint8")
        inside, taken = geometry.windows
        rows, columns = geometry.resized
        for index in range(len(output)):
            picture = slices[index, :, :, 0]
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
        return _turn(np.asarray(affine, dtype="float64").tobytes(), self.orientation)

    def _slices(self, voxels, affine, interpolation):
        if voxels.ndim == 3:
            voxels = voxels[..., np.newaxis]
        if voxels.ndim != 4:
            raise ValueError(f"Expected a volume (x, y, z) or (x, y, z, channels). Received: shape={voxels.shape}.")
        self._check_memory(voxels.shape, affine)
        if self.orientation is not None:
            voxels = orientations.apply_orientation(voxels, self._reorientation(affine))
        slices = np.ascontiguousarray(voxels.transpose(2, 1, 0, 3))
        resampled = self._resampled_shape(slices.shape[:3], self._spacing(affine))
        geometry = self._geometry(slices.shape[:3], affine)
        if resampled != geometry.oriented:
            slices = resample(slices, resampled, interpolation)
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


@functools.lru_cache(maxsize=64)
def _turn(affine, orientation):
    """The axis transform of an affine, given as the bytes of float64. Several steps of a scan ask for it."""
    source = orientations.io_orientation(np.frombuffer(affine).reshape(4, 4))
    turn = orientations.ornt_transform(source, orientations.axcodes2ornt(tuple(orientation)))
    turn.flags.writeable = False
    return turn


def _plain(value):
    """A field as JSON would hold it, with a tuple for a list; numbers keep their type."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    return tuple(map(_plain, value)) if isinstance(value, (list, tuple)) else value


def _uint8(labels):
    """Labels as uint8. Whatever would change its value is refused."""
    if labels.dtype.kind not in "biuf":
        raise ValueError(f"Expected labels of a real type. Received: dtype={labels.dtype}.")
    with np.errstate(invalid="ignore"):
        narrow = labels.astype("uint8", copy=False)
    if labels.dtype in ("uint8", "bool"):
        return narrow
    changed = narrow != labels
    if changed.any():
        raise BadScan(
            "unknown_label",
            f"Labels are whole numbers from 0 to 255. Received: {shown(np.unique(labels[changed]).tolist())}.",
        )
    return narrow


def _not_finite(slices):
    """The error about a scan with values that are not finite, or too large to compute with."""
    finite = slices[np.isfinite(slices)]
    span = f"values from {finite.min():g} to {finite.max():g}" if finite.size else "no finite value"
    share = 1 - finite.size / slices.size
    return BadScan(
        "image_not_finite",
        f"The preprocessed scan would not be finite. It holds {span}, and {share:.2%} NaN or infinite voxels. Expected "
        "finite values that float32 can hold (up to 3.4e38).",
    )
