"""Read NIH Pancreas-CT (Roth et al., 2015): 80 portal-venous CT, doi 10.7937/K9/TCIA.2016.tNB1kqBU, CC BY 3.0."""

import itertools
import os
import re
from pathlib import Path
from typing import NamedTuple

import nibabel
import numpy as np
from nibabel import orientations

from data_prep import itk
from data_prep.archive import Archive, BadDataset, Case, digest_of, seeded_split
from keras_uq.preprocessing import BadScan, Scan, read_nifti

LABELS = {0: "background", 1: "pancreas"}
COLLECTION = "Pancreas-CT"
LABELS_URL = "https://www.cancerimagingarchive.net/wp-content/uploads/TCIA_pancreas_labels-02-05-2017-1.zip"
LABELS_SHA256 = "cf8a553c37c80e3840ce7392987b308f7a98cd5f50019511b2ac0f3a54b0934b"
HOW_TO_GET = (
    "Download NIH Pancreas-CT (CC BY 3.0, no login, 10 GB): python -m data_prep.download pancreas_ct --to <folder>. "
    "Expected somewhere below: PANCREAS_0001/.../*.dcm and label0001.nii.gz, ... (80 of each; 25 and 70 are withdrawn)."
)
PATIENT = re.compile(r"PANCREAS_(\d{4})", re.IGNORECASE)
LABEL = re.compile(r"label(\d{4})\.nii(\.gz)?")
# Duplicates of case 2 with a different crop. The images were withdrawn in 2020; the labels still contain them.
WITHDRAWN = ("0025", "0070")
# Zhang et al. (2025), Section 4, use 56, 8 and 16 of 80 cases.
TEST, VALIDATION = 0.2, 0.125
# Plausible range for the mean of an enhanced pancreas, in HU (a wide range).
PLAUSIBLE = (0.0, 200.0)
# Intensities are clipped to this range, in HU, before the standard deviation within the mask is computed.
TISSUE = (-200.0, 300.0)


def is_pancreas_ct(folder: str | os.PathLike) -> bool:
    """Whether a folder contains this collection, judged by the file names of its labels."""
    return any(LABEL.fullmatch(path.name) for path in Path(folder).rglob("label*.nii*"))


def open_archive(folder: str | os.PathLike) -> Archive:
    """Open all cases with a series and a label, except the two that were withdrawn.

    The axes of series and labels are flipped equally in the official files, but not in all copies. Both are therefore
    reoriented to RAS by their own headers and then paired voxel by voxel. The origins of the labels are wrong and not
    used. `check_case` checks that the mask lies on a pancreas.

    Raises:
        BadDataset: If a label has no series, or a series has no label. A patient with several series, or with files
            that cannot be read, is a finding on that case.
    """
    labels = {}
    for path in sorted(Path(folder).rglob("label*.nii*")):
        match = LABEL.fullmatch(path.name)
        if match and not path.name.startswith("."):
            labels.setdefault(match[1], path)
    series = _series(folder)
    numbers = sorted((set(labels) | set(series)) - set(WITHDRAWN))
    incomplete = [
        f"{number} has no {'series' if number in labels else 'label'}"
        for number in numbers
        if number not in labels or number not in series
    ]
    if incomplete or not numbers:
        raise BadDataset(f"{Path(folder).name}: {'; '.join(incomplete) or 'no case'}. {HOW_TO_GET}")
    cases = tuple(Case(f"PANCREAS_{number}", series[number].first, labels[number]) for number in numbers)
    series_of = {case.image: series[case.name[-4:]] for case in cases}
    return Archive(
        "Pancreas-CT",
        cases,
        LABELS,
        "CT",
        digest_of(f"{case.name} {len(series_of[case.image].files)}" for case in cases),
        read_image=lambda first: _read(series_of[first]),
        read_label=lambda path: _as_label(read_nifti(path), path),
        read_geometry=lambda first: _geometry(_read(series_of[first])),
        splits={"patients": seeded_split(TEST, VALIDATION)},
        check=check_case,
        in_space=False,
    )


