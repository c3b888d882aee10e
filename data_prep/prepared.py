"""The one prepared format: a folder of memory-mapped arrays and of text a person can read.

    dataset.json            name, source, labels, preprocessing, split, fingerprint
    cases.csv               one line a case: slices, size, spacing, foreground voxels
    report.json, report.txt what the checks of the archive found
    example.npz             one slice of a test case after each step of the preprocessing
    cases/<case>/image.npy  float32 (depth, height, width, channels)
    cases/<case>/mask.npy   uint8 (depth, height, width, 1)
    cases/<case>/full.npy   uint8 (1, height, width, 1), of pictures alone: the mask in the size of the file
    cases/<case>/case.json  written last: sizes and the sha256 of the arrays

A picture is a volume of one slice. A folder under preparation is called `<name>.partial`; it is renamed when whole, and
a preparation that was interrupted takes up the finished cases.
"""

import csv
import hashlib
import json
import os
import platform
import shutil
from pathlib import Path

import numpy as np

FORMAT = 1


class DamagedData(ValueError):
    """A prepared folder that is not what it was when it was written."""


class Writer:
    """Writes a prepared folder, case by case.

    Args:
        folder: Where the whole folder will stand.
        config: JSON types that decide the content (source, preprocessing, labels). Finished cases of an interrupted
            preparation are taken up only if it had the same.
    """

    def __init__(self, folder, config):
        self.folder = Path(folder)
        self.partial = self.folder.with_name(self.folder.name + ".partial")
        self.config = {"format": FORMAT, **config}
        recorded = self.partial / "config.json"
        if recorded.exists() and json.loads(recorded.read_text()) != _plain(self.config):
            shutil.rmtree(self.partial)
        (self.partial / "cases").mkdir(parents=True, exist_ok=True)
        write_text(recorded, json.dumps(self.config, indent=2))

    def record(self, case):
        """The record of a case that an earlier, interrupted preparation has written, or `None`."""
        try:
            return json.loads((self.partial / "cases" / case / "case.json").read_text())
        except FileNotFoundError:
            return None

    def add(self, case, image, mask, facts, notes, full=None):
        """Write one case: float32 image, uint8 mask, numbers for `cases.csv` and notes for its record alone.

        `full` is the mask of a picture in the size of its file, uint8 `(1, height, width, 1)`.
        """
        if (
            image.ndim != 4
            or mask.shape != (*image.shape[:3], 1)
            or image.dtype != np.float32
            or mask.dtype != np.uint8
        ):
            raise ValueError(
                "Expected a float32 image (depth, height, width, channels) and a uint8 mask (depth, height, width, 1). "
                f"Received: {image.dtype} {image.shape}, {mask.dtype} {mask.shape}."
            )
        folder = self.partial / "cases" / case
        folder.mkdir(exist_ok=True)
        digests = {}
        for name, array in (("image", image), ("mask", mask), *([] if full is None else [("full", full)])):
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
            digests[name] = sha256(folder / f"{name}.npy")
        depth, height, width, channels = image.shape
        record = {
            "case": case,
            "depth": depth,
            "height": height,
            "width": width,
            **({} if full is None else {"full_height": full.shape[1], "full_width": full.shape[2]}),
            "channels": channels,
            "foreground_voxels": int(np.count_nonzero(mask)),
            **facts,
            "notes": notes,
            "sha256": digests,
        }
        write_text(folder / "case.json", json.dumps(record, indent=2))

    def discard(self):
        """Leave nothing behind."""
        shutil.rmtree(self.partial)

    def finish(self, split, report, origin):
        """Write the lists and give the folder its name.

        Args:
            split: Case names under `train`, `validation` and `test`.
            report: `data_prep.checks.Report`.
            origin: JSON types about where the data came from; kept, but no part of the fingerprint.

        Returns:
            The `Prepared` folder.
        """
        names = sorted(case for cases in split.values() for case in cases)
        records = [json.loads((self.partial / "cases" / case / "case.json").read_text()) for case in names]
        for stray in {path.name for path in (self.partial / "cases").iterdir()} - set(names):
            shutil.rmtree(self.partial / "cases" / stray)
        content = {**self.config, "split": split, "cases": {record["case"]: record["sha256"] for record in records}}
        with open(self.partial / "cases.csv", "w", newline="") as file:
            columns = [column for column in records[0] if column not in ("sha256", "notes")]
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(records)
        report.write(self.partial)
        fingerprint = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        described = {**content, "fingerprint": fingerprint, "origin": origin}
        write_text(self.partial / "dataset.json", json.dumps(described, indent=2))
        (self.partial / "config.json").unlink()
        if self.folder.exists():
            shutil.rmtree(self.folder)
        os.replace(self.partial, self.folder)
        return Prepared(self.folder)


class Prepared:
    """A prepared folder, opened.

    Attributes:
        folder: Its path.
        description: What `dataset.json` holds.
        split: Case names under `train`, `validation` and `test`.
        fingerprint: sha256 over configuration, split and arrays.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        try:
            self.description = json.loads((self.folder / "dataset.json").read_text())
        except FileNotFoundError:
            raise DamagedData(f"{self.folder} is no prepared folder: it has no dataset.json.") from None
        except json.JSONDecodeError as error:
            raise DamagedData(f"{self.folder / 'dataset.json'} cannot be read ({error}). Prepare it again.") from error
        self.split = self.description["split"]
        self.fingerprint = self.description["fingerprint"]
        # Channels of a network's output: one foreground probability, or one a class with the background.
        self.classes = 1 if self.description["foreground"] else len(self.description["labels"])

    def image(self, case):
        """Memory map, float32 `(depth, height, width, channels)`."""
        return self._open(case, "image")

    def mask(self, case):
        """Memory map, uint8 `(depth, height, width, 1)`: the classes of the task, 0 is background."""
        return self._open(case, "mask")

    def spacing(self, case):
        """Millimetres between slices, rows and columns of the prepared arrays of a scan."""
        record = json.loads((self.folder / "cases" / case / "case.json").read_text())
        return tuple(record[name] for name in ("grid_z_mm", "grid_y_mm", "grid_x_mm"))

    def full_mask(self, case):
        """Memory map of a picture's mask in the size of its file, uint8 `(1, height, width, 1)`."""
        return self._open(case, "full")

    def verify(self):
        """Read everything and compare it with the fingerprint.

        Raises:
            DamagedData: Naming the first case that differs.
        """
        content = {key: value for key, value in self.description.items() if key not in ("fingerprint", "origin")}
        if hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest() != self.fingerprint:
            raise DamagedData(f"{self.folder / 'dataset.json'} was changed after it was written. Prepare it again.")
        for case, digests in self.description["cases"].items():
            for name, digest in digests.items():
                file = self.folder / "cases" / case / f"{name}.npy"
                if not file.exists() or sha256(file) != digest:
                    raise DamagedData(
                        f"{name} of case {case} in {self.folder} is missing or damaged. Prepare it again."
                    )

    def _open(self, case, name):
        try:
            return np.load(self.folder / "cases" / case / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DamagedData(f"{name} of case {case} in {self.folder} cannot be opened ({error}).") from error


def write_text(path, text):
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{process_name()}")
    temporary.write_text(text, newline="")
    os.replace(temporary, path)


def process_name():
    """A name that no other process has, on this host or another: host, process number, a random part."""
    return f"{platform.node()}-{os.getpid()}-{os.urandom(3).hex()}"


def sha256(path):
    """Hexadecimal sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(config):
    return json.loads(json.dumps(config))
