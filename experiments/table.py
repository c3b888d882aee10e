"""What a published table is, and what a profile makes of it: data, no code that runs anything."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras_uq.preprocessing import Preprocessing


@dataclass(frozen=True)
class Row:
    """One row of a table, named as printed.

    Args:
        name: The row's name in the published CSV.
        loss: Loss to train with, or `None` for a row made from other cells alone.
        inputs: Names of rows whose cells (of the same seed) this one needs; their records enter its configuration.
        predictor: `Cell -> predictor`, if not Monte Carlo dropout of the trained model.
        loss_of: `data -> loss`, for a loss that depends on the prepared data, in place of `loss`.
        network: Arguments of the table's model that this row changes.
        max_seeds: At most so many of the run's seeds.
        control: What sets the epsilon of each image while it trains (`experiments.controls`), or `None`.
        published_only: Stands in the paper's table and is not run.
        over_seeds: Made from the cells of *all* seeds of its inputs: one cell, with seed 0.
    """

    name: str
    loss: Any = None
    inputs: tuple = ()
    predictor: Callable | None = None
    loss_of: Callable | None = None
    network: dict = dataclasses.field(default_factory=dict)
    max_seeds: int | None = None
    over_seeds: bool = False
    control: str | None = None
    published_only: bool = False

    @property
    def multilabel(self):
        """Whether its network has independent channels of the foreground classes and none of the background."""
        return self.network.get("multilabel", False)

    def of(self, data):
        """The row with its loss for these data."""
        return self if self.loss_of is None else dataclasses.replace(self, loss=self.loss_of(data), loss_of=None)


@dataclass(frozen=True)
class Cell:
    """What a predictor is made from.

    Args:
        row: Of the table.
        seed: Of the cell.
        settings: The `Settings`.
        data: `Prepared`.
        model: The trained network, `None` for a row without a loss.
        inputs: Folders of the cells it is made of.
    """

    row: Row
    seed: int
    settings: Any
    data: Any
    model: Any
    inputs: tuple


@dataclass(frozen=True)
class Settings:
    """What a cell is trained and tested with, apart from its loss and seed. Every field is a JSON type.

    `filters` are those of the first stage; `steps` are the batches of an epoch, `None` for all slices; `monitor`
    decides when training stops early, `keep` which epoch is tested; with `volumes`, the network takes whole volumes;
    `split` names one of the dataset's ways to split it, `None` its usual one. With `momentum` the optimiser is SGD with
    Nesterov's momentum, else Adam. With `plateau` the rate falls by `decay_factor` after so many epochs without a
    better `monitor`, else each `decay_every` epochs; `plateau_delta` is by how much it must be better. With
    `hard_dice`, `val_dice` is that of predicted classes, not of probabilities. `augmentation` names one of
    `experiments.augmentation`. With a `patch`, its sides in voxels, the network takes patches of volumes, which keep
    their size each, and is tested by sliding window. Rows with a `control` refresh their epsilon before epoch
    `epsilon_start`, counted from 1, and each `epsilon_every` epochs, by `epsilon_samples` samples of the share
    `epsilon_subset` of the images. `spacing` and `crop` are as in `Preprocessing`, `margin` as in
    `metrics.bounding_box`.
    """

    max_cases: int | None = None
    size: tuple | None = (256, 256)
    filters: int = 16
    norm_momentum: float = 0.99
    batch: int = 16
    epochs: int = 20
    steps: int | None = None
    learning_rate: float = 0.01
    decay_factor: float = 0.1
    decay_every: int | None = 4
    patience: int = 10
    monitor: str = "val_dice"
    keep: str = "val_dice"
    samples: int = 20
    split: str | None = "patients"
    volumes: bool = False
    momentum: float | None = None
    plateau: int | None = None
    augmentation: str | None = None
    plateau_delta: float | None = None
    hard_dice: bool | None = None
    spacing: tuple | None = None
    crop: tuple | None = None
    margin: float | None = None
    patch: tuple | None = None
    epsilon_start: int | None = None
    epsilon_every: int | None = None
    epsilon_samples: int | None = None
    epsilon_subset: float | None = None


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
        ct: Preprocessing of CT; `mri`: of other scans. `size` is set by the settings.
        model: `(input_shape, filters, norm_momentum) -> keras.Model`, uncompiled.
        rows: In the order of the published table.
        settings: The printed protocol.
        reference: Row that the others are compared with, case by case.
        spread: Which standard deviation the printed columns are, `"slice"` or `"pixel"`.
        departures: Where even the full protocol is not the paper's, and why.
        tests_note: What to know about the tests of all rows together.
        softmax: One foreground class and the background are two channels, not one.
        shifted: Path below the data folder of a dataset that stands for scans of another kind, or `None`.
        profiles: `{name: Profile}`, how the table is cut down.
    """

    paper: str
    name: str
    title: str
    dataset: str
    synthetic: str
    foreground: Any
    ct: Preprocessing
    mri: Preprocessing
    model: Callable
    rows: tuple
    settings: Settings
    reference: str
    spread: str = "slice"
    departures: tuple = ()
    tests_note: str = ""
    softmax: bool = False
    shifted: str | None = None
    profiles: dict = dataclasses.field(default_factory=lambda: PROFILES)

    def classes(self, data):
        """How many classes the data have for this table, the background counted; 1 is a foreground alone."""
        return max(data.classes, 2) if self.softmax else data.classes

    def row(self, name):
        """The row of that name. Raises `ValueError` with the names there are."""
        for row in self.rows:
            if row.name == name:
                return row
        raise ValueError(f"{self.paper} {self.name} has no row {name!r}. Rows: {[row.name for row in self.rows]}.")


