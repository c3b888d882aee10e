"""Read DICOM, MHD and NRRD files with SimpleITK, and convert them to `Scan`s with the conventions of NIfTI (RAS).

Files of strangers are looked into first (`foreign_headers`) and then read in another process (`itk_process`).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from data_prep.foreign_headers import check_dicom, check_metaimage, check_nrrd
from data_prep.itk_process import PROCESS, Failed, size_of
from keras_uq._kinds import shown
from keras_uq.files import gibibytes, max_memory
from keras_uq.preprocessing import BadScan, Scan, read_nifti

# DICOM tags.
PATIENT, SERIES, DESCRIPTION, MODALITY = "0010|0020", "0020|000e", "0008|103e", "0008|0060"
PLACE = {
    "position": "0020|0032",
    "orientation": "0020|0037",
    "frames": "0028|0008",
    "samples": "0028|0002",
    "rows": "0028|0010",
    "columns": "0028|0011",
    "slope": "0028|1053",
    "intercept": "0028|1052",
}
# Bytes of a voxel as it is read, at most, and as network input.
BYTES = 8
# A stack may move sideways by so many millimetres, and so many for each millimetre along its normal.
SIDEWAYS, SIDEWAYS_SHARE = 0.2, 1e-3
# Largest difference of a NIfTI's axes from orthonormal ones.
ORTHONORMAL = 0.02


def read_tags(path: str | os.PathLike, tags: Sequence[str]) -> list[str] | None:
    """Read DICOM tags of a file as stripped text. A missing tag is empty; a file that is not DICOM gives `None`.

    Raises:
        BadScan: If the file is a damaged DICOM file.
    """
    check_dicom(path)
    return _ask("tags", [str(path)], list(tags), size=size_of([path]), name=Path(path).name)[0]


def list_series(folder: str | os.PathLike) -> dict[str, Sequence[str]]:
    """List the DICOM series of one folder: `{series: files}`, with the files ordered along the slice normal.

    Raises:
        BadScan: If a file is damaged.
    """
    files = [path for path in sorted(Path(folder).iterdir()) if path.is_file()]
    for path in files:
        check_dicom(path)
    try:
        return _ask("series", str(folder), size=size_of(files), name=Path(folder).name)
    except Failed as error:
        raise BadScan("unreadable", f"{Path(folder).name} is no folder of DICOM series ({error}).") from error


def read_series(files: Sequence[str]) -> Any:
    """Read a DICOM series as an ITK image. The slices may be oblique, because ITK sorts them along their normal.

    Raises:
        BadScan: If a file cannot be read; if slices are missing (their distances differ by more than 1 %); if the
            series holds several volumes, frames, colours or orientations, or its stack is tilted.
    """
    files = [str(file) for file in files]
    if not files:
        raise BadScan("missing", "A DICOM series needs at least one file. Received: none.")
    name = Path(files[0]).parent.name
    for file in files:
        check_dicom(file)
    try:
        _check_stack(files, name)
        return _image(*_ask("volume", files, size=size_of(files), name=name), name)
    except Failed as error:
        raise BadScan("unreadable", f"{name} is not a readable DICOM series ({error}).") from error


def read_image(path: str | os.PathLike, max_bytes: int | None = None) -> Any:
    """Read one file (DICOM SEG, MHD, NRRD or NIfTI) as an ITK image.

    Args:
        path: File.
        max_bytes: Largest memory that the voxels may need; by default as in `read_nifti`.

    Raises:
        BadScan: With the codes of `read_nifti`; `missing` also for an MHD file without its `.raw` file.
    """
    path = Path(path)
    if path.name.endswith((".nii", ".nii.gz")):
        return _from_nifti(read_nifti(path, max_bytes), path.name)
    if not path.is_file():
        raise BadScan("missing", f"There is no file {path.name}.")
    check = {".mhd": check_metaimage, ".mha": check_metaimage, ".nrrd": check_nrrd}.get(path.suffix, check_dicom)
    check(path)
    try:
        about = _ask("information", str(path), size=size_of([path]), name=path.name)
        needed = int(np.prod([np.int64(size) for size in about["size"]], dtype=object)) * BYTES * about["channels"]
        limit = max_memory() if max_bytes is None else max_bytes
        if needed > limit:
            raise BadScan("too_large", f"{path.name} needs {gibibytes(needed)}; the limit is {gibibytes(limit)}.")
        return _image(*_ask("image", str(path), size=needed, name=path.name), path.name)
    except Failed as error:
        raise BadScan("unreadable", f"{path.name} cannot be read ({error}).") from error


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


def _ask(do, *arguments, size, name):
    _sitk()  # Tell that it is not installed, rather than start a process that ends.
    return PROCESS.ask(do, *arguments, size=size, name=name)


def _image(array, about, name):
    if array.ndim != 3:
        raise BadScan("bad_rank", f"{name} has {array.ndim} axes; expected a volume of three.")
    image = _sitk().GetImageFromArray(array)
    image.SetOrigin(about["origin"])
    image.SetSpacing(about["spacing"])
    image.SetDirection(about["direction"])
    return image


def _from_nifti(scan, name):
    """An ITK image of a scan. ITK needs orthonormal axes; those of a header may be rounded."""
    voxels = scan.voxels[..., 0] if scan.voxels.shape[3:] == (1,) else scan.voxels
    if voxels.ndim != 3:
        raise BadScan("bad_rank", f"{name} has the shape {voxels.shape}; expected one volume (x, y, z).")
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ scan.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(affine[:3, :3] / spacing)
    direction = left @ right
    if np.abs(direction - affine[:3, :3] / spacing).max() > ORTHONORMAL:
        raise BadScan("bad_affine", f"{name} has axes that are not perpendicular; resample it to a grid that is.")
    about = {"origin": affine[:3, 3].tolist(), "spacing": spacing.tolist(), "direction": direction.ravel().tolist()}
    return _image(np.ascontiguousarray(voxels.transpose(2, 1, 0)), about, name)


def _check_stack(files, name):
    """Check that the slices of a series make one straight, even stack."""
    lines = _ask("tags", files, list(PLACE.values()), size=size_of(files), name=name)
    slices = []
    for file, tags in zip(files, lines):
        place = dict(zip(PLACE, tags or [""] * len(PLACE)))
        if place["frames"] not in ("", "1"):
            raise BadScan(
                "unreadable",
                f"{Path(file).name} is a multi-frame DICOM file. Convert the series to .nii.gz with dcm2niix.",
            )
        if place["samples"] not in ("", "1"):
            raise BadScan("unreadable", f"{Path(file).name} holds colours; expected one value for each voxel.")
        for tag in ("slope", "intercept"):
            if place[tag]:
                _numbers(file, place, tag, 1)
        slices.append((_numbers(file, place, "position", 3), _numbers(file, place, "orientation", 6)))
    try:
        needed = int(place["rows"]) * int(place["columns"]) * len(files) * BYTES
    except ValueError:
        raise BadScan("bad_dims", f"{Path(files[-1]).name} does not say how many rows and columns it has.") from None
    if needed > max_memory():
        raise BadScan(
            "too_large",
            f"{name} needs {gibibytes(needed)}; the limit is {gibibytes(max_memory())} (KERAS_UQ_MAX_MEMORY).",
        )
    positions, orientations = map(np.array, zip(*slices))
    if not np.allclose(orientations, orientations[0], atol=1e-3):
        raise BadScan("unreadable", f"{name} holds slices of several orientations; expected one stack.")
    normal = np.cross(orientations[0, :3], orientations[0, 3:])
    along = positions @ normal
    _check_distances(along, name)
    moved = positions - positions[0]
    sideways = np.linalg.norm(moved - np.outer(moved @ normal, normal), axis=1)
    worst = int(np.argmax(sideways))
    length = abs(along[worst] - along[0])
    if sideways[worst] > SIDEWAYS + SIDEWAYS_SHARE * length:
        angle = np.degrees(np.arctan2(sideways[worst], length))
        raise BadScan(
            "bad_affine",
            f"{name} is a tilted stack (gantry tilt of {angle:.1f} degrees). Convert it to .nii.gz with dcm2niix, "
            "which corrects the tilt.",
        )


def _numbers(file, place, tag, count):
    parts = place[tag].split("\\")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) != count or not np.isfinite(numbers).all():
        expected = "one number" if count == 1 else f"{count} numbers"
        raise BadScan(
            "unreadable",
            f"{Path(file).name}: expected {expected} for its {tag} ({PLACE[tag]}). Received: {shown(place[tag])}.",
        )
    return numbers


def _check_distances(along, name):
    steps = np.diff(along)
    repeated = len(along) - len(np.unique(np.round(along, 3)))
    if repeated:
        volumes = len(along) / (len(along) - repeated)
        several = f"several volumes ({volumes:.0f})" if volumes == int(volumes) else "several volumes"
        raise BadScan(
            "unreadable",
            f"{name} holds {several}: {repeated} slices lie where another one does. Convert the series to .nii.gz with "
            "dcm2niix, and take one volume.",
        )
    if len(steps) and np.ptp(steps) > 0.01 * abs(np.median(steps)) + 1e-3:
        raise BadScan(
            "truncated",
            f"The slices of {name} are {min(abs(steps)):.3g} to {max(abs(steps)):.3g} mm apart: some are missing.",
        )


def _sitk():
    try:
        import SimpleITK
    except ImportError as error:
        raise ImportError("DICOM and MHD need SimpleITK: pip install keras_uq[prep].") from error
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    return SimpleITK
