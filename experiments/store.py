"""All records below one folder of results: found by digest, shared, written, locked."""

import contextlib
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import filelock

from experiments.csv_cells import write_csv
from experiments.failures import LOGS
from experiments.fields import DamagedRecord
from experiments.records import Record, made, name_of, read_json, sums, write_json
from keras_uq._kinds import Integer, Mapping, Maybe, Text
from keras_uq.files import BadFile, check, sha256, sweep, write_text

# Begins the name of the folder in which a process trains and predicts a cell before it has a record.
WORK = "training"
# What the index holds of a run.
ENTRY = {"changed": Integer(), "cells": Mapping(Mapping(Maybe(Text())))}


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
                trained = training.get("weights", {})
                if isinstance(trained, dict) and trained.get(weights) in (None, sha256(folder / weights)):
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
            runs[run] = known.get(run)
            if not _is_entry(runs[run]) or runs[run]["changed"] != changed:
                runs[run] = {"changed": changed, "cells": _digests(folder)}
        if runs != known and self.results.exists():
            with contextlib.suppress(OSError):  # Without it, runs are read again.
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
        _clear(folder)
        with _nothing_half_written(folder):
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
        with _nothing_half_written(folder):
            for path in record.folder.iterdir():
                if path.is_dir() and not is_work(path):
                    shutil.copytree(path, folder / path.name)
                elif record.has(path.name):
                    (folder / path.name).write_bytes(record.read(path.name))
                elif path.is_file() and path.name != "provenance.json":
                    shutil.copyfile(path, folder / path.name)
            write_json(folder / "config.json", {**record.config, "row": row})
            self._finish(folder, {"shared_with": name_of(record.folder), **record.provenance})

    def sweep(self, run):
        """Remove the temporary files that killed processes left here and in the folder of a run."""
        for folder in (self.results, self.results / LOGS, run, run / "figures"):
            sweep(folder)

    def sweep_cell(self, folder):
        """Remove what killed processes left beside a finished record, unless another process works there."""
        sweep(folder)
        left = [path for path in Path(folder).iterdir() if is_work(path)]
        if left:
            with self.taken(f"cell {name_of(folder)}") as held:
                for path in left if held else ():
                    shutil.rmtree(path)
            self._changed(folder)

    def _finish(self, folder, provenance):
        """Write the provenance, last of all files, and tell the index."""
        write_json(folder / "provenance.json", {**provenance, "files": sums(folder)})
        self._changed(folder)

    def _changed(self, folder):
        """Tell the index that a cell changed."""
        now = time.time_ns()
        with contextlib.suppress(OSError):  # The record stands; other tables may not find it.
            os.utime(Path(folder).parent, ns=(now, now))


def is_work(path):
    """Whether a path in a cell's folder is one in which a process works, or worked until it was killed."""
    return path.is_dir() and path.name.startswith(WORK)


def _clear(folder):
    """Remove all that a cell's folder holds, but where processes work."""
    for path in folder.iterdir():
        if not path.is_dir():
            path.unlink()
        elif not is_work(path):
            shutil.rmtree(path)


@contextlib.contextmanager
def _nothing_half_written(folder):
    """If a record cannot be written, on a full disk for example, its files are removed."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            _clear(folder)
        raise


def _is_entry(value):
    try:
        check(value, ENTRY, "index")
    except BadFile:
        return False
    return True


def _digests(run):
    cells = {}
    for path in run.glob("*/provenance.json"):
        digests = {
            "config": read_json(path).get("config_sha256"),
            "training": read_json(path.with_name("training.json")).get("training_sha256"),
        }
        cells[path.parent.name] = {kind: digest for kind, digest in digests.items() if isinstance(digest, str)}
    return cells
