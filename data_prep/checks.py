"""Check image and label of each case, and collect the findings on all cases in one report."""

import collections
import json
import os
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np

from data_prep.alignment import find_distance
from keras_uq._kinds import Anything, Choice, Integer, Items, Text
from keras_uq.files import check, parse, write_text
from keras_uq.preprocessing import BadScan, Scan

# Severity of each kind of finding, and how to repair it. A case with a fatal finding cannot be used.
FATAL, WARNING = "fatal", "warning"
KINDS = {
    "missing": (FATAL, "Restore the file from the archive, or take the case out of its list."),
    "unreadable": (FATAL, "Look at the file; it is not the kind of file that it should be."),
    "truncated": (FATAL, "Extract the file again; the copy ends early or is damaged."),
    "bad_rank": (FATAL, "Save the scan as (x, y, z) or (x, y, z, channels)."),
    "bad_dims": (FATAL, "Write the header again; an axis has no voxel."),
    "several_volumes": (FATAL, "Put each volume into a series, or a file, of its own."),
    "bad_zooms": (FATAL, "Write the header again with the voxel size in millimetres."),
    "bad_affine": (FATAL, "Write the header again with a finite, invertible affine."),
    "bad_dtype": (FATAL, "Save the scan as integers or real numbers."),
    "too_large": (FATAL, "Crop the scan, or raise the limit if the size is right."),
    "picture_kind": (FATAL, "Save it as PNG with 8 bits a channel, in grey or RGB, one picture, not turned."),
    "mask_values": (FATAL, "Save the mask in grey: 0 for background, 255 for foreground."),
    "shape_mismatch": (FATAL, "Resample the label to the image's grid (nearest neighbour)."),
    "spacing_mismatch": (FATAL, "Resample the label to the image's grid, or copy the image's header."),
    "label_channels": (FATAL, "Save the label as one volume of class numbers."),
    "label_not_integer": (FATAL, "Save the label as integers; it looks resampled with interpolation."),
    "label_not_finite": (FATAL, "Write the label again; it holds NaN or infinity."),
    "label_values": (FATAL, "Renumber the classes from 0 to 255, or merge them into one foreground (`foreground`)."),
    "unknown_label": (FATAL, "Add the value to `labels` of dataset.json, or mend the label."),
    "image_not_finite": (FATAL, "Replace NaN and infinity, for instance by the air value."),
    "image_constant": (FATAL, "Restore the image: every voxel has one value."),
    "apart_in_space": (FATAL, "Take image and label of one scan, or mend the affine of the one that is wrong."),
    "failed": (FATAL, "Look at the files of the case."),
    "label_off_organ": (FATAL, "Take image and label of one release; one of them is flipped or of another scan."),
    "label_uneven": (WARNING, "Look at the case: a flipped label would lie on more even tissue."),
    "affine_mismatch": (WARNING, "Image and label are paired voxel by voxel; look at the case."),
    "label_turned": (WARNING, "The label is stored in another orientation; it is turned by its affine."),
    "affine_zooms": (WARNING, "The affine's voxel size is not the header's; the header's is used."),
    "unit_spacing": (WARNING, "Compare with the original scan: a voxel of exactly 1 mm may be a lost spacing."),
    "label_empty": (WARNING, "The label has no foreground; the case counts as an empty one."),
    "duplicate_image": (WARNING, "Two cases hold the same image; make sure that they fall into one set."),
}


# Labels that are stored as floats may be this far from integers.
ROUNDING = 1e-3


@dataclass(frozen=True)
class Finding:
    """A problem of one case. `code` is a key of `KINDS`."""

    case: str
    code: str
    detail: str

    @property
    def severity(self) -> str:
        """Either `"fatal"` or `"warning"`."""
        return KINDS[self.code][0]

    @property
    def mend(self) -> str:
        """How to repair the problem."""
        return KINDS[self.code][1]


