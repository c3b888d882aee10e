"""Read DICOM, MHD and NRRD files with SimpleITK, and convert them to `Scan`s with the conventions of NIfTI (RAS)."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from keras_uq.files import gibibytes, max_memory
from keras_uq.preprocessing import BadScan, Scan

# DICOM tags.
PATIENT, SERIES, DESCRIPTION, MODALITY = "0010|0020", "0020|000e", "0008|103e", "0008|0060"


def read_tags(path: str | os.PathLike, tags: Sequence[str]) -> list[str] | None:
    """Read DICOM tags of a file as stripped text. A missing tag is empty; a file that is not DICOM gives `None`."""
    reader = _sitk().ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("GDCMImageIO")
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    return [reader.GetMetaData(tag).strip() if reader.HasMetaDataKey(tag) else "" for tag in tags]


def list_series(folder: str | os.PathLike) -> dict[str, Sequence[str]]:
    """List the DICOM series of one folder: `{series: files}`, with the files ordered along the slice normal."""
    reader = _sitk().ImageSeriesReader
    identifiers = reader.GetGDCMSeriesIDs(str(folder))
    return {series: reader.GetGDCMSeriesFileNames(str(folder), series) for series in identifiers}


def read_series(files: Sequence[str]) -> Any:
    """Read a DICOM series as an ITK image. The slices may be oblique, because ITK sorts them along their normal.

    Raises:
        BadScan: If a file cannot be read, or slices are missing (their distances differ by more than 1 %).
    """
    sitk = _sitk()
    _check_distances(files)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(list(files))
    try:
        return reader.Execute()
    except RuntimeError as error:
        raise BadScan(
            "unreadable", f"{Path(files[0]).parent.name} is not a readable DICOM series ({error})."
        ) from error


def read_image(path: str | os.PathLike, max_bytes: int | None = None) -> Any:
    """Read one file (DICOM SEG, MHD, NRRD or NIfTI) as an ITK image.

    Raises:
        BadScan: With the code `missing`, `too_large` or `unreadable` (also for an MHD file without its `.raw` file).
    """
    path, sitk = Path(path), _sitk()
    if not path.is_file():
        raise BadScan("missing", f"There is no file {path.name}.")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        declared = int(np.prod([np.int64(size) for size in reader.GetSize()], dtype=object)) * 8
        limit = max_memory() if max_bytes is None else max_bytes
        if declared > limit:
            raise BadScan("too_large", f"{path.name} needs {gibibytes(declared)}; the limit is {gibibytes(limit)}.")
        return reader.Execute()
    except RuntimeError as error:
        beside = ", or its .raw is not beside it" if path.suffix == ".mhd" else ""
        raise BadScan("unreadable", f"{path.name} cannot be read{beside} ({_short(error)}).") from error


def resample_label(label: Any, image: Any) -> Any:
    """Resample a label to the grid of an image by nearest neighbour in physical space, with 0 outside the label."""
    sitk = _sitk()
    return sitk.Resample(label, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0, label.GetPixelID())


def overlap(label: Any, image: Any) -> float:
    """Estimate the share of a label's foreground that lies within an image, in [0, 1]; 0 for an empty label."""
    sitk = _sitk()
    voxels = np.argwhere(sitk.GetArrayViewFromImage(label) > 0)[:, ::-1]
    if not len(voxels):
        return 0.0
    size = np.array(image.GetSize())
    sample = voxels[:: max(len(voxels) // 1000, 1)]
    indices = [
        image.TransformPhysicalPointToIndex(label.TransformIndexToPhysicalPoint(tuple(map(int, voxel))))
        for voxel in sample
    ]
    return float(np.mean([(0 <= np.array(index)).all() and (np.array(index) < size).all() for index in indices]))


def to_scan(image: Any) -> Scan:
    """Convert an ITK image to a `Scan`. ITK uses LPS coordinates, NIfTI uses RAS."""
    voxels = np.ascontiguousarray(_sitk().GetArrayFromImage(image).transpose(2, 1, 0))
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    header = nibabel.Nifti1Image(voxels[:1, :1, :1].astype("float32"), affine).header
    return Scan(voxels, affine, tuple(float(size) for size in image.GetSpacing()), header)


def _check_distances(files):
    positions = []
    for file in files:
        tags = read_tags(file, ("0020|0032", "0020|0037"))
        if tags is None or not all(tags):
            raise BadScan(
                "unreadable", f"{Path(file).name} has no position (ImagePositionPatient, ImageOrientationPatient)."
            )
        position, orientation = (np.array([float(x) for x in text.split("\\")]) for text in tags)
        positions.append(float(np.cross(orientation[:3], orientation[3:]) @ position))
    steps = np.diff(positions)
    if len(steps) and (np.ptp(steps) > 0.01 * abs(np.median(steps)) + 1e-3 or np.median(steps) == 0):
        raise BadScan(
            "truncated",
            f"The slices of {Path(files[0]).parent.name} are {min(abs(steps)):.3g} to {max(abs(steps)):.3g} mm apart: "
            "some are missing or duplicated.",
        )


def _short(error):
    return str(error).strip().splitlines()[-1]


def _sitk():
    try:
        import SimpleITK
    except ImportError as error:
        raise ImportError("DICOM and MHD need SimpleITK: pip install keras_uq[prep].") from error
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    return SimpleITK