@dataclass(frozen=True)
class Profile:
    """How a table is cut down to a machine.

    Args:
        seeds: How many seeds by default.
        multiple: Slices of a dataset that is not resized are padded to a multiple of this.
        changes: Fields of `Settings` to change.
        max_epochs: Epochs are cut to this, and schedule and patience with them.
        synthetic: Whether the synthetic CT is the default dataset.
        patients: Of the synthetic CT.
    """

    seeds: int
    changes: dict
    max_epochs: int | None = None
    synthetic: bool = False
    patients: int = 60
    multiple: int = 16


PROFILES = {
    "demo": Profile(
        seeds=1,
        changes={"size": (80, 80), "batch": 4, "norm_momentum": 0.9, "epochs": 6, "steps": 80, "filters": 12},
        synthetic=True,
    ),
    "small": Profile(seeds=3, changes={"max_cases": 80, "size": None, "filters": 8}, max_epochs=10),
    "paper": Profile(seeds=3, changes={}),
}
# With less patience the noise of an epoch decides.
LEAST_PATIENCE = 6
LEAST_PLATEAU = 3
# Learning rates that a training is given before it stands still: with a factor of 0.1, down to 1e-4 of the first.
USEFUL_STEPS = 5
# What the settings are called under a table.
LABELS = {
    "max_cases": "cases",
    "size": "slice size",
    "filters": "filters of the first stage",
    "norm_momentum": "batch-norm momentum",
    "batch": "batch size",
    "epochs": "epochs",
    "steps": "batches an epoch",
    "learning_rate": "learning rate",
    "decay_factor": "factor of the rate",
    "decay_every": "epochs between steps of the rate",
    "patience": "patience",
    "monitor": "stops early by",
    "keep": "best epoch by",
    "samples": "samples",
    "split": "split over",
    "volumes": "whole volumes",
    "momentum": "Nesterov momentum",
    "plateau": "epochs without progress before the rate falls",
    "augmentation": "augmentation",
    "plateau_delta": "what counts as progress",
    "hard_dice": "validation Dice of predicted classes",
    "spacing": "voxel size in mm",
    "crop": "crop",
    "margin": "margin of the bounding box in mm",
    "patch": "patch in voxels",
    "epsilon_start": "epoch of the first refresh",
    "epsilon_every": "epochs between refreshes",
    "epsilon_samples": "samples of a refresh",
    "epsilon_subset": "share of the images that a refresh samples",
}
LEAK = (
    "THE SPLIT LEAKS: slices of one patient lie in training, validation and test, so the scores are not of new patients"
)


