"""ATLAS: liver and tumour on contrast-enhanced MRI (Quinton et al., 2023), doi 10.3390/data8050079."""

import re
from pathlib import Path

from data_prep.archive import Archive, BadDataset, Case, digest_of

ARCHIVE = "atlas-train-dataset-1.0.1"
LABELS = {0: "background", 1: "liver", 2: "tumour"}
# Printed by every error about absent data: the archive is given to registered researchers only.
HOW_TO_GET = (
    "ATLAS cannot be downloaded automatically. Ask for an account with an institutional e-mail address at "
    f"https://atlas-challenge.u-bourgogne.fr (CC BY-NC-SA 4.0, research only), download {ARCHIVE}.zip (630 MB), and "
    "put it or its content there. Expected somewhere below: imagesTr/im0.nii.gz, im1.nii.gz, ... and "
    "labelsTr/lb0.nii.gz, lb1.nii.gz, ... (60 of each)."
)


def is_atlas(folder):
    """Whether a folder holds this archive: the names of its files tell."""
    found = _parts(folder)
    return len(found) == 1 and any(_number(path, "im") is not None for path in found[0].iterdir())


def open_archive(folder):
    """The archive in `folder`, or below it: some tools unpack it into a folder of its own name.

    Image and label are paired by number, since `im10` sorts before `im2`; every other file is passed over.

    Raises:
        BadDataset: If there is no `imagesTr` with `im<N>.nii.gz`, more than one, or a label without image or the other
            way round.
    """
    found = _parts(folder)
    if len(found) != 1:
        raise BadDataset(f"{Path(folder).name} holds {len(found)} folders imagesTr; expected one. {HOW_TO_GET}")
    images = _numbered(found[0], "im")
    labels = _numbered(found[0].with_name("labelsTr"), "lb")
    if not images:
        raise BadDataset(f"{Path(folder).name} holds no im<N>.nii.gz. {HOW_TO_GET}")
    alone = sorted(images.keys() ^ labels.keys())
    if alone:
        names = [f"im{number}" if number in images else f"lb{number}" for number in alone]
        raise BadDataset(f"{Path(folder).name}: no partner for {', '.join(names)}. Unpack {ARCHIVE}.zip again.")
    cases = tuple(Case(f"im{number}", images[number], labels[number]) for number in sorted(images))
    digest = digest_of(case.name for case in cases)
    return Archive("ATLAS23", cases, LABELS, "MRI", digest)


def _parts(folder):
    """Folders `imagesTr` up to four levels below."""
    folder = Path(folder)
    candidates = (path for depth in range(5) for path in folder.glob("*/" * depth + "imagesTr"))
    return sorted(path for path in candidates if not any(part.startswith((".", "__")) for part in path.parts[-5:]))


def _numbered(folder, prefix):
    paths = folder.iterdir() if folder.is_dir() else ()
    return {_number(path, prefix): path for path in paths if _number(path, prefix) is not None}


def _number(path, prefix):
    match = re.fullmatch(rf"{prefix}(\d+)\.nii(\.gz)?", path.name)
    return int(match.group(1)) if match else None
