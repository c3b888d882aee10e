"""What an opened archive is, whoever made it: labelled cases, classes, modality, how to read and to split them."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from keras_uq.preprocessing import read_geometry, read_nifti


class BadDataset(ValueError):
    """A dataset that cannot be prepared as it is. The message holds the whole report."""


@dataclass(frozen=True)
class Case:
    """One labelled case of an archive. `group` names what must stay in one set, such as the video of a frame."""

    name: str
    image: Path
    label: Path
    group: str | None = None


def split_patients(patients, seed, test=0.2, validation=0.1):
    """Split by patient.

    Args:
        patients: Their names; order does not matter.
        seed: Of the shuffle.
        test: Share of the patients, rounded.
        validation: Share of the rest, rounded; at least one patient.

    Returns:
        Sorted names under `train`, `validation` and `test`, each with at least one.

    Reference:
        Kethavath et al. (2025) print 48 of 60 volumes for training on one of three datasets.
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


def seeded_split(test=0.2, validation=0.1):
    """A way to split an archive whose cases are patients, with these shares: `(cases, seed) -> names of the sets`."""
    return lambda cases, seed: split_patients([case.name for case in cases], seed, test, validation)


@dataclass(frozen=True)
class Archive:
    """An archive in a folder.

    Args:
        name: Of the dataset.
        cases: `Case` objects in numerical order of their names.
        labels: `{value: class name}`.
        modality: Such as `"CT"` or `"MRI"`.
        digest: sha256 of what lists the cases.
        read_image: Path of an image to a `keras_uq.preprocessing.Scan`; raises `BadScan`.
        read_label: Path of a label, likewise.
        read_geometry: Path of an image to its shape and affine.
        splits: Ways to split it, the usual one first: `{name: (cases, seed) -> names under train, validation, test}`.
        check: `(image, label)`, both `Scan`, to `(code, detail)` pairs that this collection alone knows to look for.
        pictures: Whether its cases are pictures, which have no voxel size; their masks are also kept in full size.
    """

    name: str
    cases: tuple
    labels: dict
    modality: str
    digest: str
    read_image: Callable = read_nifti
    read_label: Callable = read_nifti
    read_geometry: Callable = read_geometry
    splits: dict = field(default_factory=lambda: {"patients": seeded_split()})
    check: Callable = lambda image, label: ()
    pictures: bool = False


def digest_of(names):
    """sha256 of names, one a line: the `digest` of an archive that no file of its own describes."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def natural(name):
    """Key to sort by number: `spleen_9` before `spleen_10`."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
