"""The record of a cell: what it was run with, where, on what, and what came out. Written whole or not at all."""

import csv
import datetime
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

from data_prep.prepared import write_text

PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "scipy", "nibabel", "opencv-python-headless")


def digest(config):
    """sha256 of a configuration of JSON types. The row's name is no part of it: tables share cells."""
    plain = {key: value for key, value in config.items() if key != "row"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def is_finished(folder, config):
    """Whether `folder` holds the whole record of a run with this configuration."""
    return _read(Path(folder) / "provenance.json").get("config_sha256") == digest(config)


def is_trained(folder, training):
    """Whether `folder` holds the whole record of a training with this configuration, weights not considered."""
    return _read(Path(folder) / "training.json").get("training_sha256") == digest(training)


def find_cell(results, config):
    """Folder of a finished cell of any table with this configuration, or `None`."""
    found = (path.parent for path in sorted(Path(results).glob("*/*/*/provenance.json")))
    return next((folder for folder in found if is_finished(folder, config)), None)


def find_training(results, training, weights):
    """Folder of a cell of any table that was trained like this and has the file `weights`, or `None`."""
    found = (path.parent for path in sorted(Path(results).glob("*/*/*/training.json")))
    return next((folder for folder in found if (folder / weights).exists() and is_trained(folder, training)), None)


def share(cell, folder, row):
    """Put the record of `cell`, of another table or row, into `folder`; it says where it was made."""
    last = ("training.json", "provenance.json")  # Whoever is killed before them leaves no record.
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(cell, folder, ignore=shutil.ignore_patterns("training", *last))
    config, training, provenance = (_read(Path(cell) / name) for name in ("config.json", *last))
    write_text(folder / "config.json", json.dumps({**config, "row": row}, indent=2) + "\n")
    if training:
        write_text(folder / "training.json", json.dumps(training, indent=2) + "\n")
    provenance = {"shared_with": name_of(cell), **provenance}
    write_text(folder / "provenance.json", json.dumps(provenance, indent=2) + "\n")


def name_of(cell):
    """Table, run and cell, as they stand below the folder of results."""
    return "/".join(Path(cell).parts[-3:])


def write_training(folder, training, history, seconds):
    """Write what a training was and how it went, last of its files."""
    write_csv(Path(folder) / "history.csv", history)
    content = {"training_sha256": digest(training), **_made(seconds)}
    write_text(Path(folder) / "training.json", json.dumps(content, indent=2) + "\n")


def write(folder, config, tables, seconds, data):
    """Write a record.

    Args:
        folder: Of the cell.
        config: What decides the result, JSON types.
        tables: `{file name: list of dictionaries}`, written as CSV.
        seconds: Duration, without the training.
        data: `Prepared`, for its fingerprint.
    """
    folder = Path(folder)
    for name, rows in tables.items():
        write_csv(folder / name, rows)
    write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")
    provenance = {"config_sha256": digest(config), "data": f"sha256:{data.fingerprint}", **_made(seconds)}
    # Last: a folder without it is no record.
    write_text(folder / "provenance.json", json.dumps(provenance, indent=2) + "\n")


def _made(seconds):
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"seconds": round(seconds, 1), "finished": now, **machine()}


def _read(path):
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def machine():
    """Code, packages and hardware of this process."""
    import keras

    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    commit, changed = _git()
    return {
        "commit": commit,
        "uncommitted_changes": changed,
        "backend": keras.backend.backend(),
        "python": platform.python_version(),
        "packages": versions,
        "hardware": _hardware(),
    }


def write_csv(path, rows):
    """Write dictionaries of one set of keys as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(Path(path), text.getvalue())


def _git():
    """Commit and whether tracked files differ from it; `(None, None)` outside a checkout."""
    try:
        here = Path(__file__).parent
        run = {"cwd": here, "capture_output": True, "text": True, "check": True}
        commit = subprocess.run(["git", "rev-parse", "HEAD"], **run).stdout.strip()
        code = ["keras_uq", "data_prep", "experiments"]
        changed = subprocess.run(["git", "status", "--porcelain", "--", *[f":/{name}" for name in code]], **run).stdout
        return commit, bool(changed.strip())
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _hardware():
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            name = next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    import keras

    gpus = [device for device in keras.distribution.list_devices() if "cpu" not in device]
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS")
    limited = {"threads": int(threads)} if threads else {}
    return {"cpu": name, "cores": os.cpu_count(), **limited, "accelerators": gpus}
