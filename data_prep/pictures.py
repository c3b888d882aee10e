"""Read the five picture datasets of Yeung et al. (2021). A case is a colour picture with a mask of the same size."""

import csv
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.archive import Archive, BadDataset, Case, digest_of, natural
from data_prep.picture_files import pictures_in, read_mask, read_masks, read_picture
from keras_uq.files import sha256

# Files of the collections: name -> (collection, URL or None if a login is needed, checksum or None).
ISIC = "https://isic-challenge-data.s3.amazonaws.com/2018/"
FILES = {
    "training.zip": ("drive", None, "sha256:7101e19598e2b7aacdbd5e6e7575057b9154a4aaec043e0f4e28902bf4e2e209"),
    "test.zip": ("drive", None, "sha256:d76c95c98a0353487ffb63b3bb2663c00ed1fde7d8fdfd8c3282c6e310a02731"),
    "stage1_train.zip": ("dsb2018", "https://data.broadinstitute.org/bbbc/BBBC038/stage1_train.zip", None),
    "ISIC2018_Task1-2_Training_Input.zip": (
        "isic2018",
        ISIC + "ISIC2018_Task1-2_Training_Input.zip",
        "sha256:80f98572347a2d7a376227fa9eb2e4f7459d317cb619865b8b9910c81446675f",
    ),
    "ISIC2018_Task1_Training_GroundTruth.zip": (
        "isic2018",
        ISIC + "ISIC2018_Task1_Training_GroundTruth.zip",
        "sha256:99f8b2bb3c4d6af483362010715f7e7d5d122d9f6c02cac0e0d15bef77c7604c",
    ),
}

# Number of folds of the official 20 labelled images of DRIVE.
FOLDS = 5


@dataclass(frozen=True)
class Collection:
    """One dataset.

    Args:
        key: Name of its folder below the data folder.
        name: Name as printed in the paper.
        foreground: Name of the foreground class.
        modality: Modality of the pictures.
        counts: Sizes of the training, validation and test set in the paper.
        find: Function from a folder to the root of the dataset in it, or to `None` if there is another dataset.
        cases: Function from the root to the list of cases.
        how_to_get: Instructions that errors about missing data print.
    """

    key: str
    name: str
    foreground: str
    modality: str
    counts: tuple[int, int, int]
    find: Callable[[Path], Path | None]
    cases: Callable[[Path], list[Case]]
    how_to_get: str


def open_archive(folder: str | os.PathLike) -> Archive | None:
    """Open the collection in `folder` as an `Archive`. Returns `None` if there is no known collection.

    Raises:
        BadDataset: If the collection has no cases.
    """
    for collection in COLLECTIONS.values():
        root = collection.find(Path(folder))
        if root is not None:
            break
    else:
        return None
    cases = tuple(sorted(collection.cases(root), key=lambda case: natural(case.name)))
    if not cases:
        raise BadDataset(f"{root.name} holds no case of {collection.name}. {collection.how_to_get}")
    return Archive(
        name=collection.name,
        cases=cases,
        labels={0: "background", 1: collection.foreground},
        modality=collection.modality,
        digest=digest_of(case.name for case in cases),
        read_image=read_picture,
        read_label=read_masks if collection.key == "dsb2018" else read_mask,
        splits=_splits(collection, cases),
        pictures=True,
    )


def check_archive(archive: str | os.PathLike, name: str) -> dict[str, Any]:
    """Compare a local archive with the official one of the collection `name`.

    Returns:
        A dictionary with `official_archive`: true, false, or `None` if no official checksum is known.
    """
    key, _, checksum = FILES.get(Path(archive).name, (None, None, None))
    if checksum is None or COLLECTIONS[key].name != name:
        return {"official_archive": None}
    digest = sha256(archive)
    return {"official_archive": f"sha256:{digest}" == checksum, "archive_sha256": digest, "official": checksum}


