"""Write and read a prepared dataset: a folder of arrays that can be memory-mapped, with JSON, CSV and text files.

    dataset.json            name, source, labels, preprocessing, split, fingerprint
    cases.csv               one line per case: slices, size, spacing, foreground voxels
    report.json, report.txt findings of the checks
    example.npz             one slice of a test case after each step of the preprocessing
    cases/<case>/image.npy  float32 (depth, height, width, channels)
    cases/<case>/mask.npy   uint8 (depth, height, width, 1)
    cases/<case>/full.npy   uint8 (1, height, width, 1), for pictures only: the mask in the original size
    cases/<case>/case.json  sizes, and the sha256 of the arrays; written after the arrays

A picture is a volume of one slice. The folder is called `<name>.partial` until it is complete. An interrupted
preparation resumes with the cases that are not finished.
"""

import csv
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from keras_uq._kinds import Anything, Integer, Items, Mapping, Maybe, Number, Text
from keras_uq.files import BadFile, check, naming, read, sha256, stamp, sweep, write_text

FORMAT = 1
# Names that lead nowhere else, and hexadecimal digests.
NAME = Text(255, r"(?!\.\.?$)[^/\0]+", "the name of a file")
DIGEST = Text(64, r"[0-9a-f]+", "a hexadecimal digest")
SETS = {"train": Items(NAME), "validation": Items(NAME), "test": Items(NAME)}
# Fields of `dataset.json` that are read.
FIELDS = {
    "labels": Mapping(Text()),
    "foreground": Maybe(Items(Integer())),
    "fingerprint": DIGEST,
    "split": Mapping(Items(NAME)),
    "cases": Mapping(Mapping(DIGEST)),
    "preprocessing": Mapping(Anything()),
}
RECORD = {"notes": Mapping(Anything()), "sha256": Mapping(DIGEST)}
SPACING = {f"grid_{axis}_mm": Number(above=0, unit="mm") for axis in "zyx"}


class DamagedData(ValueError):
    """Raised for a prepared folder that is incomplete or was changed after it was written."""