def to_ras(scan: Scan) -> Scan:
    """Reorient a scan by its affine so that its axes point right, anterior and superior."""
    change = orientations.io_orientation(scan.affine)
    voxels = orientations.apply_orientation(scan.voxels, change)
    affine = scan.affine @ orientations.inv_ornt_aff(change, scan.voxels.shape)
    zooms = tuple(float(scan.zooms[int(np.flatnonzero(change[:, 0] == axis)[0])]) for axis in range(3))
    header = nibabel.Nifti1Image(voxels[:1, :1, :1].astype("float32"), affine).header
    return Scan(np.ascontiguousarray(voxels), affine, zooms, header)


def check_case(image: Scan, label: Scan) -> list[tuple[str, str]]:
    """Check that the mask lies on a pancreas.

    The mean intensity within the mask must be plausible for a pancreas, and no flipped mask may have a plausible mean
    and a smaller standard deviation.

    Args:
        image: `Scan` in HU.
        label: `Scan` of the mask, same shape.

    Returns:
        `(code, detail)` pairs with the code `label_off_organ` or `label_uneven`.
    """
    mask = label.voxels > 0
    if mask.shape != image.voxels.shape or not mask.any():
        return []
    statistics = {}
    for axes in itertools.chain.from_iterable(itertools.combinations((1, 2), count) for count in (0, 1, 2)):
        tissue = image.voxels[np.flip(mask, axes) if axes else mask]
        flip = "".join("xyz"[axis] for axis in axes)
        statistics[flip] = (float(tissue.mean()), float(np.clip(tissue, *TISSUE).std()))
    mean, std = statistics.pop("")
    likely = {flip: spread for flip, (other, spread) in statistics.items() if _is_plausible(other)}
    if not _is_plausible(mean):
        hint = f" Flipped along {' or '.join(likely)} it would be plausible." if likely else ""
        return [("label_off_organ", f"The mask's mean is {mean:.0f} HU, which no pancreas has.{hint}")]
    if likely and min(likely.values()) < std:
        name = min(likely, key=likely.get)
        detail = f"Within the mask the std is {std:.0f} HU; flipped along {name}, {likely[name]:.0f} HU."
        return [("label_uneven", detail)]
    return []


def _is_plausible(mean):
    return PLAUSIBLE[0] <= mean <= PLAUSIBLE[1]


class _Series(NamedTuple):
    """The files of a patient's series, ordered along the slice normal, or why there is none."""

    first: Path
    files: list[str]
    error: BadScan | None


def _series(folder):
    """The series of each patient: `{number: _Series}`."""
    paths = {}
    for path in sorted(Path(folder).rglob("*")):
        numbers = PATIENT.findall(str(path.relative_to(folder)))
        if numbers and path.is_file() and not path.name.startswith(".") and path.suffix.lower() in (".dcm", ""):
            paths.setdefault(numbers[-1], []).append(path)
    series = {}
    for number, patient_paths in paths.items():
        file_lists, error = [], None
        try:
            for patient_folder in sorted({path.parent for path in patient_paths}):
                file_lists += itk.list_series(patient_folder).values()
        except BadScan as problem:
            error = problem
        if error is None and len(file_lists) != 1:
            count = f"{len(file_lists)} series" if file_lists else "files, but no readable DICOM series"
            error = BadScan(
                "several_volumes" if file_lists else "unreadable",
                f"PANCREAS_{number} has {count}; expected one. Restore the folder from the collection.",
            )
        files = [] if error else list(file_lists[0])
        series[number] = _Series(Path(files[0]) if files else patient_paths[0], files, error)
    return series


def _read(series):
    if series.error is not None:
        raise BadScan(series.error.code, str(series.error))
    return to_ras(itk.to_scan(itk.read_series(series.files)))


def _as_label(scan, path):
    if scan.voxels.ndim != 3:
        raise BadScan("label_channels", f"{path.name} has the shape {scan.voxels.shape}; expected 3 axes.")
    values = np.unique(scan.voxels.ravel(order="K"))  # In the order of memory, which is faster.
    if not set(values.tolist()) <= {0, 1}:
        raise BadScan("unknown_label", f"{path.name} holds {values[:5].tolist()}; expected 0 and 1.")
    return to_ras(Scan(scan.voxels.astype("uint8"), scan.scaled_affine, scan.zooms, scan.header))


def _geometry(scan):
    return scan.voxels.shape, scan.affine