def split_counts(
    cases: Sequence[Case], seed: int, counts: tuple[int, int, int], grouped: bool = False
) -> dict[str, list[str]]:
    """Shuffle the cases and split them in the proportions of `counts`.

    Args:
        cases: `Case` objects.
        seed: Random seed of the shuffle.
        counts: Sizes of training, validation and test set. They are exact if their sum is the number of cases.
        grouped: Whether to keep the cases of a group in one set. The sizes are then only approximate.

    Returns:
        Sorted names under `train`, `validation` and `test`, with at least one name each.
    """
    groups = {}
    for case in cases:
        groups.setdefault(case.group if grouped else case.name, []).append(case.name)
    if len(groups) < 3:
        raise BadDataset(f"Three sets need at least three cases or groups. Received: {len(groups)}.")
    shares = np.array(counts) / sum(counts)
    tests, validations = (max(round(len(cases) * share), 1) for share in (shares[2], shares[1]))
    rng = np.random.default_rng(seed)
    order = [sorted(groups)[index] for index in rng.permutation(len(groups))]
    sets = {"test": [], "validation": [], "train": []}
    for position, name in enumerate(order):
        left = len(order) - position  # Each of the later sets needs at least one group.
        if len(sets["test"]) < tests and left > 2:
            sets["test"] += groups[name]
        elif len(sets["validation"]) < validations and (left > 1 or not sets["validation"]):
            sets["validation"] += groups[name]
        else:
            sets["train"] += groups[name]
    return {part: sorted(sets[part], key=natural) for part in ("train", "validation", "test")}


def _splits(collection, cases):
    def images(good, seed):
        return split_counts(good, seed, collection.counts)

    if collection.key == "drive":
        return _drive_splits(cases)
    splits = {"images": images}
    if all(case.group for case in cases):
        splits["sequences"] = lambda good, seed: split_counts(good, seed, collection.counts, grouped=True)
    return splits


def _drive_splits(cases):
    """The authors' split if all 40 images are labelled; else five folds (13, 3 and 4 images) of the official 20."""
    if any(case.group == "test" for case in cases):

        def authors(good, seed):
            training = [case.name for case in good if case.group == "training"]
            tests = [case.name for case in good if case.group == "test"]
            return {"train": training[:16], "validation": training[16:], "test": tests}

        return {"images": authors}

    def fold(number):
        def split(good, seed):
            names = [case.name for case in good]
            tests = np.array_split(names, FOLDS)[number].tolist()
            rest = [name for name in names if name not in tests]
            start = number * len(rest) // FOLDS
            validation = [rest[(start + step) % len(rest)] for step in range(3)]
            train = [name for name in rest if name not in validation]
            return {"train": train, "validation": sorted(validation, key=natural), "test": tests}

        return split

    return {"images": fold(0), **{f"fold{number}": fold(number) for number in range(FOLDS)}}


def _below(folder, *parts, depth=3):
    """The first folder, up to `depth` levels below, that contains all of `parts` as folders."""
    for level in range(depth + 1):
        for candidate in sorted(folder.glob("/".join(["*"] * level)) if level else [folder]):
            if candidate.name[:1] not in "._" and all((candidate / part).is_dir() for part in parts):
                return candidate
    return None


def _find_dsb2018(folder):
    """The folder that contains the folders named by 64 digits; these are at the top level of the archive."""
    for level in range(3):
        for candidate in sorted(folder.glob("/".join(["*"] * level)) if level else [folder]):
            if candidate.is_dir() and any(_is_dsb_case(path) for path in candidate.iterdir()):
                return candidate
    return None


def _is_dsb_case(path):
    return re.fullmatch("[0-9a-f]{64}", path.name) is not None and path.is_dir()


def _dsb2018_cases(root):
    names = [path.name for path in root.iterdir() if _is_dsb_case(path)]
    return [Case(name, root / name / "images" / f"{name}.png", root / name / "masks") for name in names]


def _drive_cases(root):
    cases = []
    for part in ("training", "test"):
        masks = root / part / "1st_manual"
        if part == "test" and not masks.is_dir():
            continue  # The official archive has no vessel masks for the test images.
        for path in pictures_in(root / part / "images", (".tif", ".png")):
            number = path.name.partition("_")[0]
            cases.append(Case(f"{number}_{part}", path, masks / f"{number}_manual1.gif", part))
    return cases


def _bus2017_cases(root):
    return [Case(path.stem, path, root / "GT" / path.name) for path in pictures_in(root / "original", (".png",))]


