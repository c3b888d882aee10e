"""The JSON file beside the maps of a scan: what they were made from, and whether they still are those.

This module imports nothing large, so that the command can use it before it imports Keras.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_uq import _kinds
from keras_uq._version import __version__
from keras_uq.files import BadFile, check, read, stamp

MAPS = ("mean", "mask", "entropy", "std", "variance", "mutual_information")
ENDING = "_uncertainty.json"
# What `read_sidecar` returns of a file. `quality` is absent without a quality card.
RECORD = _kinds.Mapping(_kinds.Anything())
TABLE = {
    "scan": _kinds.Text(),
    "predictor": RECORD,
    "preprocessing": RECORD,
    "models": _kinds.Maybe(_kinds.Items(RECORD)),
    "maps": _kinds.Mapping(_kinds.Text()),
    "stamps": RECORD,
    "versions": RECORD,
    "quality": _kinds.Items(RECORD),
    "quality_card": RECORD,
}
REVIEW = {"class": _kinds.Integer(), "flag": _kinds.Flag(), "why": _kinds.Text()}


def scan_name(path: str | os.PathLike) -> str:
    """Return the file name of a scan without `.nii` or `.nii.gz`."""
    return Path(path).name.removesuffix(".gz").removesuffix(".nii")


def map_path(path: str | os.PathLike, out_dir: str | os.PathLike, name: str) -> Path:
    """Return the path of one map of a scan."""
    return Path(out_dir) / f"{scan_name(path)}_{name}.nii.gz"


def sidecar_path(path: str | os.PathLike, out_dir: str | os.PathLike) -> Path:
    """Return the path of the JSON file that is written after the maps of a scan."""
    return Path(out_dir) / f"{scan_name(path)}{ENDING}"


def read_sidecar(path: str | os.PathLike) -> dict[str, Any]:
    """Return the fields of a JSON file beside maps (see `TABLE`).

    Raises:
        BadFile: If it is damaged, or of a version that noted less.
        OSError: If it cannot be read.
    """
    record = check(read(path), TABLE, path, optional=("quality", "quality_card"), others=True)
    for number, line in enumerate(record.get("quality", ()), start=1):
        check(line, REVIEW, f"{path}, entry {number} of `quality`", others=True)
    return record


def is_current(
    record: Mapping[str, Any],
    scan: str | os.PathLike,
    out_dir: str | os.PathLike,
    models: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
) -> bool:
    """Whether the maps of a scan are there, and are what would be predicted today.

    Contents are compared by their sha256, which is taken again where size, times or inode of a file have changed.

    Args:
        record: What `read_sidecar` returned.
        scan: The scan.
        out_dir: Folder of the maps.
        models: Stamps of the model files.
        settings: `predictor`, `preprocessing` and `quality_card` (or `None`), as the JSON file would hold them.
    """
    if {name: record.get(name) for name in settings} != dict(settings):
        return False
    if record["versions"].get("keras_uq") != __version__ or _sums(record["models"]) != _sums(models):
        return False
    stamps = record["stamps"]
    maps = stamps.get("maps") if isinstance(stamps.get("maps"), dict) else {}
    files = {name: map_path(scan, out_dir, name) for name in MAPS}
    if record["maps"] != {name: file.name for name, file in files.items()}:
        return False
    expected = {scan: stamps.get("scan"), **{files[name]: maps.get(name) for name in MAPS}}
    return all(map(_is_same, expected, expected.values()))


def is_map(path: str | os.PathLike) -> bool:
    """Whether a file is a map of an earlier prediction: the JSON file beside it says so."""
    path = Path(path)
    for name in MAPS:
        stem, ending, rest = path.name.rpartition(f"_{name}.nii.gz")
        if ending and not rest:
            try:
                record = read(path.with_name(f"{stem}{ENDING}"))
            except (BadFile, OSError):
                continue
            maps = record.get("maps") if isinstance(record, dict) else None
            if isinstance(maps, dict) and path.name in maps.values():
                return True
    return False


def _sums(stamps):
    return None if stamps is None else [entry.get("sha256") for entry in stamps]


def _is_same(path, noted):
    """Whether a file has the content that was noted."""
    if not isinstance(noted, dict) or not Path(path).is_file():
        return False
    try:
        return stamp(path, noted)["sha256"] == noted.get("sha256")
    except OSError:
        return False
