"""Read the training part of BraTS 2017: gliomas on four MRI sequences (Menze et al., 2015; Bakas et al., 2017)."""

import os
import re
from pathlib import Path

import numpy as np

from data_prep.alignment import stacked
from data_prep.archive import Archive, BadDataset, Case, digest_of
from data_prep.checks import rounded
from keras_uq.preprocessing import BadScan, Scan, read_geometry, read_nifti

# Label values in the files; BraTS does not use 3.
VALUES = (0, 1, 2, 4)
LABELS = {0: "background", 1: "non-enhancing tumour", 2: "oedema", 3: "enhancing tumour"}
# Input channels in Mehrtash et al. (2020), Section VI-A.
SEQUENCES = ("t1ce", "t2", "flair")
HOW_TO_GET = (
    "BraTS 2017 cannot be downloaded automatically: its owners gave it to registered researchers and have closed the "
    "registration; it may not be passed on. Put MICCAI_BraTS17_Data_Training there. Expected somewhere below: "
    "HGG/Brats17_CBICA_AAB_1/Brats17_CBICA_AAB_1_t1ce.nii.gz, ..._t2, ..._flair, ..._seg, and the same below LGG. The "
    "training part of BraTS 2018 holds the same cases; that of 2020 does not tell the sites."
)
NAME = re.compile(r"Brats1[78]_(CBICA|TCIA|2013)\d*_.+")
# Mehrtash et al. (2020), Table I, train on 66 and validate on 22 of the 88 cases from CBICA, and test on 102 high-grade
# cases from TCIA.
VALIDATION = 0.25


def is_brats(folder: str | os.PathLike) -> bool:
    """Whether a folder contains this archive, judged by the names of its cases."""
    return bool(_folders(folder)) or any(Path(folder).glob("**/BraTS20_Training_*"))


def open_archive(folder: str | os.PathLike) -> Archive:
    """Open the cases with their site and tumour grade. Cases are split by site.

    The split `sites` takes training and validation cases from CBICA and tests on the high-grade cases from TCIA.
    `sites_all_grades` also tests on the low-grade cases from TCIA.

    Raises:
        BadDataset: If the names of the cases do not contain the site, or a case lacks a sequence.
    """
    folders = _folders(folder)
    if not folders:
        raise BadDataset(f"The cases of {Path(folder).name} have names that do not tell their site. {HOW_TO_GET}")
    cases = []
    for path in folders:
        for kind in (*SEQUENCES, "seg"):
            _file(path, kind)
        grade = "HGG" if "HGG" in path.parts else "LGG"
        cases.append(Case(path.name, path, _file(path, "seg"), group=f"{NAME.fullmatch(path.name)[1]} {grade}"))
    digest = digest_of(case.name for case in cases)
    return Archive(
        "BraTS 2017",
        tuple(cases),
        LABELS,
        "MRI",
        digest,
        read_image=read_case,
        read_label=read_label,
        read_geometry=lambda path: read_geometry(_file(path, SEQUENCES[0])),
        splits={"sites": _by_site(("TCIA HGG",)), "sites_all_grades": _by_site(("TCIA HGG", "TCIA LGG"))},
    )


def read_case(folder: Path) -> Scan:
    """Read the three sequences of a case as channels of one `Scan`, in the order of `SEQUENCES`."""
    paths = [_file(folder, kind) for kind in SEQUENCES]
    return stacked([read_nifti(path) for path in paths], [path.name for path in paths])


def read_label(path: Path) -> Scan:
    """Read the segmentation and map its values 0, 1, 2, 4 to 0 to 3. Raises `BadScan` for any other value."""
    scan = read_nifti(path)
    voxels = rounded(scan.voxels, path.name)
    values = np.unique(voxels)
    if not np.isin(values, VALUES).all():
        raise BadScan("unknown_label", f"{path.name} holds {values[:10].tolist()}; expected {VALUES}.")
    classes = np.searchsorted(VALUES, voxels).astype("uint8")
    return Scan(classes, scan.affine, scan.zooms, scan.header)


def _by_site(tests):
    def split(cases, seed):
        groups = {}
        for case in cases:
            groups.setdefault(case.group, []).append(case.name)
        testing = sorted(name for group in tests for name in groups.get(group, []))
        cbica = sorted(name for group, names in groups.items() if group.startswith("CBICA") for name in names)
        if len(cbica) < 2 or not testing:
            raise BadDataset(
                f"BraTS is split by site: at least two cases of CBICA and one of {' or '.join(tests)} are needed. "
                f"Found: { {group: len(names) for group, names in groups.items()} }."
            )
        order = [cbica[index] for index in np.random.default_rng(seed).permutation(len(cbica))]
        count = min(max(round(VALIDATION * len(order)), 1), len(order) - 1)
        return {"train": sorted(order[count:]), "validation": sorted(order[:count]), "test": testing}

    return split


def _folders(folder):
    folders = {path.name: path for path in sorted(Path(folder).glob("**/Brats1[78]_*")) if path.is_dir()}
    return [folders[name] for name in sorted(folders) if NAME.fullmatch(name)]


def _file(folder, kind):
    folder = Path(folder)
    for name in (f"{folder.name}_{kind}.nii.gz", f"{folder.name}_{kind}.nii"):
        if (folder / name).is_file():
            return folder / name
    raise BadDataset(f"{folder.name} has no {folder.name}_{kind}.nii.gz. {HOW_TO_GET}")
