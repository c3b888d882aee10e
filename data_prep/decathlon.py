"""Read any task in the layout of the Medical Segmentation Decathlon (Antonelli et al., 2022; Simpson et al., 2019)."""

import collections
import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from data_prep.archive import Archive, BadDataset, Case, natural
from keras_uq._kinds import Items, Mapping, Maybe, Text, shown
from keras_uq.files import BadFile, check, parse, read, sha256

# Fields of `dataset.json` that are read. Paths hold no NUL.
FIELDS = {"labels": Mapping(Text()), "training": Items(Mapping(Text())), "modality": Maybe(Mapping(Text()))}
PATH = Text(4000, r"[^\0]+", "the path of a file")
ENTRY = {"image": PATH, "label": PATH}
URL = "https://msd-for-monai.s3-us-west-2.amazonaws.com/{task}.tar"


@dataclass(frozen=True)
class Task:
    """Name and official md5 of one archive."""

    name: str
    md5: str

    @property
    def url(self) -> str:
        """Address of the archive."""
        return URL.format(task=self.name)


TASKS = {
    task.name: task
    for task in (
        Task("Task03_Liver", "a90ec6c4aa7f6a3d087205e23d4e6397"),
        Task("Task04_Hippocampus", "9d24dba78a72977dbd1d2e110310f31b"),
        Task("Task07_Pancreas", "4f7080cfca169fa8066d17ce6eb061e4"),
        Task("Task09_Spleen", "410d4a301da4e5b2f6f86ec3ddba524e"),
    )
}


def find_task(folder: str | os.PathLike) -> Path:
    """Return the folder that contains `dataset.json`: `folder` itself, or a folder up to two levels below."""
    folder = Path(folder)
    for pattern in ("dataset.json", "*/dataset.json", "*/*/dataset.json"):
        tasks = [path.parent for path in sorted(folder.glob(pattern)) if not path.parent.name.startswith(".")]
        if len(tasks) == 1:
            return tasks[0]
        if tasks:
            raise BadDataset(f"{folder} holds several tasks: {[path.name for path in tasks]}. Name one of them.")
    raise BadDataset(
        f"{folder} holds no dataset.json. Expected the Decathlon layout: dataset.json, imagesTr, labelsTr."
    )


def is_task(folder: str | os.PathLike) -> bool:
    """Whether a folder contains a description that lists training cases."""
    try:
        content = read(find_task(folder) / "dataset.json")
    except (BadDataset, BadFile, OSError):
        return False
    return isinstance(content, dict) and "training" in content


def open_archive(folder: str | os.PathLike) -> Archive:
    """Open a task as an `Archive`.

    The cases are read from `training` in `dataset.json`, a list of `{image, label}`. The content of the folder is not
    listed, because archives also contain hidden macOS files. Other entries of `dataset.json` differ between tasks and
    are not needed.

    Args:
        folder: Folder with `dataset.json`, in it or up to two levels below.

    Raises:
        BadDataset: If `dataset.json` does not have this form, or names a file outside the folder.
    """
    folder = find_task(folder)
    description = folder / "dataset.json"
    name = f"{folder.name}/dataset.json"
    try:
        content = check(_read(description, name), FIELDS, name, optional=("modality",), others=True)
        entries = [check(entry, ENTRY, f"{name}, `training`", others=True) for entry in content["training"]]
    except BadFile as error:
        raise BadDataset(
            f"{error} Expected the description of a Decathlon task: labels, and training with image and label of each "
            "case."
        ) from error
    labels = {}
    for text, label in content["labels"].items():
        if not re.fullmatch(r"-?[0-9]{1,9}", text) or int(text) in labels:
            raise BadDataset(f"{name}: expected whole numbers as keys of `labels`, each once. Received: {shown(text)}.")
        labels[int(text)] = label
    modalities = content.get("modality") or {"0": "unknown"}
    cases = [
        Case(case_name(entry["image"], name), _inside(folder, entry["image"]), _inside(folder, entry["label"]))
        for entry in entries
    ]
    if not cases:
        raise BadDataset(f"{name} lists no training case.")
    if 0 not in labels or len(labels) < 2:
        raise BadDataset(f"{name}: expected `labels` with 0 for background and a class. Received: {shown(labels)}.")
    check_names(cases, name)
    cases = tuple(sorted(cases, key=lambda case: natural(case.name)))
    return Archive(folder.name, cases, labels, next(iter(modalities.values())), sha256(description))


def check_archive(archive: str | os.PathLike) -> dict[str, Any]:
    """Compare a local archive with the official one.

    Returns:
        A dictionary with `official_archive`: true, false, or `None` for an unknown task. Another archive is accepted,
        because it may have been repacked, and tables made from it say so.
    """
    task = TASKS.get(Path(archive).name.removesuffix(".tar"))
    if task is None:
        return {"official_archive": None}
    with open(archive, "rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    return {"official_archive": md5 == task.md5, "archive_md5": md5, "official_md5": task.md5}


def case_name(image: str, source: str) -> str:
    """Return the name of a case, which is a folder of the prepared data.

    Args:
        image: Path of its image.
        source: Description that errors name.

    Raises:
        BadDataset: If the image is no `.nii` or `.nii.gz`, or its name could be no folder or is not printable.
    """
    file = PurePosixPath(image).name
    name = file.removesuffix(".gz").removesuffix(".nii")
    if name == file or not file.endswith((".nii", ".nii.gz")):
        raise BadDataset(f"{source}: expected images that end in .nii or .nii.gz. Received: {shown(image)}.")
    if (
        not name.isprintable()
        or not name.strip(". ")
        or name[0] == "."
        or "\\" in image
        or len(os.fsencode(name)) > 240
    ):
        raise BadDataset(
            f"{source} names the image {shown(image)}. Expected a file name of printable characters, without a "
            "backslash or a leading dot, of at most 240 bytes."
        )
    return name


def check_names(cases: Iterable[Case], source: str) -> None:
    """Raise `BadDataset` if two cases have one name."""
    numbers = collections.Counter(case.name for case in cases)
    twice = [name for name, number in numbers.items() if number > 1]
    if twice:
        raise BadDataset(f"{source} lists the case {shown(twice[0])} twice.")


def _read(description, name):
    try:
        return parse(description.read_bytes(), name)
    except OSError as error:
        raise BadFile(f"{name} cannot be read ({error.strerror}).") from error


def _inside(folder, entry):
    path = PurePosixPath(entry)
    if path.is_absolute() or ".." in path.parts:
        raise BadDataset(f"{folder.name}/dataset.json names {shown(entry)}, which leads out of the folder.")
    return folder.joinpath(*path.parts)