def apply_profile(settings, profile):
    """The settings of a profile, with schedule and patience scaled to its epochs."""
    settings = dataclasses.replace(settings, **profile.changes)
    return scale_epochs(settings, profile.max_epochs) if profile.max_epochs else settings


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
        said = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        return "".join(f"-{name}{_joined(value)}" for name, value in said.items() if value is not None)

    def apply(self, table, settings):
        """The table and its settings with the changes made."""
        if self.epochs:
            settings = scale_epochs(settings, self.epochs)
        plain = {name: getattr(self, name) for name in ("filters", "split") if getattr(self, name) is not None}
        settings = dataclasses.replace(settings, **plain)
        if self.foreground is not None:
            labels = ", ".join(map(str, self.foreground))
            note = f"foreground: label {labels} alone, not {_labels(table.foreground)}"
            table = dataclasses.replace(
                table, foreground=frozenset(self.foreground), departures=(*table.departures, note)
            )
        return table, settings


def _joined(value):
    return "+".join(map(str, value)) if isinstance(value, tuple) else value


def _labels(foreground):
    return "every label" if foreground == "all" else f"labels {sorted(foreground)}" if foreground else "the classes"


def scale_epochs(settings, epochs):
    """At most `epochs` epochs, the learning-rate steps and the patience scaled with them.

    Epochs at a rate that has fallen too far to move anything are dropped first: a protocol of 40 epochs and one of 20
    with the same steps are cut to the same schedule.
    """
    if epochs >= settings.epochs:
        return settings
    steps = settings.plateau is None
    useful = min(settings.epochs, USEFUL_STEPS * settings.decay_every) if steps else settings.epochs
    share = min(epochs / useful, 1.0)
    if share == 1:
        return dataclasses.replace(settings, epochs=epochs)
    refreshes = {}
    if settings.epsilon_start is not None:
        refreshes = {
            name: max(round(getattr(settings, name) * share), 1) for name in ("epsilon_start", "epsilon_every")
        }
    return dataclasses.replace(
        settings,
        epochs=epochs,
        decay_every=max(round(settings.decay_every * share), 1) if steps else None,
        plateau=None if steps else max(round(settings.plateau * share), LEAST_PLATEAU),
        patience=max(round(settings.patience * share), LEAST_PATIENCE),
        **refreshes,
    )


def departures(table, settings, dataset, modality, origin):
    """Every way in which a run differs from the printed protocol, one sentence each.

    Args:
        table: The `Table`.
        settings: The `Settings` it was run with.
        dataset: Name of the data.
        modality: As the dataset has it.
        origin: What is known about the archive (`data_prep.decathlon.check_archive`).
    """
    said = [f"data: {dataset}, not {table.dataset}"] if dataset != table.dataset else []
    for entry in dataclasses.fields(settings):
        value, printed = getattr(settings, entry.name), getattr(table.settings, entry.name)
        if value != printed:
            said.append(f"{LABELS[entry.name]} {_said(value, entry.name)} for {_said(printed, entry.name)}")
    if origin.get("official_archive") is False:
        name = "archive_md5" if "archive_md5" in origin else "archive_sha256"
        said.append(f"the archive is not the official one ({name.removeprefix('archive_')} {origin[name]})")
    if settings.split == "slices":
        said.append(LEAK)
    if modality != "CT" and table.ct != table.mri and dataset != table.dataset:
        said.append(f"{modality}: intensities clipped to percentiles {table.mri.percentiles}, no HU window")
    return [*said, *table.departures]


def _said(value, name):
    if value is None:
        return {"size": "as scanned", "split": "the usual", "spacing": "as scanned", "crop": "none"}.get(name, "all")
    return (
        " x ".join("as scanned" if part is None else str(part) for part in value)
        if isinstance(value, (tuple, list))
        else str(value)
    )
