"""Read DICOM, MetaImage, NRRD and NIfTI files as ITK images, and convert them to `Scan`s in the space of NIfTI (RAS).

Nothing of ITK parses a stranger's file in this process. `dicom_process` parses DICOM in a process of its own, and
MetaImage, NRRD and NIfTI are read in Python; ITK images are built here from the results, for resampling in space.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from data_prep.dicom_process import ask
from data_prep.dicom_syntax import says_image
from data_prep.metaimage import read_metaimage
from data_prep.nrrd import read_nrrd
from data_prep.series import TAGS, check_series, declared_bytes
from data_prep.volume import Volume, check_memory, check_place
from keras_uq.preprocessing import BadScan, Scan, read_nifti

# DICOM tags.
PATIENT, SERIES, DESCRIPTION, MODALITY = "0010|0020", "0020|000e", "0008|103e", "0008|0060"


def read_tags(path: str | os.PathLike, tags: Sequence[str]) -> list[str] | None:
    """Read DICOM tags of a file as stripped text. A missing tag is empty; a file that is not DICOM gives `None`.

    Raises:
        BadScan: If the file hangs or crashes the parser, or its data are not of the form that it announces.
    """
    return read_all_tags([path], tags)[0]


def read_all_tags(paths: Sequence[str | os.PathLike], tags: Sequence[str]) -> list[list[str] | None]:
    """Read DICOM tags of several files of one folder at once, as `read_tags` does.

    Raises:
        BadScan: As `read_tags`, for any of the files.
    """
    _sitk()
    name = Path(paths[0]).name if len(paths) == 1 else f"{Path(paths[0]).parent.name} ({len(paths)} files)"
    return ask("tags", name, paths, files=[str(path) for path in paths], tags=list(tags))[0]


def list_series(folder: str | os.PathLike) -> dict[str, Sequence[str]]:
    """List the DICOM series of one folder: `{series: files}`, with the files ordered along the slice normal.

    Raises:
        BadScan: If a file of the folder hangs or crashes the parser, its data are not of the form that it announces, or
            it says that it is a DICOM image and is none. The parser leaves such files out, so that a series would lose
            its first or last slice without a word.
    """
    _sitk()
    paths = [path for path in sorted(Path(folder).iterdir()) if not path.is_dir()]
    series = ask("list", Path(folder).name, paths, folder=str(folder))[0]
    listed = {Path(file).name for files in series.values() for file in files}
    others = [path for path in paths if path.name not in listed and not path.name.startswith(".")]
    damaged = [path.name for path in others if says_image(path)]
    if damaged:
        raise BadScan(
            "unreadable",
            f"{Path(folder).name}: {damaged[0]} is no readable DICOM image ({len(damaged)} of {len(paths)} files are "
            "none). Restore it from the archive, or take it out of the folder.",
        )
    return series


def read_series(files: Sequence[str], max_bytes: int | None = None) -> Any:
    """Read a DICOM series as an ITK image. The slices may be oblique, because ITK sorts them along their normal.

    Args:
        files: Files of one series, as in `list_series`.
        max_bytes: As in `data_prep.volume.check_memory`.

    Raises:
        BadScan: If the slices do not form one straight, evenly spaced volume (see `series.check_series`), or a file
            cannot be read.
    """
    files = [str(file) for file in files]
    if not files:
        raise BadScan("missing", "A series of no files cannot be read.")
    name = Path(files[0]).parent.name
    check_series(files, read_all_tags(files, TAGS), max_bytes)
    return _dicom(name, files, series=True)


def read_image(path: str | os.PathLike, max_bytes: int | None = None) -> Any:
    """Read one file as an ITK image: `.mhd`, `.mha`, `.nrrd`, `.nhdr`, `.nii`, `.nii.gz`, or else DICOM (such as SEG).

    Args:
        path: File to read.
        max_bytes: As in `data_prep.volume.check_memory`.

    Raises:
        BadScan: With a code such as `missing`, `too_large`, `bad_rank`, `bad_affine` or `unreadable`.
    """
    path = Path(path)
    if not path.is_file():
        raise BadScan("missing", f"There is no file {path.name}.")
    ending = path.name.lower()
    if ending.endswith((".mhd", ".mha")):
        return _image(read_metaimage(path, max_bytes))
    if ending.endswith((".nrrd", ".nhdr")):
        return _image(read_nrrd(path, max_bytes))
    if ending.endswith((".nii", ".nii.gz")):
        return _image(_nifti(path))
    texts = read_tags(path, TAGS)
    check_memory(path.name, declared_bytes(path, texts), max_bytes)
    return _dicom(path.name, [str(path)], series=False)


def resample_label(label: Any, image: Any) -> Any:
    """Resample a label to the grid of an image by nearest neighbour in physical space, with 0 outside the label.

    Raises:
        BadScan: If ITK cannot resample it.
    """
    sitk = _sitk()
    try:
        return sitk.Resample(label, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0, label.GetPixelID())
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise BadScan("unreadable", f"The label cannot be resampled to the grid of its image ({reason}).") from error


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
    view = _sitk().GetArrayViewFromImage(image)
    voxels = np.empty(view.shape[::-1], view.dtype)
    for row in range(view.shape[1]):  # Row by row the copy stays within the cache, which is four times faster.
        voxels[:, row] = view[:, row].T
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    header = nibabel.Nifti1Image(voxels[:1, :1, :1].astype("float32"), affine).header
    return Scan(voxels, affine, tuple(float(size) for size in image.GetSpacing()), header)


def _dicom(name, files, series):
    place, voxels = ask("volume", name, files, files=files, series=series)
    direction = np.reshape(place["direction"], (3, 3))
    check_place(name, place["spacing"], place["origin"], direction)
    return _image(Volume(voxels, place["spacing"], place["origin"], direction))


def _image(volume):
    sitk = _sitk()
    try:
        image = sitk.GetImageFromArray(volume.voxels)
    except (KeyError, TypeError) as error:
        raise BadScan("bad_dtype", f"ITK has no images of {volume.voxels.dtype}.") from error
    image.SetSpacing([float(size) for size in volume.spacing])
    image.SetOrigin([float(place) for place in volume.origin])
    image.SetDirection([float(value) for value in np.ravel(volume.direction)])
    return image


def _nifti(path):
    """Read a NIfTI file as a volume. Its axes are turned to right angles: rounded headers are a hair off."""
    scan = read_nifti(path)
    if scan.voxels.ndim != 3:
        raise BadScan("bad_rank", f"{path.name} has {scan.voxels.ndim} axes; expected 3.")
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ scan.scaled_affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(affine[:3, :3] / spacing)
    direction = left @ right
    # How far a corner of the volume moves, in voxels.
    moved = np.abs((direction * spacing - affine[:3, :3]) @ np.diag(scan.voxels.shape)).sum(axis=1) / spacing.min()
    if moved.max() > 0.5:
        raise BadScan(
            "bad_affine",
            f"{path.name} has axes that are not at right angles: with right angles, a corner would move by "
            f"{moved.max():.1f} voxels. Resample it on a grid of right angles.",
        )
    voxels = np.ascontiguousarray(scan.voxels.T, scan.voxels.dtype.newbyteorder("="))
    return Volume(voxels, tuple(spacing), tuple(affine[:3, 3]), direction)


def _sitk():
    try:
        import SimpleITK
    except ImportError as error:
        raise ImportError("DICOM and MHD need SimpleITK: pip install keras_uq[prep].") from error
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    return SimpleITK