class Report:
    """The findings on all cases.

    Args:
        findings: The findings.
        cases: Number of cases that were checked.
    """

    def __init__(self, findings: Iterable[Finding] = (), cases: int = 0) -> None:
        self.findings = list(findings)
        self.cases = cases

    @property
    def fatal(self) -> list[Finding]:
        """The fatal findings."""
        return [finding for finding in self.findings if finding.severity == FATAL]

    def to_json(self) -> str:
        """Return the report as JSON text."""
        findings = [{**asdict(f), "severity": f.severity, "mend": f.mend} for f in self.findings]
        return json.dumps({"cases": self.cases, "fatal": len(self.fatal), "findings": findings}, indent=2)

    def to_text(self, shortest: int | None = None) -> str:
        """Return the report as readable text, one line per finding, with fatal findings first.

        Args:
            shortest: More findings than this that only differ in names and numbers share one line; `None` for a line
                each.
        """
        lines = [f"{self.cases} cases checked: {len(self.fatal)} fatal findings, {len(self.findings)} in all."]
        alike = {}
        for finding in sorted(self.findings, key=lambda f: (f.severity != FATAL, f.case, f.code)):
            alike.setdefault(_pattern(finding), []).append(finding)
        for findings in alike.values():
            first = findings[0]
            if shortest is not None and len(findings) > shortest:
                names = f"{len(findings)} cases ({', '.join(finding.case for finding in findings[:3])}, ...)"
                lines.append(f"{first.severity:7}  {names}  {first.code}: {first.detail} {first.mend}")
                continue
            for finding in findings:
                lines.append(f"{finding.severity:7}  {finding.case}  {finding.code}: {finding.detail} {finding.mend}")
        return "\n".join(lines) + "\n"

    def summary(self) -> str:
        """Return one line about the warnings, with their numbers and the worst of them; empty if there is none."""
        warnings = [finding for finding in self.findings if finding.severity == WARNING]
        if not warnings:
            return ""
        order = list(KINDS)
        worst = min(warnings, key=lambda finding: order.index(finding.code))
        numbers = collections.Counter(finding.code for finding in warnings)
        counted = ", ".join(f"{code} {numbers[code]}" for code in order if code in numbers)
        cases = len({finding.case for finding in warnings})
        return (
            f"{cases} of {self.cases} cases have warnings: {counted}. The worst, {worst.case}, {worst.code}: "
            f"{worst.detail} {worst.mend}"
        )

    def write(self, folder: str | os.PathLike) -> None:
        """Write `report.json` and `report.txt`."""
        write_text(Path(folder) / "report.json", self.to_json())
        write_text(Path(folder) / "report.txt", self.to_text())

    @classmethod
    def from_json(cls, text: str | bytes, source: str | os.PathLike = "report.json") -> Self:
        """Return the report that `to_json` wrote. Raises `BadFile`, which names the `source`, if it is damaged."""
        table = {"cases": Integer(least=0), "findings": Items(Anything())}
        content = check(parse(text, source), table, source, others=True)
        table = {"case": Text(), "code": Choice(*KINDS), "detail": Text()}
        findings = [check(entry, table, f"{source}, `findings`", others=True) for entry in content["findings"]]
        return cls([Finding(**finding) for finding in findings], content["cases"])

    @classmethod
    def read(cls, folder: str | os.PathLike) -> Self:
        """Read the report of a prepared folder. Raises `BadFile` if it is damaged, `OSError` if there is none."""
        path = Path(folder) / "report.json"
        return cls.from_json(path.read_bytes(), path)


def _pattern(finding):
    """What findings that only differ in names and numbers have in common."""
    detail = finding.detail.replace(finding.case, "#")
    return finding.code, re.sub(r"[0-9a-f]*\d[\w.+-]*", "#", detail)


def check_pair(
    case: str, image: Scan, label: Scan, labels: Collection[int], modality: str, in_space: bool = True
) -> list[Finding]:
    """Check image and label of one case.

    Args:
        case: Name of the case.
        image: `Scan` of the image.
        label: `Scan` of the label.
        labels: Allowed label values.
        modality: Modality of the archive.
        in_space: Whether affines of labels say where the label lies (see `find_distance`).

    Returns:
        The findings.
    """
    findings = []

    def find(code, detail):
        findings.append(Finding(case, code, detail))

    if label.voxels.ndim != 3:
        find("label_channels", f"The label has shape {label.voxels.shape}.")
    elif image.voxels.shape[:3] != label.voxels.shape:
        find("shape_mismatch", f"Image {image.voxels.shape[:3]}, label {label.voxels.shape}.")
    if not np.allclose(image.zooms, label.zooms, rtol=1e-3):
        find("spacing_mismatch", f"Image {_numbers(image.zooms)} mm, label {_numbers(label.zooms)} mm.")
    else:
        find_distance(image, label, find, in_space)
    if not np.allclose(image.zooms, image.affine_zooms, rtol=1e-2):
        find("affine_zooms", f"Header {_numbers(image.zooms)} mm, affine {_numbers(image.affine_zooms)} mm.")
    if modality == "CT" and np.all(image.zooms == np.ones(3)):
        find("unit_spacing", "Every side of a voxel is exactly 1 mm, which no CT scanner writes.")
    find_image(image.voxels, find)
    find_label(label.voxels, labels, find)
    return findings


def find_image(voxels: np.ndarray, find: Callable[[str, str], None]) -> None:
    """Call `find(code, detail)` for an image that is constant or not finite."""
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        find("image_not_finite", f"{np.count_nonzero(~np.isfinite(voxels))} voxels are NaN or infinite.")
    elif voxels.min() == voxels.max():
        find("image_constant", f"Every voxel is {voxels.flat[0]}.")


def find_label(voxels: np.ndarray, labels: Collection[int], find: Callable[[str, str], None]) -> None:
    """Call `find(code, detail)` for a label that is empty or has values that are not declared classes."""
    try:
        voxels = rounded(voxels, "The label")
    except BadScan as error:
        find(error.code, str(error))
        return
    present = {int(value) for value in np.unique(voxels)}
    if not present <= set(labels):
        unknown = sorted(present - set(labels))
        more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
        find("unknown_label", f"Values {unknown[:10]}{more}; declared are {sorted(labels)}.")
    if present == {0}:
        find("label_empty", "Every voxel is background.")


def rounded(voxels: np.ndarray, name: str) -> np.ndarray:
    """Return class numbers as integers, wide enough for any value.

    Some archives store classes as floats, with the rounding error of the scale factor. Interpolated labels, which are
    an error, lie far from integers.

    Raises:
        BadScan: With the code `label_not_finite` or `label_not_integer`; the message begins with `name`.
    """
    if voxels.dtype.kind != "f":
        return voxels
    if not np.isfinite(voxels).all():
        number = np.count_nonzero(~np.isfinite(voxels))
        raise BadScan("label_not_finite", f"{name} holds {number} voxels that are NaN or infinite.")
    integers = np.rint(voxels)
    off = np.abs(voxels - integers).max()
    if off > ROUNDING or np.abs(integers).max() > 2**53:
        raise BadScan("label_not_integer", f"{name} holds a value that is {off:.3g} away from an integer.")
    return integers.astype("int64")


def _numbers(values):
    return " x ".join(f"{value:.4g}" for value in values)
