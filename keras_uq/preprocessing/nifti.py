"""Read a NIfTI file without trusting it: the header is checked before anything is allocated."""

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

MAX_BYTES = 8 * 2**30
# Deflate cannot shrink data by more than a factor of 1032.
MAX_DEFLATE = 1032


class BadScan(ValueError):
    """A scan that cannot be used. `code` is a stable name of the reason, such as `truncated`."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Scan:
    """One image file.

    Attributes:
        voxels: Array `(x, y, z)` or `(x, y, z, channels)` of the type on disk (floats if the header scales).
        affine: Voxel index to millimetres, `(4, 4)`, as stored.
        zooms: Voxel size in millimetres along x, y and z, from the header.
        header: The NIfTI header, for writing maps of the same geometry.
    """

    voxels: np.ndarray
    affine: np.ndarray
    zooms: tuple
    header: nibabel.Nifti1Header

    @property
    def affine_zooms(self):
        """Voxel sizes as the affine has them; some archives store a unit affine beside true zooms."""
        return tuple(float(size) for size in np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def scaled_affine(self):
        """The affine with columns as long as the header's voxels: it is `affine` but for archives as above."""
        if np.allclose(self.zooms, self.affine_zooms, rtol=1e-2):
            return self.affine
        scaled = self.affine.copy()
        scaled[:3, :3] *= np.array(self.zooms) / np.array(self.affine_zooms)
        return scaled


def read_nifti(path, max_bytes=MAX_BYTES):
    """Read `.nii` or `.nii.gz`.

    Args:
        path: File to read.
        max_bytes: Refuse a header that declares more than this many bytes of voxels.

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


def read_geometry(path, max_bytes=MAX_BYTES):
    """Shape and affine of a scan, from its checked header alone. Raises `BadScan` as `read_nifti` does."""
    image, _ = _open(Path(path), max_bytes)
    return image.shape, np.asarray(image.affine, dtype="float64")


def _open(path, max_bytes):
    """The lazily opened image and the bytes of voxels it declares."""
    if not path.is_file():
        raise BadScan("missing", f"{path.name}: there is no such file.")
    try:
        _check_raw_zooms(path)
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):
            raise ImageFileError(f"it is a {type(image).__name__}")
        return image, _check_header(path, image, max_bytes)
    except (ImageFileError, OSError, EOFError, nibabel.spatialimages.HeaderDataError, zlib.error) as error:
        raise BadScan("unreadable", f"{path.name} is no readable NIfTI file ({error}).") from error


def _check_raw_zooms(path):
    """nibabel turns a voxel size of 0 into 1 mm with no more than a warning, so the bytes are looked at first."""
    with nibabel.openers.ImageOpener(path) as file:
        raw = file.read(nibabel.Nifti2Header.template_dtype.itemsize)
    for kind in (nibabel.Nifti1Header, nibabel.Nifti2Header):
        size = kind.template_dtype.itemsize
        if len(raw) >= size and kind.may_contain_header(raw):
            zooms = kind(raw[:size], check=False)["pixdim"][1:4]
            if not np.all(np.isfinite(zooms)) or np.abs(zooms).min() == 0:
                said = " x ".join(str(float(zoom)) for zoom in zooms)
                raise BadScan("bad_zooms", f"{path.name} declares the voxel size {said} mm; expected positive numbers.")


def _check_header(path, image, max_bytes):
    """Bytes of voxels that the header declares, once every field that reading relies on has been looked at."""
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
    on_disk = os.path.getsize(path)
    room = on_disk * MAX_DEFLATE if path.suffix == ".gz" else on_disk - int(image.dataobj.offset)
    if declared > room:
        raise BadScan(
            "truncated", f"{path.name} declares {declared} bytes of voxels; a file of {on_disk} cannot hold them."
        )
    return declared
