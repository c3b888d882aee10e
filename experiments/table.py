"""What a published table is, and what a profile and a user make of it: data, no code that runs anything."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from experiments.choices import Channels, EachSeed
from experiments.settings import Settings, preprocessing_of

LEAK = (
    "THE SPLIT LEAKS: slices of one patient lie in training, validation and test, so the scores are not of new patients"
)


@dataclass(frozen=True)
class Row:
    """One row of a table, named as printed.

    Args:
        name: The row's name in the published CSV.
        loss: `keras.losses.Loss`, `data -> loss`, or `None` for a row that is made from other cells alone.
        inputs: Names of rows; this one needs their cells, and their digests enter its configuration.
        predictor: `(job, model, folders of its inputs) -> predictor`, if not Monte Carlo dropout of the trained model.
        network: Arguments of the table's model that this row changes.
        channels: What the network's output channels are.
        seeds: For which seeds of a run it has a cell: `EachSeed()`, `FirstSeeds(count)` or `AllSeeds()`.
        control: What sets the epsilon of each training image (`experiments.hiroike2026.controls`), or `None`.
    """

    name: str
    loss: Any = None
    inputs: tuple = ()
    predictor: Callable | None = None
    network: dict = dataclasses.field(default_factory=dict)
    channels: Channels = Channels.FOREGROUND
    seeds: EachSeed = EachSeed()
    control: Any = None

    def of(self, data):
        """The row with its loss for these data."""
        depends = self.loss is not None and not isinstance(self.loss, keras.losses.Loss)
        return dataclasses.replace(self, loss=self.loss(data)) if depends else self


@dataclass(frozen=True)
class Profile:
    """How a table is cut down to a machine.

    Args:
        seeds: How many seeds by default.
        changes: Fields of `Settings` to change.
        max_epochs: Epochs are cut to this, and schedule and patience with them.
        synthetic: Patients or pictures of the synthetic dataset that is then the default; 0 for the paper's.
    """

    seeds: int
    changes: dict
    max_epochs: int | None = None
    synthetic: int = 0

    def apply(self, settings):
        settings = settings.replace(**self.changes)
        return settings.scale_epochs(self.max_epochs) if self.max_epochs else settings


PROFILES = {
    "demo": Profile(
        seeds=1,
        changes={"size": (80, 80), "batch": 4, "norm_momentum": 0.9, "epochs": 6, "steps": 80, "filters": 12},
        synthetic=60,
    ),
    "small": Profile(seeds=3, changes={"max_cases": 80, "size": None, "filters": 8}, max_epochs=10),
    "paper": Profile(seeds=3, changes={}),
}


@dataclass(frozen=True)
class Table:
    """One published table.

    Args:
        paper: Its key, such as `kethavath2025`.
        name: Such as `table2`.
        title: What the table shows.
        dataset: Path of the paper's dataset below the data folder.
        synthetic: Organ of the synthetic images that stand in for it.
        foreground: Label values that make the one foreground class, `"all"` for every label above 0, or `None` to keep
            the classes apart.
        model: `(input_shape, filters, norm_momentum) -> keras.Model`, uncompiled.
        rows: In the order of the published table.
        settings: The printed protocol.
        reference: Row that the others are compared with, case by case.
        departures: Where even the full protocol is not the paper's, and why.
        shifted: Path below the data folder of a dataset of scans unlike the training's, or `None`.
        profiles: `{name: Profile}`.
    """

    paper: str
    name: str
    title: str
    dataset: str
    synthetic: str
    foreground: Any
    model: Callable
    rows: tuple
    settings: Settings
    reference: str
    departures: tuple = ()
    shifted: str | None = None
    profiles: dict = dataclasses.field(default_factory=lambda: PROFILES)

    def __post_init__(self):
        owners = {}
        for row in self.rows:
            other = owners.setdefault(slug(row.name), row.name)
            if other != row.name or self.row(row.name) is not row:
                raise ValueError(
                    f"The rows {other!r} and {row.name!r} would be recorded in one folder. Rename one of them."
                )

    def classes(self, data):
        """How many classes the data have for this table, the background counted; 1 is a foreground alone."""
        return self.rows[0].channels.classes(data)

    def row(self, name):
        for row in self.rows:
            if row.name == name:
                return row
        raise ValueError(f"{self.paper} {self.name} has no row {name!r}. Rows: {[row.name for row in self.rows]}.")


@dataclass(frozen=True)
class Changes:
    """What a user changes of a table. Each change names the run's folder, so it never mixes with the plain table.

    Args:
        epochs: At most so many, schedule and patience scaled along.
        filters: Of the first stage.
        foreground: Label values, as `(2,)`.
        split: One of the dataset's ways to split it, or `"slices"`, which leaks.
    """

    epochs: int | None = None
    filters: int | None = None
    foreground: tuple | None = None
    split: str | None = None

    @property
    def name(self):
        """Such as `-filters8`; empty without changes."""
        changed = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return "".join(f"-{name}{_joined(value)}" for name, value in changed.items() if value is not None)

    def apply(self, table, settings):
        """The table and its settings with the changes made. Raises `ValueError` for epochs that change nothing."""
        if self.epochs:
            if self.epochs >= settings.epochs:
                raise ValueError(
                    f"--epochs {self.epochs} does nothing: training has at most {settings.epochs} epochs. Give fewer, "
                    "or leave it out."
                )
            settings = settings.scale_epochs(self.epochs)
        changed = {name: getattr(self, name) for name in ("filters", "split") if getattr(self, name) is not None}
        settings = settings.replace(**changed)
        if self.foreground is not None:
            labels = ", ".join(map(str, self.foreground))
            note = f"foreground: label {labels} alone, not {_labels(table.foreground)}"
            table = dataclasses.replace(
                table, foreground=frozenset(self.foreground), departures=(*table.departures, note)
            )
        return table, settings


def slug(row):
    """A row's name as a part of a folder's name."""
    letters = row.lower().replace("+", "p")  # DSC++ is not DSC.
    return "".join(letter if letter.isalnum() else "-" for letter in letters).strip("-")


def run_folder(table, profile, dataset, results="results/runs", changes=""):
    """Where the runs of a table under a profile on a dataset are recorded."""
    name = f"{profile}-{dataset.replace('/', '_').replace(' ', '_')}{changes}"
    return Path(results) / f"{table.paper}_{table.name}" / name


def departures(table, settings, data):
    """Every way in which a run with these settings differs from the printed protocol, one sentence each."""
    sentences = [f"data: {data.name}, not {table.dataset}"] if data.name != table.dataset else []
    here, printed = settings.described(), table.settings.described()
    for label in dict.fromkeys((*here, *printed)):
        if here.get(label) != printed.get(label):
            sentences.append(f"{label} {here.get(label, 'none')} for {printed.get(label, 'none')}")
    origin = data.description["origin"]
    if origin.get("official_archive") is False:
        name = "archive_md5" if "archive_md5" in origin else "archive_sha256"
        sentences.append(f"the archive is not the official one ({name.removeprefix('archive_')} {origin[name]})")
    if settings.split == "slices":
        sentences.append(LEAK)
    other = preprocessing_of(table.settings, data.modality)
    if data.modality != "CT" and table.settings.preprocessing["CT"] != other and data.name != table.dataset:
        sentences.append(f"{data.modality}: intensities clipped to percentiles {other.percentiles}, no HU window")
    return [*sentences, *table.departures]


def _joined(value):
    return "+".join(map(str, value)) if isinstance(value, tuple) else value


def _labels(foreground):
    return "every label" if foreground == "all" else f"labels {sorted(foreground)}" if foreground else "the classes"
