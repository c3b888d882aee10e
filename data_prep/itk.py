"""DICOM, MHD and NRRD by SimpleITK, as `Scan`s: voxels (x, y, z), affine to millimetres in RAS as in NIfTI."""

from pathlib import Path

import nibabel
import numpy as np

from keras_uq.preprocessing import BadScan, Scan
from keras_uq.preprocessing.nifti import MAX_BYTES

# DICOM tags.
PATIENT, SERIES, DESCRIPTION, MODALITY = "0010|0020", "0020|000e", "0008|103e", "0008|0060"


def read_tags(path, tags):
    """Some DICOM tags of a file, stripped text; `None` for a file that is no DICOM. Absent tags are empty."""
    reader = _sitk().ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("GDCMImageIO")
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    return [reader.GetMetaData(tag).strip() if reader.HasMetaDataKey(tag) else "" for tag in tags]


def list_series(folder):
    """`{series: files in the order of their places along the slice normal}` of one folder of DICOM files."""
    reader = _sitk().ImageSeriesReader
    found = reader.GetGDCMSeriesIDs(str(folder))
    return {series: reader.GetGDCMSeriesFileNames(str(folder), series) for series in found}


def read_series(files):
    """An ITK image of a DICOM series. Its slices may be oblique: ITK sorts them along their normal.

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
        raise BadScan("unreadable", f"{Path(files[0]).parent.name} is no readable DICOM series ({error}).") from error


def read_image(path, max_bytes=MAX_BYTES):
    """An ITK image of one file: DICOM SEG, MHD, NRRD, NIfTI.

    Raises:
        BadScan: `missing` (of an MHD also its `.raw`), `too_large` or `unreadable`.
    """
    path, sitk = Path(path), _sitk()
    if not path.is_file():
        raise BadScan("missing", f"There is no file {path.name}.")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        declared = int(np.prod([np.int64(size) for size in reader.GetSize()], dtype=object)) * 8
        if declared > max_bytes:
            raise BadScan("too_large", f"{path.name} declares {declared} bytes of voxels; the limit is {max_bytes}.")
        return reader.Execute()
    except RuntimeError as error:
        beside = ", or its .raw is not beside it" if path.suffix == ".mhd" else ""
        raise BadScan("unreadable", f"{path.name} cannot be read{beside} ({_short(error)}).") from error


def resample_label(label, image):
    """A label image on the grid of another, nearest neighbour in physical space; 0 where it has no voxel."""
    sitk = _sitk()
    return sitk.Resample(label, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0, label.GetPixelID())


def overlap(label, image):
    """Share of a label's foreground that lies within an image, in [0, 1]; 0 for an empty label."""
    sitk = _sitk()
    voxels = np.argwhere(sitk.GetArrayViewFromImage(label) > 0)[:, ::-1]
    if not len(voxels):
        return 0.0
    size = np.array(image.GetSize())
    some = voxels[:: max(len(voxels) // 1000, 1)]
    places = [
        image.TransformPhysicalPointToIndex(label.TransformIndexToPhysicalPoint(tuple(map(int, at)))) for at in some
    ]
    return float(np.mean([(0 <= np.array(place)).all() and (np.array(place) < size).all() for place in places]))


def to_scan(image):
    """A `Scan` of an ITK image. ITK counts in LPS; NIfTI in RAS."""
    voxels = np.ascontiguousarray(_sitk().GetArrayFromImage(image).transpose(2, 1, 0))
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    header = nibabel.Nifti1Image(voxels[:1, :1, :1].astype("float32"), affine).header
    return Scan(voxels, affine, tuple(float(size) for size in image.GetSpacing()), header)


def _check_distances(files):
    places = []
    for file in files:
        found = read_tags(file, ("0020|0032", "0020|0037"))
        if found is None or not all(found):
            raise BadScan("unreadable", f"{Path(file).name} has no place in space (ImagePositionPatient).")
        position, orientation = (np.array([float(x) for x in text.split("\\")]) for text in found)
        places.append(float(np.cross(orientation[:3], orientation[3:]) @ position))
    steps = np.diff(places)
    if len(steps) and (np.ptp(steps) > 0.01 * abs(np.median(steps)) + 1e-3 or np.median(steps) == 0):
        raise BadScan(
            "truncated",
            f"The slices of {Path(files[0]).parent.name} are {min(abs(steps)):.3g} to {max(abs(steps)):.3g} mm apart: "
            "some are missing or stand twice.",
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
