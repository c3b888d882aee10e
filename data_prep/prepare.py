"""Prepare an archive for training: open it, check it, apply the preprocessing, and split its cases."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import nibabel
import numpy as np

from data_prep import decathlon, pictures
from data_prep.alignment import turned
from data_prep.archive import BadDataset
from data_prep.checks import FATAL, KINDS, Finding, Report, check_pair, rounded
from data_prep.prepared import Prepared, Writer
from data_prep.sources import Content, archives_of, open_source
from keras_uq._kinds import shown
from keras_uq.files import write_text
from keras_uq.preprocessing import BadScan, Preprocessing

# More findings than this that are alike share one line on the screen.
ALIKE = 10


def prepare(
    source: str | os.PathLike,
    output: str | os.PathLike,
    preprocessing: Preprocessing,
    foreground: Collection[int] | None = None,
    max_cases: int | None = None,
    split: str | None = None,
    split_seed: int = 0,
    skip_bad: bool = False,
    same_size: bool = True,
    track: Callable[[Iterable], Iterable] = list,
) -> Prepared:
    """Prepare an archive for training.

    Args:
        source: Archive or folder, as in `open_source`.
        output: Folder to write.
        preprocessing: The `Preprocessing`. If it neither resizes nor crops slices, all slices are padded to the largest
            one of the dataset, so that slices of different cases can share a batch.
        foreground: Label values that are merged to one foreground class, such as `{1, 2}`; `None` keeps the classes.
        max_cases: Largest number of cases to use, drawn with `split_seed`; `None` uses all.
        split: Name of one of the splits of the archive; by default its first one.
        split_seed: Random seed of the split.
        skip_bad: Whether to skip cases with fatal findings instead of failing. The report names them.
        same_size: Whether to pad slices to equal size; with `False` each case keeps its size.
        track: Function that wraps the list of cases, for a progress bar.

    Returns:
        The `Prepared` folder.

    Raises:
        BadDataset: If a case has a fatal finding and `skip_bad` is not set. The message contains the report on all
            cases.
    """
    source, unpacked = Path(source), Path(output).parent / "unpacked"
    archive = open_source(source, unpacked)
    provenance, origin = {"archive": source.name}, {"official_archive": None}
    if source.is_file():
        provenance["archive_sha256"] = Content(source, unpacked).digest
    for file in archives_of(source):
        checked = pictures.check_archive(file, archive.name) if archive.pictures else decathlon.check_archive(file)
        # The data are not official if any of the files is not.
        origin = origin if origin["official_archive"] is False else checked
    cases, labels = archive.cases, archive.labels
    if max_cases is not None and max_cases < len(cases):
        chosen = np.random.default_rng(split_seed).permutation(len(cases))[:max_cases]
        cases = [cases[index] for index in sorted(chosen)]
    unknown = set(foreground or ()) - (set(labels) - {0})
    if unknown:
        raise BadDataset(
            f"`foreground` names the labels {sorted(unknown)}; {archive.name} has {labels}, of which 0 is background."
        )
    if split is not None and split not in archive.splits:
        raise BadDataset(f"{archive.name} cannot be split by {split!r}. Available splits: {', '.join(archive.splits)}.")
    if archive.pictures and preprocessing.size is None:
        raise BadDataset(f"The pictures of {archive.name} differ in size: give `size`.")
    if same_size:
        preprocessing = _with_canvas(preprocessing, archive, cases)
    config = {
        "name": archive.name,
        "source": provenance,
        "labels": {str(value): name for value, name in labels.items()},
        "foreground": sorted(foreground) if foreground else None,
        "max_cases": max_cases,
        "split_seed": split_seed,
        "preprocessing": json.loads(preprocessing.to_json()),
        "description_sha256": archive.digest,
    }
    _check_labels(labels, foreground)
    with Writer(output, config) as writer:
        report, good, digests = Report(cases=len(cases)), [], {}
        for case in track(cases):
            findings, digest = _prepare_case(case, archive, foreground, preprocessing, writer)
            if digest is not None and digest in digests:
                findings.append(Finding(case.name, "duplicate_image", f"The same image as {digests[digest]}."))
            digests.setdefault(digest, case.name)
            report.findings += findings
            if not any(finding.severity == FATAL for finding in findings):
                good.append(case)
        if report.fatal and not skip_bad:
            raise BadDataset(
                f"{len(cases) - len(good)} of {len(cases)} cases cannot be used. Repair them, or skip them with "
                f"--skip-bad.\n{_shortened(report, writer.folder)}"
            )
        sets = archive.splits[split or next(iter(archive.splits))](good, split_seed)
        example = next(case for case in cases if case.name == sets["test"][0])
        _write_example(example, archive, preprocessing, foreground, writer.partial / "example.npz")
        return writer.finish(sets, report, origin)


def _shortened(report, folder):
    """The report for the screen. Where it leaves lines out, the whole is written to a file that it names."""
    short = report.to_text(ALIKE)
    if short == report.to_text():
        return short
    path = folder.with_name(f"{folder.name}.report.txt")
    write_text(path, report.to_text())
    return f"{short}All findings: {path}"


def _check_labels(labels, foreground):
    """Refuse label values that the prepared masks could not hold."""
    if min(labels) < 0:
        raise BadDataset(
            f"Label values below 0 are no classes. Received: {shown(sorted(labels))}. Renumber them in the labels."
        )
    if not foreground and (sorted(labels) != list(range(len(labels))) or len(labels) > 256):
        raise BadDataset(
            "Classes that stay apart are numbered 0, 1, 2, ... without gaps, up to 255. Received: "
            f"{shown(sorted(labels))}. Renumber the labels, or merge them into one foreground (`foreground`)."
        )


def _prepare_case(case, archive, foreground, preprocessing, writer):
    """Check and write one case. Returns its findings and the digest of its image (`None` if it cannot be read)."""
    record = writer.record(case.name)
    if record is not None:
        return [Finding(case.name, *finding) for finding in record["notes"]["findings"]], record["notes"]["digest"]
    try:
        findings, scans = _read_case(case, archive)
        if not scans:
            return findings, None
        image, label = scans
        findings += check_pair(case.name, image, label, archive.labels, archive.modality, archive.in_space)
        findings += [Finding(case.name, code, detail) for code, detail in archive.check(image, label)]
        digest = hashlib.sha256(np.ascontiguousarray(image.voxels)).hexdigest()
        if not any(finding.severity == FATAL for finding in findings):
            _write_case(case, archive, foreground, preprocessing, writer, image, label, findings, digest)
        return findings, digest
    except OSError:
        raise  # A full disk is no fault of the case.
    except BadScan as error:
        return [Finding(case.name, error.code if error.code in KINDS else "failed", str(error))], None
    except Exception as error:
        return [Finding(case.name, "failed", f"{type(error).__name__}: {shown(str(error))}.")], None


def _read_case(case, archive):
    """Findings, and image and label, both on the grid of the image; no scans if one cannot be read."""
    findings, scans = [], []
    for read, path, codes in (
        (archive.read_image, case.image, {}),
        (archive.read_label, case.label, {"image_not_finite": "label_not_finite"}),
    ):
        try:
            scans.append(read(path))
        except BadScan as error:
            findings.append(Finding(case.name, codes.get(error.code, error.code), str(error)))
    if findings:
        return findings, []
    image, label = scans
    on_grid = turned(image, label)
    if on_grid is not label:
        codes = ["".join(nibabel.aff2axcodes(scan.affine)) for scan in (label, image)]
        findings.append(Finding(case.name, "label_turned", f"From {codes[0]} to {codes[1]}."))
    return findings, [image, on_grid]


def _write_case(case, archive, foreground, preprocessing, writer, image, label, findings, digest):
    classes = _classes(label, foreground)
    network_image, geometry = preprocessing.image(image.voxels, image.scaled_affine)
    mask = preprocessing.mask(classes, image.scaled_affine)
    full = _full_mask(classes) if archive.pictures else None
    spacing = {}
    if not archive.pictures:
        spacing |= dict(zip(("spacing_x_mm", "spacing_y_mm", "spacing_z_mm"), image.zooms))
        spacing |= dict(zip(("grid_z_mm", "grid_y_mm", "grid_x_mm"), geometry.spacing))
    notes = {"digest": digest, "findings": [[finding.code, finding.detail] for finding in findings]}
    writer.add(case.name, network_image, mask, spacing, notes, full)


def _classes(label, foreground):
    """Class numbers, uint8. Values are compared as they are, before they are narrowed."""
    values = rounded(label.voxels, "The label")
    if foreground:
        return np.isin(values, sorted(foreground)).astype("uint8")
    if values.dtype != np.uint8 and (values.min() < 0 or values.max() > 255):
        raise BadScan("label_values", f"The label holds values from {values.min()} to {values.max()}.")
    return values.astype("uint8")


def _full_mask(classes):
    return np.ascontiguousarray(classes.transpose(2, 1, 0)[..., np.newaxis])


def _write_example(case, archive, preprocessing, foreground, path):
    """Write one slice (the one with most foreground) after each preprocessing step, for visual checks."""
    _, (image, label) = _read_case(case, archive)
    unresized = dataclasses.replace(preprocessing, size=None, canvas=None, crop=None, multiple=1)
    mask = unresized.mask(_classes(label, foreground), image.scaled_affine)[..., 0] > 0
    index = int(np.argmax(mask.sum(axis=(1, 2))))
    stages = {
        "original": dataclasses.replace(unresized, window=None, percentiles=None, zscore=False, median=None),
        "rescaled": dataclasses.replace(unresized, median=None),
        "filtered": unresized,
    }
    slices = {name: steps.image(image.voxels, image.scaled_affine)[0][index, :, :, 0] for name, steps in stages.items()}
    np.savez_compressed(path, case=np.array(case.name), slice=np.array(index), mask=mask[index], **slices)


def _with_canvas(preprocessing, archive, cases):
    """Add a canvas for the largest slice of all cases, unless the preprocessing resizes, pads or crops slices."""
    if any((preprocessing.size, preprocessing.canvas, preprocessing.crop)):
        return preprocessing
    sides = []
    for case in cases:
        try:
            sides.append(preprocessing.slice_shape(*archive.read_geometry(case.image)))
        except Exception:
            continue  # The error, whatever it is, is reported when the case is read.
    if not sides:
        return preprocessing
    height, width = (max(side) for side in zip(*sides))
    return dataclasses.replace(preprocessing, canvas=(height, width))
