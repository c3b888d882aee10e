"""Records of cells: written whole, found by digest, checked when read.

A cell's folder holds its record (`config.json`, tables, and `provenance.json` with the sha256 of each of them, written
last) and, where it was trained, what is too large to be committed: weights, model, panels, probabilities. Whatever is
too large may be absent; whatever is recorded must be what it was.
"""

import contextlib
import csv
import datetime
import functools
import hashlib
import io
import json
import os
import shutil
import time
from pathlib import Path

import filelock

from data_prep.prepared import sha256, write_text
from experiments.machine import machine

# Not recorded: too large to be committed, and made again from a training.
LARGE = (".keras", ".weights.h5", "panels.npz")
# Where a cell trains and predicts before it has a record; with a suffix while a process owns it.
WORK = "training"


class DamagedRecord(ValueError):
    """A record that is not what it was when it was written."""


class Record:
    """The record of a cell, each file read once and compared with its sha256.

    Args:
        folder: Of the cell.

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
            raise DamagedRecord(f"{self.folder}/provenance.json is damaged ({error}). {_REMEDY}") from None
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
        """Name of the row."""
        return self.config["row"]

    @property
    def seed(self):
        """Of the cell."""
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
        """The bytes of a file of the record.

        Raises:
            DamagedRecord: If the file is gone or is not what it was.
        """
        if name not in self._bytes:
            try:
                content = (self.folder / name).read_bytes()
            except FileNotFoundError:
                raise DamagedRecord(f"{self.folder / name} is gone. {_REMEDY}") from None
            expected = self.provenance.get("files", {}).get(name)
            if expected is not None and hashlib.sha256(content).hexdigest() != expected:
                raise DamagedRecord(f"{self.folder / name} was changed after it was written. {_REMEDY}")
            self._bytes[name] = content
        return self._bytes[name]

    def json(self, name):
        """A JSON file of the record."""
        return json.loads(self.read(name))

    def check(self):
        """Read all files. Raises `DamagedRecord`, naming the first that is not what it was."""
        for name in self.provenance.get("files", ()):
            self.read(name)
        return self


_REMEDY = "Restore it, or remove the cell's folder to run the cell again."


class Store:
    """All records below one folder of results.

    Args:
        results: Such as `results/runs`, which holds `<paper>_<table>/<run>/<cell>/`.
    """

    def __init__(self, results):
        self.results = Path(results)

    def record(self, folder, digest):
        """The intact record of a cell with this digest in this folder, or `None`."""
        try:
            record = Record(folder)
        except FileNotFoundError:
            return None
        return record.check() if record.digest == digest else None

    def find(self, digest):
        """The intact record of a finished cell of any table with this digest, or `None`."""
        for folder in self._folders("config", digest):
            with contextlib.suppress(DamagedRecord):
                if (record := self.record(folder, digest)) is not None:
                    return record
        return None

    def find_training(self, digest, weights):
        """Folder of a cell of any table that was trained like this and still has the file `weights`, or `None`."""
        for folder in self._folders("training", digest):
            training = _json(folder / "training.json")
            if training.get("training_sha256") == digest and (folder / weights).exists():
                expected = training.get("weights", {}).get(weights)
                if expected in (None, sha256(folder / weights)):
                    return folder
        return None

    def _folders(self, kind, digest):
        runs = self._index()
        return [
            self.results / run / cell
            for run, about in sorted(runs.items())
            for cell, digests in sorted(about["cells"].items())
            if digests.get(kind) == digest
        ]

    def _index(self):
        """`{run: {"changed": time, "cells": {cell: digests}}}`: only runs that changed since are read again.

        It is a cache: whoever finds a folder by it reads the record there. Writers touch the run's folder.
        """
        path = self.results / ".index.json"
        known, runs = _json(path), {}
        for folder in self.results.glob("*/*/"):
            run, changed = folder.relative_to(self.results).as_posix(), folder.stat().st_mtime_ns
            runs[run] = known.get(run) if known.get(run, {}).get("changed") == changed else None
            runs[run] = runs[run] or {"changed": changed, "cells": _digests(folder)}
        if runs != known and self.results.exists():
            write_text(path, json.dumps(runs))
        return runs

    @contextlib.contextmanager
    def taken(self, name):
        """Hold the lock of a name unless somebody else does. Yields whether it is held.

        Where the file system has no locks it yields `True`: at worst, two processes train the same.
        """
        path = self.results / ".locks" / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path, timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            yield False
            return
        except (NotImplementedError, OSError):
            yield True
            return
        try:
            yield True
        finally:
            lock.release()

    def write(self, folder, job, work, tables, seconds, kept):
        """Make a record of what a cell's work folder holds.

        Args:
            folder: Of the cell.
            job: Its `Job`.
            work: Folder with what was trained and predicted; it is removed.
            tables: `{file name: list of dictionaries}`, written as CSV.
            seconds: Duration, without the training.
            kept: Names of the work folder's files and folders that stay with the cell.
        """
        folder = Path(folder)
        # Until here, the record of before stands. Whoever is killed from here on predicts again from `work`.
        (folder / "provenance.json").unlink(missing_ok=True)
        for path in folder.iterdir():
            if not path.name.startswith(WORK):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name in kept:
            if (work / name).is_dir():
                os.replace(work / name, folder / name)
            elif (work / name).exists():
                shutil.copyfile(work / name, folder / name)
        for name, rows in tables.items():
            write_csv(folder / name, rows)
        write_json(folder / "config.json", job.config)
        provenance = {"config_sha256": job.digest, "data": f"sha256:{job.data.fingerprint}", **made(seconds)}
        self._finish(folder, provenance)
        shutil.rmtree(work)

    def share(self, record, folder, row):
        """Put the record of a cell of another table or row into `folder`; it says where it was made."""
        folder = Path(folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in record.folder.iterdir():
            if path.is_dir() and not path.name.startswith(WORK):
                shutil.copytree(path, folder / path.name)
            elif path.is_file() and path.name != "provenance.json":
                shutil.copyfile(path, folder / path.name)
        write_json(folder / "config.json", {**record.config, "row": row})
        self._finish(folder, {"shared_with": name_of(record.folder), **record.provenance})

    def _finish(self, folder, provenance):
        """Write the provenance, last of all files, and tell the index."""
        write_json(folder / "provenance.json", {**provenance, "files": sums(folder)})
        now = time.time_ns()
        os.utime(folder.parent, ns=(now, now))


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
    return _json(Path(folder) / "training.json").get("training_sha256") == digest


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


def _digests(run):
    cells = {}
    for path in run.glob("*/provenance.json"):
        digests = {"config": _json(path).get("config_sha256")}
        cells[path.parent.name] = digests | {"training": _json(path.with_name("training.json")).get("training_sha256")}
    return cells


def _json(path):
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