def _isic2018_cases(root):
    masks = root / "ISIC2018_Task1_Training_GroundTruth"
    images = pictures_in(root / "ISIC2018_Task1-2_Training_Input", (".jpg",))
    return [Case(path.stem, path, masks / f"{path.stem}_segmentation.png") for path in images]


def _cvc_cases(root):
    groups, suffixes = {}, (".tif", ".png")
    # Repacked copies have metadata.csv one folder above the folders with TIF and PNG files.
    metadata = next((path for path in (root / "metadata.csv", root.parent / "metadata.csv") if path.exists()), None)
    if metadata is not None:
        with open(metadata, newline="") as file:
            groups = {line["frame_id"]: line["sequence_id"] for line in csv.DictReader(file)}
    images = pictures_in(root / "Original", suffixes)
    return [Case(path.stem, path, root / "Ground Truth" / path.name, groups.get(path.stem)) for path in images]


def _manual(name, instructions, layout):
    return f"{name} cannot be downloaded automatically: {instructions}. Expected there, or somewhere below: {layout}."


COLLECTIONS = {
    collection.key: collection
    for collection in (
        Collection(
            key="drive",
            name="DRIVE",
            foreground="vessel",
            modality="fundus photograph",
            counts=(16, 4, 20),
            find=lambda folder: _below(folder, "training/images", "training/1st_manual"),
            cases=_drive_cases,
            how_to_get=_manual(
                "DRIVE",
                "register at https://drive.grand-challenge.org and put training.zip and test.zip there",
                "training/images/21_training.tif and training/1st_manual/21_manual1.gif (20 labelled images; test "
                "images count if there is a test/1st_manual)",
            ),
        ),
        Collection(
            key="bus2017",
            name="BUS2017",
            foreground="lesion",
            modality="ultrasound",
            counts=(104, 26, 33),
            find=lambda folder: _below(folder, "original", "GT"),
            cases=_bus2017_cases,
            how_to_get=_manual(
                "BUS2017 (Dataset B of Yap et al., 2018)",
                "send the signed agreement of http://www2.docm.mmu.ac.uk/STAFF/M.Yap/dataset.php (research only)",
                "original/000001.png and GT/000001.png (163 of each)",
            ),
        ),
        Collection(
            key="dsb2018",
            name="2018DSB",
            foreground="nucleus",
            modality="microscopy",
            counts=(428, 108, 134),
            find=_find_dsb2018,
            cases=_dsb2018_cases,
            how_to_get=(
                "Download it (CC0; https://bbbc.broadinstitute.org/BBBC038): python -m data_prep.download "
                "dsb2018 --to <data>/dsb2018. Expected there: stage1_train.zip, or its folders "
                "<64 digits>/images/<64 digits>.png and <64 digits>/masks/*.png (670 images)."
            ),
        ),
        Collection(
            key="isic2018",
            name="ISIC2018",
            foreground="lesion",
            modality="dermoscopy",
            counts=(1661, 415, 518),
            find=lambda folder: _below(
                folder, "ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"
            ),
            cases=_isic2018_cases,
            how_to_get=(
                "Download it (10 GB; terms at https://challenge.isic-archive.com/data/#2018): python -m "
                "data_prep.download isic2018 --to <data>/isic2018. Expected: both archives, or "
                "ISIC2018_Task1-2_Training_Input/ISIC_0000000.jpg and "
                "ISIC2018_Task1_Training_GroundTruth/ISIC_0000000_segmentation.png (2594 of each)."
            ),
        ),
        Collection(
            key="cvc",
            name="CVC-ClinicDB",
            foreground="polyp",
            modality="colonoscopy",
            counts=(392, 98, 122),
            find=lambda folder: _below(folder, "Original", "Ground Truth"),
            cases=_cvc_cases,
            how_to_get=_manual(
                "CVC-ClinicDB",
                "get it from https://polyp.grand-challenge.org/CVCClinicDB/ and unpack it with unar or 7z, since it is "
                "a RAR archive whatever its name ends in",
                "Original/1.tif and 'Ground Truth'/1.tif (612 of each; .png will do). A metadata.csv with frame_id and "
                "sequence_id allows a split by sequence",
            ),
        ),
    )
}
