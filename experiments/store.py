"""All records below one folder of results: found by digest, shared, written, locked."""

import contextlib
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import filelock

from experiments.records import DamagedRecord, Record, made, name_of, read_json, sums, write_csv, write_json
from keras_uq.files import sha256, write_text

# Begins the name of the folder in which a process trains and predicts a cell before it has a record.
WORK = "training"


class Store:
    """All records below one folder of results, such as `results/runs` with `<paper>_<table>/<run>/<cell>/`."""

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
            training = read_json(folder / "training.json")
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
        known, runs = read_json(path), {}
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
        """Make a record of what a cell's work folder holds, and remove that folder.

        Args:
            folder: Of the cell.
            job: Its `Job`.
            work: Folder with what was trained and predicted.
            tables: `{file name: list of dictionaries}`, written as CSV.
            seconds: Duration, without the training.
            kept: Names of the work folder's files and folders that stay with the cell.
        """
        folder = Path(folder)
        # The previous record is valid until here. A process killed after this line predicts again from `work`.
        (folder / "provenance.json").unlink(missing_ok=True)
        for path in folder.iterdir():
            if not path.is_dir():
                path.unlink()
            elif not is_work(path):
                shutil.rmtree(path)
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
            if path.is_dir() and not is_work(path):
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


def is_work(path):
    """Whether a path in a cell's folder is one in which a process works, or worked until it was killed."""
    return path.is_dir() and path.name.startswith(WORK)


def _digests(run):
    cells = {}
    for path in run.glob("*/provenance.json"):
        digests = {"config": read_json(path).get("config_sha256")}
        cells[path.parent.name] = digests | {
            "training": read_json(path.with_name("training.json")).get("training_sha256")
        }
    return cells
