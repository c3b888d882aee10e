"""Read any task in the layout of the Medical Segmentation Decathlon (Antonelli et al., 2022; Simpson et al., 2019)."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from data_prep.archive import Archive, BadDataset, Case, natural
from keras_uq.files import sha256

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
    try:
        content = json.loads(description.read_text())
        labels = {int(value): str(name) for value, name in content["labels"].items()}
        entries = [(entry["image"], entry["label"]) for entry in content["training"]]
        modality = str(next(iter((content.get("modality") or {"0": "unknown"}).values())))
    except (OSError, json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadDataset(f"{folder.name}/dataset.json is not a Decathlon description ({error!r}).") from error
    cases = [Case(_case_name(image), _inside(folder, image), _inside(folder, label)) for image, label in entries]
    if not cases:
        raise BadDataset(f"{folder.name}/dataset.json lists no training case.")
    names = [case.name for case in cases]
    if len(set(names)) != len(names):
        raise BadDataset(f"{folder.name}/dataset.json lists a case twice.")
    cases = tuple(sorted(cases, key=lambda case: natural(case.name)))
    return Archive(folder.name, cases, labels, modality, sha256(description))


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


def _case_name(image):
    return PurePosixPath(image).name.removesuffix(".gz").removesuffix(".nii")


def _inside(folder, entry):
    path = PurePosixPath(entry)
    if path.is_absolute() or ".." in path.parts:
        raise BadDataset(f"{folder.name}/dataset.json names {entry!r}, which leads out of the folder.")
    return folder.joinpath(*path.parts)
