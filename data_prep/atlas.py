"""Read ATLAS: liver and tumour on contrast-enhanced MRI (Quinton et al., 2023), doi 10.3390/data8050079."""

import os
import re
from pathlib import Path

from data_prep.archive import Archive, BadDataset, Case, digest_of

ARCHIVE = "atlas-train-dataset-1.0.1"
LABELS = {0: "background", 1: "liver", 2: "tumour"}
# Every error about missing data prints this text, because only registered researchers can download the archive.
HOW_TO_GET = (
    "ATLAS cannot be downloaded automatically. Ask for an account with an institutional e-mail address at "
    f"https://atlas-challenge.u-bourgogne.fr (CC BY-NC-SA 4.0, research only), download {ARCHIVE}.zip (630 MB), and "
    "put it or its content there. Expected somewhere below: imagesTr/im0.nii.gz, im1.nii.gz, ... and "
    "labelsTr/lb0.nii.gz, lb1.nii.gz, ... (60 of each)."
)


def is_atlas(folder: str | os.PathLike) -> bool:
    """Whether a folder contains this archive, judged by the names of its files."""
    image_folders = _image_folders(folder)
    return len(image_folders) == 1 and any(_number(path, "im") is not None for path in image_folders[0].iterdir())


def open_archive(folder: str | os.PathLike) -> Archive:
    """Open the archive in `folder` or below it, because some tools unpack it into a new folder.

    Image and label are paired by number, because `im10` sorts before `im2`. All other files are ignored.

    Raises:
        BadDataset: If there is no `imagesTr` with `im<N>.nii.gz` or more than one, or if an image has no label or a
            label no image.
    """
    image_folders = _image_folders(folder)
    if len(image_folders) != 1:
        raise BadDataset(f"{Path(folder).name} holds {len(image_folders)} folders imagesTr; expected one. {HOW_TO_GET}")
    images = _numbered(image_folders[0], "im")
    labels = _numbered(image_folders[0].with_name("labelsTr"), "lb")
    if not images:
        raise BadDataset(f"{Path(folder).name} holds no im<N>.nii.gz. {HOW_TO_GET}")
    unpaired = sorted(images.keys() ^ labels.keys())
    if unpaired:
        names = [f"im{number}" if number in images else f"lb{number}" for number in unpaired]
        raise BadDataset(f"{Path(folder).name}: no partner for {', '.join(names)}. Unpack {ARCHIVE}.zip again.")
    cases = tuple(Case(f"im{number}", images[number], labels[number]) for number in sorted(images))
    digest = digest_of(case.name for case in cases)
    return Archive("ATLAS23", cases, LABELS, "MRI", digest)


def _image_folders(folder):
    """All folders `imagesTr` up to four levels below."""
    folder = Path(folder)
    candidates = (path for depth in range(5) for path in folder.glob("*/" * depth + "imagesTr"))
    return sorted(path for path in candidates if not any(part.startswith((".", "__")) for part in path.parts[-5:]))


def _numbered(folder, prefix):
    paths = folder.iterdir() if folder.is_dir() else ()
    return {_number(path, prefix): path for path in paths if _number(path, prefix) is not None}


def _number(path, prefix):
    match = re.fullmatch(rf"{prefix}(\d+)\.nii(\.gz)?", path.name)
    return int(match.group(1)) if match else None
