"""The options of a table's command: what each may be, and which of them go together."""

import argparse
import importlib.util
import os
from pathlib import Path, PurePosixPath

from experiments.fields import FOLDER
from experiments.inputs.datasets import synthetic_name
from experiments.table import PROFILES
from keras_uq._kinds import Integer, Items, Kind, Mismatch, Text, option
from keras_uq.files import process_name, sweep
from keras_uq.files.writing import PREFIX


class PathBelow(Kind):
    """The path of a dataset below the folder of archives, without `.`, `..` and doubled slashes."""

    def __str__(self):
        return "a path below --data, such as msd/Task07_Pancreas"

    def read(self, value):
        """The path in its shortest form, so that one dataset has one name."""
        path = PurePosixPath(value)
        if not value.strip() or not value.isprintable() or path.is_absolute() or ".." in path.parts or not path.parts:
            raise Mismatch
        return str(path)


class Labels(Items):
    """Different values of labels, in ascending order."""

    def __init__(self):
        super().__init__(Integer(1, 255), least=1)

    def __str__(self):
        return "different label values from 1 to 255, such as 2 or 1,2; 0 is the background"

    def parse(self, text):
        """The values of `1,2`."""
        values = super().parse(text)
        if len(set(values)) != len(values):
            raise Mismatch
        return tuple(sorted(values))


def parser(table):
    """The options of a table's command."""
    made = argparse.ArgumentParser(
        prog=f"python -m experiments.{table.paper}.{table.name}", description=table.title, allow_abbrev=False
    )
    number, text = option(Integer(1, 100_000)), option(Text(pattern=r"(?s).*\S.*", described="a name"))
    folder, split = option(FOLDER), option(Text(pattern=r"[\w.-]+", described="the name of a split, such as patients"))
    made.add_argument("--profile", choices=PROFILES, default="demo", help="how much of the protocol to run (demo)")
    made.add_argument("--data", type=folder, help="folder of official archives")
    made.add_argument(
        "--dataset", type=option(PathBelow()), help="path below it: a known archive, or any folder in Decathlon layout"
    )
    made.add_argument("--row", type=text, help="run only this row, and the rows it needs")
    made.add_argument(
        "--seed",
        type=option(Integer(0, 2**32 - 1)),
        help="run only this seed; rows that combine all seeds are left out",
    )
    made.add_argument("--seeds", type=option(Integer(1, 1000)), help="run this many seeds, from 0")
    made.add_argument(
        "--loss",
        action="append",
        type=text,
        help="module:Class of a loss of your own, to add as a row. The module is imported: its code runs as yours",
    )
    made.add_argument("--epochs", type=number, help="train for at most this many epochs; the schedule is scaled")
    made.add_argument("--filters", type=option(Integer(1, 4096)), help="filters of the network's first stage")
    made.add_argument("--foreground", type=option(Labels()), help="label values that make the foreground, such as 2")
    made.add_argument(
        "--split",
        type=split,
        help="patients, images, sequences, fold0, ...; slices puts slices of one patient in several sets",
    )
    made.add_argument("--skip-bad", action="store_true", help="leave out cases that cannot be used")
    made.add_argument("--prepare-only", action="store_true", help="prepare the data and list the cases, then stop")
    made.add_argument("--tensorboard", type=folder, help="folder for TensorBoard logs")
    made.add_argument("--results", type=folder, default="results/runs", help="folder for records (results/runs)")
    made.add_argument("--no-report", action="store_true", help="only run the cells, write no table")
    return made


def check(options, table):
    """Compare options with each other and with the table, before anything is prepared.

    `--prepare-only` is no mode of its own: every other option is checked as for the run that it stops.

    Args:
        options: Of `parser`.
        table: The `Table` with its profiles and, where `--loss` is given, the user's rows.

    Raises:
        ValueError: If an option does nothing beside the others, no cell would be run, or a folder cannot be used.
    """
    profile = table.profiles[options.profile]
    if options.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ValueError("--tensorboard needs TensorBoard, which is not installed: pip install tensorboard.")
    if options.seed is not None and options.seeds is not None:
        raise ValueError(
            f"--seeds {options.seeds} does nothing beside --seed {options.seed}, which runs that seed alone. Leave one "
            "of them out."
        )
    synthetic = synthetic_name(table.synthetic)
    if options.data and (options.dataset == synthetic or (options.dataset is None and profile.synthetic)):
        raise ValueError(
            f"--data {options.data} does nothing here: the run is on {synthetic}. Name a dataset below it with "
            "--dataset, choose another --profile, or leave --data out."
        )
    if options.data and not Path(options.data).is_dir():
        raise ValueError(f"--data {options.data} is no folder. Expected the folder that holds the official archives.")
    _check_cells(options, table, profile)
    for name in ("results", "tensorboard"):
        if getattr(options, name):
            _check_writable(f"--{name}", Path(getattr(options, name)))


def _check_cells(options, table, profile):
    """Some row has a cell for the seeds."""
    rows = table.rows if options.row is None else [table.row(options.row)]
    seeds = range(options.seeds or profile.seeds) if options.seed is None else [options.seed]
    if not any(row.seeds.of(seeds) for row in rows):
        named = f"--row {options.row!r}" if options.row else f"{table.paper} {table.name}"
        raise ValueError(
            f"{named} has no cell for seed {', '.join(map(str, seeds))}: it is run for the first seeds alone, or not "
            "under this protocol. Choose another --seed or --row."
        )


def _check_writable(name, folder):
    """A folder can be made here and written to."""
    place = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    sweep(place)
    trial = place / f"{PREFIX}{process_name()}"
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise ValueError(
            f"{name} {folder} cannot be written: {place}: {error.strerror.lower()}. Expected a folder, or a path where "
            "one can be made."
        ) from None
