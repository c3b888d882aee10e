"""What a result was made with: code, packages, hardware."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import keras

PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "scipy", "nibabel", "opencv-python-headless")
CODE = ("keras_uq", "data_prep", "experiments")


def machine():
    """Code, packages and hardware of this process, JSON types."""
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


def _git():
    """Commit and whether tracked files differ from it; `(None, None)` outside a checkout."""
    try:
        run = {"cwd": Path(__file__).parent, "capture_output": True, "text": True, "check": True}
        commit = subprocess.run(["git", "rev-parse", "HEAD"], **run).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "--", *[f":/{name}" for name in CODE]], **run).stdout
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
    gpus = [device for device in keras.distribution.list_devices() if "cpu" not in device]
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    limited = {"threads": int(threads)} if threads.isdecimal() else {}
    return {"cpu": name, "cores": os.cpu_count(), **limited, "accelerators": gpus}
