"""The record of a cell: written whole, checked when read.

A cell's folder holds its record (`config.json`, tables, and `provenance.json` with the sha256 of each of them, written
last) and, where it was trained, what is too large to be committed: weights, model, panels, probabilities. Whatever is
too large may be absent; whatever is recorded must be what it was.
"""

import csv
import datetime
import functools
import hashlib
import io
import json
from pathlib import Path

from experiments.machine import machine
from keras_uq.files import sha256, write_text

# Not recorded: too large to be committed, and made again from a training.
LARGE = (".keras", ".weights.h5", "panels.npz")
REMEDY = "Restore it, or remove the cell's folder to run the cell again."


class DamagedRecord(ValueError):
    """A record that is not what it was when it was written."""


class Record:
    """The record of a cell, each file read once and compared with its sha256.

    Raises:
        FileNotFoundError: If the folder holds no record.
        DamagedRecord: If its provenance cannot be read.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        text = (self.folder / "provenance.json").read_text()
        try:
            self.provenance = json.loads(text)
            self.digest = self.provenance["config_sha256"]
        except (json.JSONDecodeError, KeyError) as error:
            raise DamagedRecord(f"{self.folder}/provenance.json is damaged ({error}). {REMEDY}") from None
        self._bytes = {}

    @functools.cached_property
    def config(self):
        """What decided the cell."""
        return json.loads(self.read("config.json"))

    @functools.cached_property
    def training(self):
        """How the training went, `None` for a cell that was made from others."""
        return json.loads(self.read("training.json")) if self.has("training.json") else None

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
        files = self.provenance.get("files")
        return (self.folder / name).exists() if files is None else name in files

    def read(self, name):
        """The bytes of a file of the record. Raises `DamagedRecord` if it is gone or is not what it was."""
        if name not in self._bytes:
            try:
                content = (self.folder / name).read_bytes()
            except FileNotFoundError:
                raise DamagedRecord(f"{self.folder / name} is gone. {REMEDY}") from None
            expected = self.provenance.get("files", {}).get(name)
            if expected is not None and hashlib.sha256(content).hexdigest() != expected:
                raise DamagedRecord(f"{self.folder / name} was changed after it was written. {REMEDY}")
            self._bytes[name] = content
        return self._bytes[name]

    def json(self, name):
        return json.loads(self.read(name))

    def check(self):
        """Read all files. Raises `DamagedRecord`, naming the first that is not what it was."""
        for name in self.provenance.get("files", ()):
            self.read(name)
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


def write_csv(path, rows):
    """Write dictionaries of one set of keys as CSV; of no dictionaries, an empty file."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_text(Path(path), text.getvalue())


def write_json(path, content):
    """Write JSON types, readable."""
    write_text(Path(path), json.dumps(content, indent=2) + "\n")


def read_json(path):
    """JSON types of a file; an empty dictionary if there is none or it is damaged."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
