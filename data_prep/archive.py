"""The common description of an opened archive: its labelled cases, classes and modality, its readers and splits."""

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from keras_uq.preprocessing import read_geometry, read_nifti


class BadDataset(ValueError):
    """Raised for a dataset that cannot be prepared as it is. The message contains the whole report."""


@dataclass(frozen=True)
class Case:
    """One labelled case of an archive. Cases of one `group`, such as the frames of a video, belong in one set."""

    name: str
    image: Path
    label: Path
    group: str | None = None


def split_patients(
    patients: Iterable[str], seed: int, test: float = 0.2, validation: float = 0.1
) -> dict[str, list[str]]:
    """Split patients into training, validation and test set.

    Args:
        patients: Names of the patients, in any order.
        seed: Random seed of the shuffle.
        test: Share of the patients for testing, rounded to whole patients.
        validation: Share of the remaining patients for validation, rounded to whole patients.

    Returns:
        Sorted names under `train`, `validation` and `test`, with at least one name each.

    Reference:
        Kethavath et al. (2025) train on 48 of 60 volumes of one of their three datasets.
    """
    patients = sorted(patients)
    if len(patients) < 3:
        raise ValueError(f"Three sets need at least three patients. Received: {len(patients)}.")
    order = [patients[index] for index in np.random.default_rng(seed).permutation(len(patients))]
    tests = min(max(round(test * len(order)), 1), len(order) - 2)
    validations = min(max(round(validation * (len(order) - tests)), 1), len(order) - tests - 1)
    return {
        "train": sorted(order[tests + validations :]),
        "validation": sorted(order[tests : tests + validations]),
        "test": sorted(order[:tests]),
    }


def seeded_split(test: float = 0.2, validation: float = 0.1) -> Callable[[Iterable[Case], int], dict[str, list[str]]]:
    """Return a function `(cases, seed) -> sets` for `Archive.splits` that splits cases by `split_patients`."""
    return lambda cases, seed: split_patients([case.name for case in cases], seed, test, validation)


@dataclass(frozen=True)
class Archive:
    """An opened archive.

    Args:
        name: Name of the dataset.
        cases: `Case` objects in numerical order of their names.
        labels: `{value: class name}`.
        modality: Modality, such as `"CT"` or `"MRI"`.
        digest: sha256 of the list of cases.
        read_image: Function from the path of an image to a `keras_uq.preprocessing.Scan`; it may raise `BadScan`.
        read_label: The same for the path of a label.
        read_geometry: Function from the path of an image to its shape and affine.
        splits: Available splits, the default first: `{name: (cases, seed) -> names under train, validation, test}`.
        check: Function `(image, label) -> (code, detail) pairs` with the additional checks of this archive; both
            arguments are `Scan`.
        in_space: Whether the affines of labels say where they lie. Where not, labels are paired voxel by voxel.
        pictures: Whether the cases are pictures. They have no voxel size, and their masks are also kept in full size.
    """

    name: str
    cases: tuple[Case, ...]
    labels: dict[int, str]
    modality: str
    digest: str
    read_image: Callable = read_nifti
    read_label: Callable = read_nifti
    read_geometry: Callable = read_geometry
    splits: dict = field(default_factory=lambda: {"patients": seeded_split()})
    check: Callable = lambda image, label: ()
    in_space: bool = True
    pictures: bool = False


def digest_of(names: Iterable[str]) -> str:
    """Return the sha256 of names, one per line: the `digest` of an archive without a file that lists its cases."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def natural(name: str) -> list[int | str]:
    """Return a key that sorts names by their numbers: `spleen_9` before `spleen_10`."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", name))]
