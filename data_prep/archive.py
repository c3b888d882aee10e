"""What an opened archive is, whoever made it: labelled cases, classes, modality."""

import re
from dataclasses import dataclass
from pathlib import Path


class BadDataset(ValueError):
    """A dataset that cannot be prepared as it is. The message holds the whole report."""


@dataclass(frozen=True)
class Case:
    """One labelled case of an archive."""

    name: str
    image: Path
    label: Path


@dataclass(frozen=True)
class Archive:
    """An archive in a folder.

    Args:
        name: Of the dataset.
        cases: `Case` objects in numerical order of their names.
        labels: `{value: class name}`.
        modality: Such as `"CT"` or `"MRI"`.
        digest: sha256 of what lists the cases.
    """

    name: str
    cases: tuple
    labels: dict
    modality: str
    digest: str


def natural(name):
    """Key to sort by number: `spleen_9` before `spleen_10`."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
