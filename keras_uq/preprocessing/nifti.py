"""Read a NIfTI file from an untrusted source: the header is checked before memory is allocated."""

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

# Default limit for the voxels of one scan, in bytes.
MAX_BYTES = 8 * 2**30
# Largest compression factor of Deflate.
MAX_DEFLATE = 1032


class BadScan(ValueError):
    """Raised for a scan that cannot be used. `code` is a stable name of the reason, such as `truncated`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Scan:
    """One image file.

    Attributes:
        voxels: Array `(x, y, z)` or `(x, y, z, channels)` of the type on disk (floats if the header has a scale
            factor).
        affine: Matrix `(4, 4)` from voxel index to millimetres, as stored.
        zooms: Voxel size in millimetres along x, y and z, from the header.
        header: NIfTI header, for writing maps with the same geometry; `None` for pictures.
    """

    voxels: np.ndarray
    affine: np.ndarray
    zooms: tuple[float, ...]
    header: nibabel.Nifti1Header | None

    @property
    def affine_zooms(self) -> tuple[float, ...]:
        """Voxel sizes according to the affine. Some archives store a unit affine next to correct zooms."""
        return tuple(float(size) for size in np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def scaled_affine(self) -> np.ndarray:
        """The affine, rescaled to the header's voxel size where the two differ (see `affine_zooms`)."""
        if np.allclose(self.zooms, self.affine_zooms, rtol=1e-2):
            return self.affine
        scaled = self.affine.copy()
        scaled[:3, :3] *= np.array(self.zooms) / np.array(self.affine_zooms)
        return scaled


def read_nifti(path: str | os.PathLike, max_bytes: int = MAX_BYTES) -> Scan:
    """Read a `.nii` or `.nii.gz` file.

    Args:
        path: File to read.
        max_bytes: Largest number of bytes of voxels that the header may declare.

    Returns:
        A `Scan`.

    Raises:
        BadScan: With a `code`: `missing`, `unreadable`, `bad_rank`, `bad_dims`, `bad_zooms`, `bad_affine`,
            `bad_dtype`, `too_large` or `truncated`.
    """
    path = Path(path)
    image, declared = _open(path, max_bytes)
    try:
        voxels = np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise BadScan(
            "truncated", f"{path.name} ends before the {declared} bytes its header declares, or is damaged ({error})."
        ) from error
    zooms = tuple(float(size) for size in image.header.get_zooms()[:3])
    return Scan(voxels, np.asarray(image.affine, dtype="float64"), zooms, image.header)


def read_geometry(path: str | os.PathLike, max_bytes: int = MAX_BYTES) -> tuple[tuple[int, ...], np.ndarray]:
    """Return shape and affine of a scan. Only the header is read and checked. Raises `BadScan` like `read_nifti`."""
    image, _ = _open(Path(path), max_bytes)
    return image.shape, np.asarray(image.affine, dtype="float64")


def _open(path, max_bytes):
    """Open an image without reading its voxels. Returns it and the number of bytes of voxels it declares."""
    if not path.is_file():
        raise BadScan("missing", f"{path.name}: there is no such file.")
    try:
        _check_raw_zooms(path)
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):
            raise ImageFileError(f"it is a {type(image).__name__}")
        return image, _check_header(path, image, max_bytes)
    except (ImageFileError, OSError, EOFError, nibabel.spatialimages.HeaderDataError, zlib.error) as error:
        raise BadScan("unreadable", f"{path.name} is not a readable NIfTI file ({error}).") from error


def _check_raw_zooms(path):
    """Check voxel sizes in the raw header, because nibabel changes a size of 0 to 1 mm with only a warning."""
    with nibabel.openers.ImageOpener(path) as file:
        raw = file.read(nibabel.Nifti2Header.template_dtype.itemsize)
    for kind in (nibabel.Nifti1Header, nibabel.Nifti2Header):
        size = kind.template_dtype.itemsize
        if len(raw) >= size and kind.may_contain_header(raw):
            zooms = kind(raw[:size], check=False)["pixdim"][1:4]
            if not np.all(np.isfinite(zooms)) or np.abs(zooms).min() == 0:
                sizes = " x ".join(str(float(zoom)) for zoom in zooms)
                raise BadScan(
                    "bad_zooms", f"{path.name} declares the voxel size {sizes} mm; expected positive numbers."
                )


def _check_header(path, image, max_bytes):
    """Check every header field that reading depends on. Returns the number of bytes of voxels it declares."""
    header = image.header
    dims = [int(size) for size in header["dim"]]
    if dims[0] not in (3, 4):
        raise BadScan(
            "bad_rank", f"{path.name} has {dims[0]} axes; expected a volume (x, y, z) or (x, y, z, channels)."
        )
    shape = dims[1 : dims[0] + 1]
    if min(shape) < 1:
        raise BadScan(
            "bad_dims", f"{path.name} declares the shape {tuple(shape)}; every axis needs at least one voxel."
        )
    zooms = np.asarray(header.get_zooms()[:3], dtype="float64")
    if not np.all(np.isfinite(zooms)) or zooms.min() <= 0:
        raise BadScan("bad_zooms", f"{path.name} declares the voxel size {tuple(zooms)} mm; expected positive numbers.")
    if not np.all(np.isfinite(image.affine)) or abs(np.linalg.det(image.affine[:3, :3])) < 1e-12:
        raise BadScan("bad_affine", f"{path.name} has an affine that is not finite or not invertible.")
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise BadScan("bad_dtype", f"{path.name} stores {dtype}; expected integers or real numbers.")
    declared = int(np.prod([np.int64(size) for size in shape], dtype=object)) * dtype.itemsize
    if declared > max_bytes:
        raise BadScan(
            "too_large", f"{path.name} declares {declared} bytes of voxels; the limit is {max_bytes} (`max_bytes`)."
        )
    file_size = os.path.getsize(path)
    largest = file_size * MAX_DEFLATE if path.suffix == ".gz" else file_size - int(image.dataobj.offset)
    if declared > largest:
        raise BadScan(
            "truncated",
            f"{path.name} declares {declared} bytes of voxels; a file of {file_size} bytes cannot hold them.",
        )
    return declared
