"""Medical Segmentation Decathlon: any task in its layout (Antonelli et al., 2022; Simpson et al., 2019)."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from data_prep.archive import Archive, BadDataset, Case, natural
from data_prep.prepared import sha256

URL = "https://msd-for-monai.s3-us-west-2.amazonaws.com/{task}.tar"


@dataclass(frozen=True)
class Task:
    """One known archive: its name and the md5 of the official file."""

    name: str
    md5: str

    @property
    def url(self):
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


def find_task(folder):
    """The folder that holds `dataset.json`: `folder` itself or a folder up to two levels below (unpacked twice)."""
    folder = Path(folder)
    for pattern in ("dataset.json", "*/dataset.json", "*/*/dataset.json"):
        found = [path.parent for path in sorted(folder.glob(pattern)) if not path.parent.name.startswith(".")]
        if len(found) == 1:
            return found[0]
        if found:
            raise BadDataset(f"{folder} holds several tasks: {[path.name for path in found]}. Name one of them.")
    raise BadDataset(
        f"{folder} holds no dataset.json. Expected the Decathlon layout: dataset.json, imagesTr, labelsTr."
    )


def open_archive(folder):
    """A task as an `Archive`.

    `dataset.json` decides, never the folder's content: archives carry hidden companions of each file. `training` holds
    `{image, label}`; entries of `test` may be strings, and the release key is misspelt in one task; neither is needed.

    Args:
        folder: Holds `dataset.json`, or has it up to two levels below.

    Raises:
        BadDataset: If `dataset.json` is not of that form or leads out of the folder.
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


def check_archive(archive):
    """Whether a local archive is the official one: `official_archive` is true, false, or `None` for unknown tasks.

    Another archive is accepted (it may have been packed again), and tables made from it say so.
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
