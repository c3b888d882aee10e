"""Read a NIfTI file from an untrusted source: the header is checked before memory is allocated."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from keras_uq._kinds import shown
from keras_uq.files import gibibytes, max_memory

# Largest compression factor of Deflate.
MAX_DEFLATE = 1032
# Bytes of a voxel as network input.
FLOAT32 = 4
# First byte of the voxels in a single file, at least: behind the header and four bytes that announce extensions.
FIRST_VOXEL = {nibabel.Nifti1Header: 352, nibabel.Nifti2Header: 544}
# What converts other formats, by the ending of a file name.
CONVERTERS = {
    (".dcm", ".ima", ".dicom"): "dcm2niix",
    (".mgz", ".mgh"): "mri_convert of FreeSurfer",
    (".nrrd", ".nhdr", ".mha", ".mhd", ".gipl"): "3D Slicer or ITK-SNAP",
    (".hdr", ".img"): "fslchfiletype NIFTI_GZ, or nibabel.save",
    (".mnc",): "mnc2nii",
    (".par", ".rec"): "parrec2nii of nibabel",
    (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"): "a script that knows its voxel size",
}


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


def read_nifti(path: str | os.PathLike, max_bytes: int | None = None) -> Scan:
    """Read a `.nii` or `.nii.gz` file.

    Axes of one voxel behind the third, which ITK writes before the channels, are dropped: `(x, y, z, 1, channels)` is
    read as `(x, y, z, channels)`.

    Args:
        path: File to read.
        max_bytes: Largest memory that the voxels may need, as they are read and as float32; half of the machine's
            memory by default, or `KERAS_UQ_MAX_MEMORY`.

    Returns:
        A `Scan`. Its voxels are finite.

    Raises:
        BadScan: With a `code`: `missing`, `unreadable`, `bad_rank`, `bad_dims`, `bad_zooms`, `bad_affine`,
            `bad_dtype`, `too_large`, `truncated` or `image_not_finite`.
    """
    path = Path(path)
    image, declared = _open(path, max_bytes)
    try:
        voxels = np.asanyarray(image.dataobj)
    except MemoryError:
        raise BadScan("too_large", f"{path.name}: there is not enough memory for {declared} bytes of voxels.") from None
    except Exception as error:  # Whatever nibabel and zlib raise for damaged bytes.
        raise BadScan(
            "truncated",
            f"{path.name} ends before the {declared} bytes its header declares, or is damaged ({shown(str(error))}).",
        ) from error
    voxels = voxels.reshape(_shape(image.header))
    _check_finite(path, voxels)
    zooms = tuple(float(size) for size in image.header.get_zooms()[:3])
    return Scan(voxels, np.asarray(image.affine, dtype="float64"), zooms, image.header)


def read_geometry(path: str | os.PathLike, max_bytes: int | None = None) -> tuple[tuple[int, ...], np.ndarray]:
    """Return shape and affine of a scan. Only the header is read and checked. Raises `BadScan` like `read_nifti`."""
    image, _ = _open(Path(path), max_bytes)
    return _shape(image.header), np.asarray(image.affine, dtype="float64")


def _shape(header):
    """The axes of the file without those of one voxel behind the third, but for a fourth that is the last."""
    dims = [int(size) for size in header["dim"]]
    shape = dims[1 : dims[0] + 1]
    if len(shape) > 4:
        shape = shape[:3] + [size for size in shape[3:] if size != 1]
    return tuple(shape)


def _open(path, max_bytes):
    """Open an image without reading its voxels. Returns it and the number of bytes of voxels it declares."""
    _check_path(path)
    try:
        _check_raw_header(path)
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):
            raise BadScan("unreadable", f"{path.name} is a {type(image).__name__}, not a scan in NIfTI form.")
        return image, _check_header(path, image, max_memory() if max_bytes is None else max_bytes)
    except BadScan:
        raise
    except Exception as error:  # Whatever nibabel, gzip and NumPy raise for damaged headers.
        raise BadScan("unreadable", f"{path.name} is not a readable NIfTI file ({shown(str(error))}).") from error


def _check_path(path):
    for endings, tool in CONVERTERS.items():
        if path.name.lower().endswith(endings):
            raise BadScan("unreadable", f"{path.name} is no NIfTI file: convert it to .nii.gz with {tool}.")
    try:
        if path.is_dir():
            raise BadScan("unreadable", f"{path.name} is a folder; expected a file. Convert DICOM with dcm2niix.")
        if path.exists() and not path.is_file():
            raise BadScan("unreadable", f"{path.name} is no ordinary file, but a pipe or a device.")
        if not path.is_file():
            raise BadScan("missing", f"{path.name}: there is no such file.")
    except (OSError, ValueError) as error:  # A loop of links, a name that no file can have.
        raise BadScan("missing", f"{shown(path.name)} cannot be opened ({shown(str(error))}).") from None


def _check_raw_header(path):
    """Check fields that nibabel mends or believes: a voxel size of 0 becomes 1 mm, an offset of 0 reads the header."""
    with nibabel.openers.ImageOpener(path) as file:
        # The larger of the two headers, and the bytes behind it that announce extensions.
        raw = file.read(FIRST_VOXEL[nibabel.Nifti2Header])
        for kind, least in FIRST_VOXEL.items():
            size = kind.template_dtype.itemsize
            if len(raw) >= size and kind.may_contain_header(raw):
                header = kind(raw[:size], check=False)
                _check_fields(path, header, least)
                if raw[size : size + 1].strip(b"\0"):
                    _check_extensions(path, file, size + 4, header)


def _check_fields(path, header, least):
    zooms = header["pixdim"][1:4]
    if not np.all(np.isfinite(zooms)) or np.abs(zooms).min() == 0:
        sizes = " x ".join(str(float(zoom)) for zoom in zooms)
        raise BadScan("bad_zooms", f"{path.name} declares the voxel size {sizes} mm; expected positive numbers.")
    if bytes(header["magic"].item())[:2] == b"ni":
        raise BadScan(
            "unreadable",
            f"{path.name} declares that its voxels are in another file (.img). Convert the pair to .nii.gz.",
        )
    offset = float(header["vox_offset"])
    if not least <= offset < 2**40:
        raise BadScan(
            "unreadable",
            f"{path.name} declares that its voxels begin at byte {offset:g}; expected at least {least}, behind the "
            "header.",
        )
    _check_turn(path, header)


def _check_turn(path, header):
    quaternion = np.array([float(header[name]) for name in ("quatern_b", "quatern_c", "quatern_d")])
    if header["qform_code"] > 0 and not quaternion @ quaternion <= 1 + 1e-6:
        raise BadScan(
            "bad_affine",
            f"{path.name} declares the rotation {quaternion.tolist()}; expected three numbers the squares of which add "
            "up to at most 1.",
        )


def _check_extensions(path, file, place, header):
    """Check that each extension between header and voxels has a size that fits. The first begins at `place`."""
    while place + 16 <= header["vox_offset"]:
        file.seek(place)
        (length,) = struct.unpack(f"{header.endianness}i", file.read(4).ljust(4, b"\0"))
        if length < 16 or place + length > header["vox_offset"]:
            raise BadScan(
                "unreadable",
                f"{path.name} holds an extension of {length} bytes; expected 16 or more, before its voxels.",
            )
        place += length


def _check_header(path, image, max_bytes):
    """Check every header field that reading depends on. Returns the number of bytes of voxels it declares."""
    header = image.header
    number = int(header["dim"][0])
    shape = _shape(header)
    if number not in range(3, 8) or len(shape) > 4:
        raise BadScan(
            "bad_rank",
            f"{path.name} has {number} axes, {tuple(int(size) for size in header['dim'][1 : number + 1])}; expected a "
            "volume (x, y, z) or (x, y, z, channels).",
        )
    if min(shape) < 1:
        raise BadScan("bad_dims", f"{path.name} declares the shape {shape}; every axis needs at least one voxel.")
    zooms = np.asarray(header.get_zooms()[:3], dtype="float64")
    if not np.all(np.isfinite(zooms)) or zooms.min() <= 0:
        raise BadScan("bad_zooms", f"{path.name} declares the voxel size {tuple(zooms)} mm; expected positive numbers.")
    axes = image.affine[:3, :3]
    # Compared with a box of the same sides, so that voxels of a tenth of a micrometre are as good as any.
    box = np.prod(np.linalg.norm(axes, axis=0)) if np.all(np.isfinite(image.affine)) else 0
    if not box > 0 or abs(np.linalg.det(axes)) < 1e-6 * box:
        raise BadScan("bad_affine", f"{path.name} has an affine that is not finite or not invertible.")
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise BadScan("bad_dtype", f"{path.name} stores {dtype}; expected integers or real numbers.")
    voxels = int(np.prod([np.int64(size) for size in shape], dtype=object))
    declared = voxels * dtype.itemsize
    # nibabel multiplies by a scale factor in float64.
    scaled = header.get_slope_inter() not in ((None, None), (1.0, 0.0))
    needed = voxels * ((8 if scaled else dtype.itemsize) + FLOAT32)
    if needed > max_bytes:
        raise BadScan(
            "too_large",
            f"{path.name} declares {' x '.join(map(str, shape))} voxels, which need {gibibytes(needed)} of memory; the "
            f"limit is {gibibytes(max_bytes)} (KERAS_UQ_MAX_MEMORY).",
        )
    file_size = os.path.getsize(path)
    largest = file_size * MAX_DEFLATE if path.suffix == ".gz" else file_size - int(image.dataobj.offset)
    if declared > largest:
        raise BadScan(
            "truncated",
            f"{path.name} declares {declared} bytes of voxels; a file of {file_size} bytes cannot hold them.",
        )
    return declared


def _check_finite(path, voxels):
    # NumPy's minimum is NaN if any value is; no copy is made of a good scan.
    if voxels.dtype.kind != "f" or (np.isfinite(voxels.min()) and np.isfinite(voxels.max())):
        return
    nan, infinite = (float(np.mean(test(voxels))) for test in (np.isnan, np.isinf))
    raise BadScan(
        "image_not_finite",
        f"{path.name}: {nan:.3%} of the voxels are NaN and {infinite:.3%} infinite. Replace them, by the value of air "
        "for example.",
    )