class Writer:
    """Write a prepared folder, case by case.

    Args:
        folder: Path of the finished folder.
        config: Settings that determine the content (source, preprocessing, labels), as JSON types. The finished cases
            of an interrupted preparation are kept only if its settings were the same.
    """

    def __init__(self, folder: str | os.PathLike, config: dict[str, Any]) -> None:
        self.folder = Path(folder)
        self.partial = self.folder.with_name(self.folder.name + ".partial")
        self.config = {"format": FORMAT, **config}
        recorded = self.partial / "config.json"
        if self.partial.exists() and not self._resumes(recorded):
            shutil.rmtree(self.partial)
        (self.partial / "cases").mkdir(parents=True, exist_ok=True)
        sweep(self.partial)
        write_text(recorded, json.dumps(self.config, indent=2))

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        # After an error of the data the next preparation begins anew. One that was interrupted, or whose disk was full,
        # goes on where it was.
        if kind is not None and issubclass(kind, Exception) and not issubclass(kind, OSError):
            self.discard()

    def _resumes(self, recorded):
        try:
            return read(recorded) == _plain(self.config)
        except (BadFile, FileNotFoundError):
            return False

    def record(self, case: str) -> dict[str, Any] | None:
        """Return the record of a case that an interrupted preparation finished, or `None`."""
        path = self.partial / "cases" / case / "case.json"
        try:
            record = read(path)
            check(record, RECORD, path, others=True)
        except (BadFile, FileNotFoundError):
            return None
        return record

    def add(
        self,
        case: str,
        image: np.ndarray,
        mask: np.ndarray,
        facts: dict[str, float],
        notes: dict[str, Any],
        full: np.ndarray | None = None,
    ) -> None:
        """Write one case.

        Args:
            case: Name of the case.
            image: float32 `(depth, height, width, channels)`.
            mask: uint8 `(depth, height, width, 1)`.
            facts: Further numbers for `cases.csv`.
            notes: JSON types for the record of the case only.
            full: Mask of a picture in its original size, uint8 `(1, height, width, 1)`.

        Raises:
            ValueError: If an array has another shape or type.
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
        if not np.isfinite(image).all():
            raise ValueError(f"The image of {case} is not finite after the preprocessing.")
        folder = self.partial / "cases" / case
        shutil.rmtree(folder, ignore_errors=True)  # What a killed process left of this case.
        try:
            self._write(folder, case, image, mask, facts, notes, full)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _write(self, folder, case, image, mask, facts, notes, full):
        folder.mkdir()
        digests = {}
        for name, array in (("image", image), ("mask", mask), *([] if full is None else [("full", full)])):
            path = folder / f"{name}.npy"
            with naming(path):
                np.save(path, array, allow_pickle=False)
            digests[name] = sha256(path)
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

    def discard(self) -> None:
        """Delete the unfinished folder."""
        shutil.rmtree(self.partial, ignore_errors=True)

    def finish(self, split: dict[str, list[str]], report: Any, origin: dict[str, Any]) -> "Prepared":
        """Write the files about all cases, and rename the folder to its final name.

        Args:
            split: Case names under `train`, `validation` and `test`.
            report: `data_prep.checks.Report`.
            origin: Where the data come from, as JSON types. It is saved but is not a part of the fingerprint.

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
            writer.writerows({**record, "case": _shielded(record["case"])} for record in records)
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
    """An opened prepared folder.

    Args:
        folder: Path of the folder.

    Attributes:
        folder: Path of the folder.
        description: Content of `dataset.json`.
        split: Case names under `train`, `validation` and `test`.
        fingerprint: sha256 over configuration, split and arrays.
        classes: Number of output channels of a network: 1 for one foreground class, else all classes with background.

    Raises:
        DamagedData: If `dataset.json` is missing or cannot be read.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        path = self.folder / "dataset.json"
        try:
            self.description = read(path)
            fields = check(self.description, FIELDS, path, optional=("cases", "preprocessing"), others=True)
            check(fields["split"], SETS, f"{path}, `split`")
        except FileNotFoundError:
            raise DamagedData(f"{self.folder} is not a prepared folder: it has no dataset.json.") from None
        except BadFile as error:
            raise DamagedData(f"{error} So the prepared data cannot be read.") from error
        self.split = self.description["split"]
        self.fingerprint = self.description["fingerprint"]
        self.classes = 1 if self.description["foreground"] else len(self.description["labels"])

    def image(self, case: str) -> np.ndarray:
        """Open the image of a case as a memory map, float32 `(depth, height, width, channels)`."""
        return self._open(case, "image")

    def mask(self, case: str) -> np.ndarray:
        """Open the mask of a case as a memory map, uint8 `(depth, height, width, 1)`, with 0 for background."""
        return self._open(case, "mask")

    def spacing(self, case: str) -> tuple[float, float, float]:
        """Return the distances in millimetres between slices, rows and columns of the prepared arrays of a scan.

        Raises:
            KeyError: For a picture, which has none.
            DamagedData: If `case.json` is missing or damaged.
        """
        path = self.folder / "cases" / case / "case.json"
        try:
            record = check(read(path), SPACING, path, optional=SPACING, others=True)
        except (BadFile, OSError) as error:
            raise DamagedData(f"{path} cannot be read: {error}. Prepare the data again.") from error
        return tuple(record[name] for name in SPACING)

    def full_mask(self, case: str) -> np.ndarray:
        """Open the mask of a picture in its original size as a memory map, uint8 `(1, height, width, 1)`."""
        return self._open(case, "full")

    def verify(self, noted: dict[str, Any] | None = None) -> dict[str, Any]:
        """Read all files and compare them with the fingerprint.

        Args:
            noted: What an earlier call returned. Files that have not been written since are not read again.

        Returns:
            The stamp of each file, as JSON types.

        Raises:
            DamagedData: If a file differs; the message names the first case that does.
        """
        noted = noted if isinstance(noted, dict) else {}
        content = {key: value for key, value in self.description.items() if key not in ("fingerprint", "origin")}
        fingerprint = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        if fingerprint != self.description["fingerprint"]:
            raise DamagedData(f"{self.folder / 'dataset.json'} was changed after it was written. Prepare it again.")
        stamps = {}
        for case, digests in self.description["cases"].items():
            for name, digest in digests.items():
                below = f"cases/{case}/{name}.npy"
                try:
                    stamps[below] = stamp(self.folder / below, noted.get(below))
                except OSError:
                    stamps[below] = {"sha256": None}
                if stamps[below]["sha256"] != digest:
                    raise DamagedData(
                        f"{name} of case {case} in {self.folder} is missing or damaged. Prepare it again."
                    )
        return stamps

    def _open(self, case, name):
        try:
            return np.load(self.folder / "cases" / case / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DamagedData(f"{name} of case {case} in {self.folder} cannot be opened ({error}).") from error


def _plain(config):
    return json.loads(json.dumps(config))


def _shielded(name):
    """A name as text for spreadsheets, which run what begins like a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r", "'")) else name
