"""Read ACDC: both ventricles and the myocardium on cine MRI (Bernard et al., 2018), doi 10.1109/TMI.2018.2837502."""

import os
import re
from pathlib import Path

from data_prep.archive import Archive, BadDataset, Case, digest_of, seeded_split

# Label values in the files. Classes 1 to 3 are segments I to III in Table II of Mehrtash et al. (2020).
LABELS = {0: "background", 1: "right ventricle", 2: "myocardium", 3: "left ventricle"}
URL = "https://humanheart-project.creatis.insa-lyon.fr/database/api/v1/collection/637218c173e9f0047faa00fb/download"
HOW_TO_GET = (
    "Download ACDC from https://humanheart-project.creatis.insa-lyon.fr/database (CC BY-NC-SA 4.0, to be cited), "
    "or: python -m data_prep.download acdc --to <folder>. Put ACDC.zip or its content there. Expected somewhere below: "
    "training/patient001/Info.cfg, patient001_frame01.nii.gz and patient001_frame01_gt.nii.gz, ... (100 patients)."
)
PATIENT = re.compile(r"patient(\d{3})")
# Mehrtash et al. (2020), Table I, use 40, 10 and 50 of the 100 patients of the training part.
TEST, VALIDATION = 0.5, 0.2


def is_acdc(folder: str | os.PathLike) -> bool:
    """Whether a folder contains this archive, that is, patient folders with an Info.cfg."""
    return bool(_patients(folder))


def open_archive(folder: str | os.PathLike) -> Archive:
    """Open the end-diastolic frames of the labelled training patients, at any depth below the folder.

    `Info.cfg` gives the number of this frame: it is frame 1 for all patients except patient090. The files store a unit
    `sform` next to the true voxel size; the voxel size of the header is used (`Scan.scaled_affine`).

    Raises:
        BadDataset: If a patient's `Info.cfg` does not name the frame, or the image or label is missing.
    """
    cases = []
    for path in _patients(folder):
        frame = _end_diastole(path / "Info.cfg")
        image, label = (_file(path, f"{path.name}_frame{frame:02d}{kind}") for kind in ("", "_gt"))
        cases.append(Case(path.name, image, label))
    digest = digest_of(f"{case.name} {case.image.name}" for case in cases)
    return Archive("ACDC", tuple(cases), LABELS, "MRI", digest, splits={"patients": seeded_split(TEST, VALIDATION)})


def _patients(folder):
    """The folders of all patients, except those below a folder `testing`; each patient once."""
    folders = {}
    for path in sorted(Path(folder).glob("**/Info.cfg")):
        if PATIENT.fullmatch(path.parent.name) and "testing" not in path.parts:
            folders.setdefault(path.parent.name, path.parent)
    return [folders[name] for name in sorted(folders)]


def _end_diastole(info):
    match = re.search(r"^\s*ED\s*:\s*(\d+)", info.read_text(), re.MULTILINE)
    if match is None:
        raise BadDataset(f"{info.parent.name}/{info.name} does not say which frame is end-diastole (ED: <number>).")
    return int(match[1])


def _file(folder, stem):
    for name in (f"{stem}.nii.gz", f"{stem}.nii"):
        if (folder / name).is_file():
            return folder / name
    raise BadDataset(f"{folder.name} has no {stem}.nii.gz. {HOW_TO_GET}")
