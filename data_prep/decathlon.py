"""Medical Segmentation Decathlon: any task in its layout (Antonelli et al., 2022; Simpson et al., 2019)."""

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from data_prep.checks import FATAL, Finding, Report, check_pair
from data_prep.extract import extract_tar
from data_prep.prepared import Writer, sha256, split_patients
from keras_uq.preprocessing import BadScan, read_geometry, read_nifti

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


class BadDataset(ValueError):
    """A dataset that cannot be prepared as it is. The message holds the whole report."""


@dataclass(frozen=True)
class Case:
    """One labelled case of an archive."""

    name: str
    image: Path
    label: Path


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


def read_cases(folder):
    """The labelled cases of a task and its classes.

    `dataset.json` decides, never the folder's content: archives carry hidden companions of each file. `training` holds
    `{image, label}`; entries of `test` may be strings, and the release key is misspelt in one task; neither is needed.

    Returns:
        Cases in numerical order of their names, and `{value: class name}`.

    Raises:
        BadDataset: If `dataset.json` is not of that form or leads out of the folder.
    """
    folder = Path(folder)
    try:
        content = json.loads((folder / "dataset.json").read_text())
        labels = {int(value): str(name) for value, name in content["labels"].items()}
        entries = [(entry["image"], entry["label"]) for entry in content["training"]]
    except (OSError, json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadDataset(f"{folder.name}/dataset.json is not a Decathlon description ({error!r}).") from error
    cases = [Case(_case_name(image), _inside(folder, image), _inside(folder, label)) for image, label in entries]
    if not cases:
        raise BadDataset(f"{folder.name}/dataset.json lists no training case.")
    names = [case.name for case in cases]
    if len(set(names)) != len(names):
        raise BadDataset(f"{folder.name}/dataset.json lists a case twice.")
    return sorted(cases, key=lambda case: _natural(case.name)), labels


def prepare(source, output, preprocessing, foreground=None, max_cases=None, split_seed=0, skip_bad=False, track=list):
    """Prepare a task for training.

    Args:
        source: Folder in Decathlon layout, or a `.tar` of one.
        output: Folder to write.
        preprocessing: `Preprocessing`. If its slices are not resized, smaller ones are padded to the largest of the
            dataset, so that slices of all cases can share a batch.
        foreground: Label values that make the one foreground class, as `{1, 2}`; `None` keeps the classes.
        max_cases: Use only this many cases, drawn with `split_seed`.
        split_seed: Of the patient-level split; a Decathlon case is a patient.
        skip_bad: Leave out cases with fatal findings, which the report then names.
        track: Wraps the list of cases, for a progress bar.

    Returns:
        The `Prepared` folder.

    Raises:
        BadDataset: With the report on all cases, if one has a fatal finding and `skip_bad` is not set.
    """
    source = Path(source)
    provenance, origin = {"archive": source.name}, {"official_archive": None}
    if source.is_file():
        unpacked = Path(output).parent / "unpacked" / source.name.removesuffix(".tar")
        provenance["archive_sha256"] = sha256(source)
        origin = check_archive(source)
        if not unpacked.exists():
            extract_tar(source, unpacked)
        folder = find_task(unpacked)
    else:
        folder = find_task(source)
    cases, labels = read_cases(folder)
    if max_cases is not None and max_cases < len(cases):
        chosen = np.random.default_rng(split_seed).permutation(len(cases))[:max_cases]
        cases = [cases[index] for index in sorted(chosen)]
    unknown = set(foreground or ()) - set(labels)
    if unknown:
        raise BadDataset(f"`foreground` names the labels {sorted(unknown)}; {folder.name} has {labels}.")
    preprocessing = _with_canvas(preprocessing, cases)
    config = {
        "name": folder.name,
        "source": provenance,
        "labels": {str(value): name for value, name in labels.items()},
        "foreground": sorted(foreground) if foreground else None,
        "max_cases": max_cases,
        "split_seed": split_seed,
        "preprocessing": json.loads(preprocessing.to_json()),
        "description_sha256": sha256(folder / "dataset.json"),
    }
    writer = Writer(output, config)
    report, good, digests = Report(cases=len(cases)), [], {}
    for case in track(cases):
        findings, digest = _prepare_case(case, labels, foreground, preprocessing, writer)
        if digest is not None and digest in digests:
            findings.append(Finding(case.name, "duplicate_image", f"The same image as {digests[digest]}."))
        digests.setdefault(digest, case.name)
        report.findings += findings
        if not any(finding.severity == FATAL for finding in findings):
            good.append(case.name)
    report.write(writer.partial)
    if report.fatal and not skip_bad:
        raise BadDataset(
            f"{len(cases) - len(good)} of {len(cases)} cases cannot be used. Mend them, or leave them out with "
            f"--skip-bad.\n{report.to_text()}"
        )
    return writer.finish(split_patients(good, split_seed), report, origin)


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


def _prepare_case(case, labels, foreground, preprocessing, writer):
    """Check and write one case. Returns its findings and a digest of its image, `None` if it cannot be read."""
    record = writer.record(case.name)
    if record is not None:
        return [Finding(case.name, *finding) for finding in record["notes"]["findings"]], record["notes"]["digest"]
    findings, scans = [], []
    for path in (case.image, case.label):
        try:
            scans.append(read_nifti(path))
        except BadScan as error:
            findings.append(Finding(case.name, error.code, str(error)))
    if findings:
        return findings, None
    image, label = scans
    findings = check_pair(case.name, image, label, labels)
    digest = hashlib.sha256(np.ascontiguousarray(image.voxels)).hexdigest()
    if any(finding.severity == FATAL for finding in findings):
        return findings, digest
    classes = np.rint(label.voxels).astype("uint8")
    if foreground:
        classes = np.isin(classes, sorted(foreground)).astype("uint8")
    network_image, _ = preprocessing.image(image.voxels, image.affine)
    mask = preprocessing.mask(classes, image.affine)
    spacing = dict(zip(("spacing_x_mm", "spacing_y_mm", "spacing_z_mm"), image.zooms))
    notes = {"digest": digest, "findings": [[finding.code, finding.detail] for finding in findings]}
    writer.add(case.name, network_image, mask, spacing, notes)
    return findings, digest


def _case_name(image):
    return PurePosixPath(image).name.removesuffix(".gz").removesuffix(".nii")


def _inside(folder, entry):
    path = PurePosixPath(entry)
    if path.is_absolute() or ".." in path.parts:
        raise BadDataset(f"{folder.name}/dataset.json names {entry!r}, which leads out of the folder.")
    return folder.joinpath(*path.parts)


def _natural(name):
    """`spleen_9` before `spleen_10`."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _with_canvas(preprocessing, cases):
    """The preprocessing with a canvas that holds the slices of every case, if slices keep their size."""
    if preprocessing.size is not None or preprocessing.canvas is not None:
        return preprocessing
    sides = []
    for case in cases:
        try:
            sides.append(preprocessing.slice_shape(*read_geometry(case.image)))
        except BadScan:
            continue  # Reported when the case is read.
    if not sides:
        return preprocessing
    height, width = (max(side) for side in zip(*sides))
    return dataclasses.replace(preprocessing, canvas=(height, width))
