"""Checks of the arguments of `keras-uq predict` that import nothing large and take milliseconds."""

import argparse
import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_uq import files
from keras_uq._screen import one_line
from keras_uq.files.writing import PREFIX
from keras_uq.inference import sidecar
from keras_uq.inference.model_archive import opened

# Options that do nothing without dropout.
OF_DROPOUT = {"samples": "--samples", "seed": "--seed", "independent_masks": "--independent-masks"}


def check_options(options: argparse.Namespace) -> None:
    """Refuse options that do nothing beside the others."""
    idle = [name for field, name in OF_DROPOUT.items() if getattr(options, field) is not None]
    if options.deterministic and idle:
        raise ValueError(f"{idle[0]} does nothing with --deterministic, which predicts without dropout. Give only one.")


def check_json(path: Path) -> None:
    """Find out whether a file is there and holds JSON. What the JSON says is checked later."""
    if not path.is_file():
        raise ValueError(f"There is no JSON file {path}.")
    files.read(path)


def stamps_of(models: Sequence[str]) -> list[dict[str, Any]]:
    """Return what identifies the content of the model files, each different, before they are loaded."""
    stamps = {}
    for path in map(Path, models):
        with opened(path):
            if path.suffix != ".keras":
                raise ValueError(f"{path} does not end in .keras, by which Keras knows its models. Rename it.")
        stamp = files.stamp(path)
        twin = next((other for other, noted in stamps.items() if noted["sha256"] == stamp["sha256"]), None)
        if twin is not None:
            raise ValueError(
                f"--model {path} and --model {twin} are the same model. Members of an ensemble must differ; "
                "for more samples of one model, use --samples."
            )
        stamps[path] = stamp
    return [{"file": path.name, **stamp} for path, stamp in stamps.items()]


def scans_to_predict(image: Path, out_dir: Path) -> list[Path]:
    """Return the scans of `--image`, without the maps of earlier predictions among them."""
    if image.is_dir():
        # Some archives contain a hidden macOS file for each scan, named ._scan.nii.gz.
        scans = sorted(
            file
            for file in image.iterdir()
            if file.name.endswith((".nii", ".nii.gz")) and not file.name.startswith(".")
        )
        maps = set(filter(sidecar.is_map, scans))
        scans = [scan for scan in scans if scan not in maps]
        if maps:
            print(one_line(f"{len(maps)} maps of earlier predictions in {image} are not predicted as scans."))
        if not scans:
            raise ValueError(f"{image} contains no .nii or .nii.gz scan.")
    elif image.is_file():
        scans = [image]
        if sidecar.is_map(image):
            raise ValueError(f"{image} is a map of an earlier prediction. Give the scan itself.")
    else:
        raise ValueError(f"There is no scan or folder {image}.")
    _check_outputs(scans, out_dir)
    return scans


def _check_outputs(scans, out_dir):
    """Refuse scans if the maps of one would replace those of another, or another scan."""
    names, inputs, folder = {}, {os.path.realpath(scan) for scan in scans}, os.path.realpath(out_dir)
    for scan in scans:
        other = names.setdefault(sidecar.scan_name(scan), scan)
        if other is not scan:
            raise ValueError(
                f"The maps of {other.name} and of {scan.name} would have the same names. Rename one scan, or predict "
                "them into two folders."
            )
    for scan in scans:
        for path in (sidecar.map_path(scan, folder, name) for name in sidecar.MAPS):
            if str(path) in inputs:
                raise ValueError(
                    f"A map of {scan.name} would replace the scan {path}. Choose another --out. If the file is a map "
                    "that an interrupted prediction left, remove it."
                )


@contextlib.contextmanager
def writable(out_dir: Path) -> Iterator[Path]:
    """Yield the output folder, which can be written. If nothing is written to a new folder, it is removed again."""
    new = not out_dir.exists()
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        files.sweep(out_dir)
        probe = out_dir / f"{PREFIX}{files.process_name()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"The output folder {out_dir} cannot be written ({error.strerror or error}).") from error
    try:
        yield out_dir
    finally:
        if new:
            with contextlib.suppress(OSError):
                out_dir.rmdir()
