"""The record of a cell: written whole, checked when read.

A cell's folder holds its record (`config.json`, tables, and `provenance.json` with the sha256 of each of them, written
last) and, where it was trained, what is too large to be committed: weights, model, panels, probabilities. Whatever is
too large may be absent; whatever is recorded must be what it was.
"""

import contextlib
import datetime
import functools
import hashlib
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np

from experiments.csv_cells import write_csv
from experiments.fields import CONFIG, PROVENANCE, TRAINING, DamagedRecord, checked
from experiments.machine import machine
from experiments.recorded import digest
from keras_uq.files import BadFile, gibibytes, max_memory, parse, read, sha256, write_text

# Not recorded: too large to be committed, and made again from a training.
LARGE = (".keras", ".weights.h5", "panels.npz")
REMEDY = "Restore it, or remove the cell's folder to run the cell again."


class Record:
    """The record of a cell, each file read once and compared with its sha256.

    Raises:
        FileNotFoundError: If the folder holds no record.
        DamagedRecord: If its provenance cannot be read.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self._bytes = {}
        path = self.folder / "provenance.json"
        try:
            provenance = read(path)
        except BadFile as error:
            raise DamagedRecord(f"{error} {REMEDY}") from None
        self.provenance = checked(provenance, PROVENANCE, path, REMEDY)
        self.digest = provenance["config_sha256"]

    @functools.cached_property
    def config(self):
        """What decided the cell. Raises `DamagedRecord` if it is not the configuration of the record's digest."""
        config = checked(self.json("config.json"), CONFIG, self.folder / "config.json", REMEDY)
        if digest(config) != self.digest:
            raise DamagedRecord(
                f"{self.folder / 'config.json'} is not the configuration of its provenance.json: their sha256 differ. "
                f"{REMEDY}"
            )
        return config

    @functools.cached_property
    def training(self):
        """How the training went, `None` for a cell that was made from others."""
        if self.config["training"] is None:
            return None
        path = self.folder / "training.json"
        training = checked(self.json("training.json"), TRAINING, path, REMEDY)
        if training["training_sha256"] != digest(self.config["training"]):
            raise DamagedRecord(f"{path} is of another training than config.json: their sha256 differ. {REMEDY}")
        return training

    @property
    def row(self):
        return self.config["row"]

    @property
    def seed(self):
        return self.config["seed"]

    @property
    def seconds(self):
        """Of training and prediction."""
        return self.provenance["seconds"] + (self.training["seconds"] if self.training else 0)

    def has(self, name):
        """Whether a file is part of the record."""
        return name in self.provenance["files"]

    def read(self, name):
        """The bytes of a file of the record. Raises `DamagedRecord` if it is gone or is not what it was."""
        if name not in self._bytes:
            expected = self.provenance["files"].get(name)
            if expected is None:
                raise DamagedRecord(f"{self.folder / 'provenance.json'} names no {name}. {REMEDY}")
            path = self.folder / name
            if not path.is_file():
                raise DamagedRecord(f"{path} is {'no regular file' if path.exists() else 'gone'}. {REMEDY}")
            if path.stat().st_size > max_memory():
                raise DamagedRecord(f"{path} has {gibibytes(path.stat().st_size)}, which no record has. {REMEDY}")
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != expected:
                raise DamagedRecord(f"{self.folder / name} was changed after it was written. {REMEDY}")
            self._bytes[name] = content
        return self._bytes[name]

    def json(self, name):
        """The value of a JSON file of the record."""
        try:
            return parse(self.read(name), self.folder / name)
        except BadFile as error:
            raise DamagedRecord(f"{error} {REMEDY}") from None

    def check(self):
        """Read all files and compare all digests. Raises `DamagedRecord`, naming the first file that was changed."""
        for name in self.provenance["files"]:
            self.read(name)
        _ = self.config, self.training
        return self


def sums(folder):
    """`{file: sha256}` of what is recorded of a cell."""
    recorded = (path for path in sorted(Path(folder).iterdir()) if path.is_file())
    return {path.name: sha256(path) for path in recorded if path.name != "provenance.json" and not is_large(path.name)}


def is_large(name):
    """Whether a file is too large to be recorded."""
    return name.endswith(LARGE) or name.startswith(".")


def name_of(cell):
    """Table, run and cell, as they stand below the folder of results."""
    return "/".join(Path(cell).parts[-3:])


def is_trained(folder, digest):
    """Whether `folder` holds a whole training with this digest."""
    return read_json(Path(folder) / "training.json").get("training_sha256") == digest


def write_training(folder, digest, history, seconds):
    """Write what a training was and how it went, last of its files."""
    write_csv(Path(folder) / "history.csv", history)
    weights = {path.name: sha256(path) for path in sorted(Path(folder).glob("*.weights.h5"))}
    write_json(Path(folder) / "training.json", {"training_sha256": digest, **made(seconds), "weights": weights})


def made(seconds):
    """When, in how many seconds and with what something was made, JSON types."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"seconds": round(seconds, 1), "finished": now, **machine()}


def write_json(path, content):
    """Write JSON types, readable."""
    write_text(Path(path), json.dumps(content, indent=2) + "\n")


def read_json(path):
    """The object in a JSON file; an empty one if there is none or it is damaged."""
    try:
        value = read(path)
    except (OSError, BadFile):
        return {}
    return value if isinstance(value, dict) else {}


@contextlib.contextmanager
def open_arrays(path):
    """Open an `.npz` file of ours. Raises `DamagedRecord` if it cannot be read."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            yield arrays
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        raise DamagedRecord(f"{path} cannot be read ({error}). Restore it, or remove it.") from None
