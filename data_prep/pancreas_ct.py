"""NIH Pancreas-CT (Roth et al., 2015): 80 portal-venous CT, doi 10.7937/K9/TCIA.2016.tNB1kqBU, CC BY 3.0."""

import itertools
import re
from pathlib import Path

import nibabel
import numpy as np
from nibabel import orientations

from data_prep import itk
from data_prep.archive import Archive, BadDataset, Case, digest_of, seeded_split
from keras_uq.preprocessing import BadScan, Scan

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
# The same scan as case 2, cropped otherwise. Withdrawn in 2020; the labels still hold them.
WITHDRAWN = ("0025", "0070")
# Zhang et al. (2025), Section 4: 56, 8 and 16 of 80.
TEST, VALIDATION = 0.2, 0.125
# Mean of an enhanced pancreas, generously, and what is looked at of its tissue, in HU.
PLAUSIBLE = (0.0, 200.0)
TISSUE = (-200.0, 300.0)


def is_pancreas_ct(folder):
    """Whether a folder holds this collection: labels by its names."""
    return any(LABEL.fullmatch(path.name) for path in Path(folder).rglob("label*.nii*"))


def open_archive(folder):
    """Every case with a series and a label; the two that were withdrawn are left out.

    Series and labels are stored upside down and front to back alike, and some copies otherwise: both are brought to RAS
    by their own headers and then paired voxel by voxel. Origins of labels are not used. `check_case` then looks whether
    the mask lies on a pancreas.

    Raises:
        BadDataset: If a label has no series, a series no label, or a patient several series.
    """
    labels = {}
    for path in sorted(Path(folder).rglob("label*.nii*")):
        found = LABEL.fullmatch(path.name)
        if found and not path.name.startswith("."):
            labels.setdefault(found[1], path)
    series = _series(folder)
    numbers = sorted((set(labels) | set(series)) - set(WITHDRAWN))
    lacking = [
        f"{number} has no {'series' if number in labels else 'label'}"
        for number in numbers
        if number not in labels or number not in series
    ]
    if lacking or not numbers:
        raise BadDataset(f"{Path(folder).name}: {'; '.join(lacking) or 'no case'}. {HOW_TO_GET}")
    cases = tuple(Case(f"PANCREAS_{number}", series[number][0], labels[number]) for number in numbers)
    files = {case.image: series[case.name[-4:]] for case in cases}
    return Archive(
        "Pancreas-CT",
        cases,
        LABELS,
        "CT",
        digest_of(f"{case.name} {len(files[case.image])}" for case in cases),
        read_image=lambda first: to_ras(itk.to_scan(itk.read_series([str(path) for path in files[first]]))),
        read_label=lambda path: _as_label(to_ras(itk.to_scan(itk.read_image(path)))),
        read_geometry=lambda first: _geometry(files[first]),
        splits={"patients": seeded_split(TEST, VALIDATION)},
        check=check_case,
    )


def to_ras(scan):
    """The scan with axes to the right, to the front and upwards, by its own affine."""
    change = orientations.io_orientation(scan.affine)
    voxels = orientations.apply_orientation(scan.voxels, change)
    affine = scan.affine @ orientations.inv_ornt_aff(change, scan.voxels.shape)
    zooms = tuple(float(scan.zooms[int(np.flatnonzero(change[:, 0] == axis)[0])]) for axis in range(3))
    header = nibabel.Nifti1Image(voxels[:1, :1, :1].astype("float32"), affine).header
    return Scan(np.ascontiguousarray(voxels), affine, zooms, header)


def check_case(image, label):
    """Does the mask lie on a pancreas? Its mean must be that of one; no flipped mask may lie on more even tissue.

    Args:
        image: `Scan` in HU.
        label: `Scan` of the mask, same shape.

    Returns:
        `(code, detail)` pairs: `label_off_organ` or `label_uneven`.
    """
    mask = label.voxels > 0
    if mask.shape != image.voxels.shape or not mask.any():
        return []
    found = {}
    for axes in itertools.chain.from_iterable(itertools.combinations((1, 2), count) for count in (0, 1, 2)):
        tissue = image.voxels[np.flip(mask, axes) if axes else mask]
        found["".join("xyz"[axis] for axis in axes)] = (float(tissue.mean()), float(np.clip(tissue, *TISSUE).std()))
    mean, std = found.pop("")
    likely = {name: spread for name, (other, spread) in found.items() if _is_plausible(other)}
    if not _is_plausible(mean):
        hint = f" Flipped along {' or '.join(likely)} it would not be." if likely else ""
        return [("label_off_organ", f"The mask's mean is {mean:.0f} HU, which no pancreas has.{hint}")]
    if likely and min(likely.values()) < std:
        name = min(likely, key=likely.get)
        detail = f"Within the mask the std is {std:.0f} HU; flipped along {name}, {likely[name]:.0f} HU."
        return [("label_uneven", detail)]
    return []


def _is_plausible(mean):
    return PLAUSIBLE[0] <= mean <= PLAUSIBLE[1]


def _series(folder):
    """`{number: files in the order of their places}` of every patient."""
    folders = {}
    for path in sorted(Path(folder).rglob("*")):
        found = PATIENT.findall(str(path.relative_to(folder)))
        if found and path.is_file() and not path.name.startswith(".") and path.suffix.lower() in (".dcm", ""):
            folders.setdefault(found[-1], set()).add(path.parent)
    series = {}
    for number, of_patient in folders.items():
        found = [files for each in sorted(of_patient) for files in itk.list_series(each).values()]
        if len(found) > 1:
            raise BadDataset(f"PANCREAS_{number} has {len(found)} series where the collection has one. {HOW_TO_GET}")
        if found:
            series[number] = [Path(file) for file in found[0]]
    return series


def _as_label(scan):
    values = np.unique(scan.voxels)
    if not set(values.tolist()) <= {0, 1}:
        raise BadScan("unknown_label", f"The label holds {values[:5].tolist()}; expected 0 and 1.")
    return Scan(scan.voxels.astype("uint8"), scan.affine, scan.zooms, scan.header)


def _geometry(files):
    scan = to_ras(itk.to_scan(itk.read_series([str(path) for path in files])))
    return scan.voxels.shape, scan.affine
