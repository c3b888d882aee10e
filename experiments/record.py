"""The record of a cell: what it was run with, where, on what, and what came out. Written whole or not at all."""

import csv
import datetime
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import subprocess
from pathlib import Path

from data_prep.prepared import write_text

PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "scipy", "nibabel", "opencv-python-headless")


def digest(config):
    """sha256 of a configuration of JSON types."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def is_finished(folder, config):
    """Whether `folder` holds the whole record of a run with this configuration."""
    try:
        provenance = json.loads((Path(folder) / "provenance.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return provenance.get("config_sha256") == digest(config)


def write(folder, config, tables, seconds, data):
    """Write a record.

    Args:
        folder: Of the cell.
        config: What decides the result, JSON types.
        tables: `{file name: list of dictionaries}`, written as CSV.
        seconds: Duration.
        data: `Prepared`, for its fingerprint.
    """
    folder = Path(folder)
    for name, rows in tables.items():
        write_csv(folder / name, rows)
    write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")
    provenance = {
        "config_sha256": digest(config),
        "data": f"sha256:{data.fingerprint}",
        "seconds": round(seconds, 1),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **machine(),
    }
    # Last: a folder without it is no record.
    write_text(folder / "provenance.json", json.dumps(provenance, indent=2) + "\n")


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
    return {"cpu": name, "cores": os.cpu_count(), "accelerators": gpus}
