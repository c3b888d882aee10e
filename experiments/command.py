"""Command line of a table: prepare its data, run its missing cells, write its report."""

import argparse
import contextlib
import dataclasses
import importlib
import importlib.util
import inspect
import json
import re

import keras
import numpy as np
from rich.progress import track

from experiments import cell, report, study
from experiments.inputs.datasets import open_cases
from experiments.pages import terminal
from experiments.plan import plan
from experiments.records import write_json
from experiments.run import Run
from experiments.store import Store
from experiments.table import PROFILES, Changes, Row, departures, run_folder

CONSOLE = cell.CONSOLE


def main(tables, arguments=None, every=False):
    """Run the cells of a table that have no record, then write the table.

    Args:
        tables: The `Table`, or one for each dataset; the first is the usual one.
        arguments: Of the command line.
        every: Run all of them where no dataset is named.

    Returns:
        The exit status: 0; 1 if a cell has no result; 2 for data or arguments that cannot be used. The highest of all
        tables.
    """
    tables = list(tables) if isinstance(tables, (list, tuple)) else [tables]
    options = parser(tables[0]).parse_args(arguments)
    if options.dataset is not None:
        tables = [table for table in tables if table.dataset == options.dataset] or tables[:1]
    elif not every or tables[0].profiles[options.profile].synthetic:
        tables = tables[:1]
    return max(_main(table, options) for table in tables)


def _main(table, options):
    try:
        _, failed = run(table, options)
    except ValueError as error:  # Bad data and hostile archives are among them.
        CONSOLE.print(f"[red]{error}[/red]", highlight=False, soft_wrap=True)
        return 2
    for reason in failed:
        CONSOLE.print(f"[red]{reason}[/red]", highlight=False, soft_wrap=True)
    return 1 if failed else 0


def run(table, options):
    """Run the cells that `options` ask for and that have no record yet.

    Returns:
        The run's folder (`None` if the data were only prepared), and one sentence for each cell without a result.

    Raises:
        ValueError: For data or options that cannot be used.
    """
    if options.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ValueError("--tensorboard needs TensorBoard, which is not installed: pip install tensorboard.")
    table, settings, changes = changed(table, options)
    profile = table.profiles[options.profile]
    progress = {"track": lambda cases: track(cases, "preparing", console=CONSOLE)}
    data = open_cases(table, settings, profile, options.data, options.dataset, options.skip_bad, **progress)
    if options.prepare_only:
        _print_cases(data)
        return None, []
    seeds = range(options.seeds or profile.seeds)
    jobs = plan(table, settings, data, seeds, options.row, options.seed)
    folder = run_folder(table, options.profile, data.name, options.results, changes.name)
    folder.mkdir(parents=True, exist_ok=True)
    _describe(folder, table, settings, data, options.profile, changes)
    failed = cell.run(jobs, folder, Store(options.results), options.tensorboard)
    if not options.no_report and any(folder.glob("*/provenance.json")):
        recorded = Run(folder)
        report.write(recorded, figures=True)
        CONSOLE.print(terminal.table(recorded))
        CONSOLE.print(f"Report: {folder / 'report.html'}", soft_wrap=True)
    return folder, failed


def changed(table, options):
    """The table, its settings and the `Changes` that the options ask for."""
    changes = Changes(options.epochs, options.filters, options.foreground, options.split)
    table, settings = changes.apply(table, table.profiles[options.profile].apply(table.settings))
    if options.loss:
        table = dataclasses.replace(table, rows=(*table.rows, *map(own_row, options.loss)))
    return table, settings, changes


def _describe(folder, table, settings, data, profile, changes):
    """Write what the run is, and what the figures show of its data."""
    paper = study.of(table.paper)
    about = {
        "paper": table.paper,
        "table": table.name,
        "title": table.title,
        "profile": profile,
        "changes": changes.name.strip("-"),
        "dataset": data.name,
        "modality": data.modality,
        "data": f"sha256:{data.fingerprint}",
        "cases": {name: len(cases) for name, cases in data.split.items()},
        "labels": data.description["labels"],
        "classes": table.classes(data),
        "departures": departures(table, settings, data),
        "reference": table.reference,
        "rows": _rows_of_run(table, folder),
    }
    about["departures"] += paper.departures(data, about)
    write_json(folder / "run.json", about)
    paper.illustrate(data, settings, folder)


def _rows_of_run(table, folder):
    """Names of the table's rows, and of the user's rows of earlier runs in this folder."""
    names = [row.name for row in table.rows]
    with contextlib.suppress(FileNotFoundError):
        names += [name for name in json.loads((folder / "run.json").read_text())["rows"] if name not in names]
    return names


def _print_cases(data):
    """The fingerprint, then one line for each case: shape, values of the label, foreground voxels."""
    CONSOLE.print(f"{data.name}: sha256:{data.fingerprint}", highlight=False, soft_wrap=True)
    for part, cases in data.split.items():
        for case in cases:
            mask = np.asarray(data.mask(case))
            values = " ".join(map(str, np.unique(mask)))
            shape = " x ".join(map(str, data.image(case).shape))
            line = f"{part} {case}: {shape}, labels {values}, foreground {np.count_nonzero(mask)}"
            CONSOLE.print(line, highlight=False, soft_wrap=True, markup=False)


def own_row(name):
    """A row for a loss of the user's own: `module:Class`, importable from the working folder, or `module:object`.

    Raises:
        ValueError: If there is no such loss, or it is none of `keras.losses.Loss`.
    """
    module, _, attribute = name.partition(":")
    try:
        loss = getattr(importlib.import_module(module), attribute)
        loss = loss() if inspect.isclass(loss) else loss
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"--loss {name} cannot be used ({error}). Expected module:Class, such as my_losses:MyLoss for a class "
            "without required arguments in my_losses.py of this folder, or module:object for a loss that is made there."
        ) from error
    if not isinstance(loss, keras.losses.Loss):
        raise ValueError(
            f"--loss {name} is a {type(loss).__name__}. Expected a keras.losses.Loss: Keras reshapes what it gives to "
            "plain functions, which then measure something else."
        )
    return Row(attribute, loss)


def _label_values(text):
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"expected label values such as 2 or 1,2, not {text!r}")
    return tuple(int(value) for value in text.split(","))


def _count(text):
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, not {text!r}")
    return int(text)


def parser(table):
    """The options of a table's command."""
    made = argparse.ArgumentParser(prog=f"python -m experiments.{table.paper}.{table.name}", description=table.title)
    made.add_argument("--profile", choices=PROFILES, default="demo", help="how much of the protocol to run (demo)")
    made.add_argument("--data", help="folder of official archives")
    made.add_argument("--dataset", help="path below it: a known archive, or any folder in Decathlon layout")
    made.add_argument("--row", help="run only this row, and the rows it needs")
    made.add_argument("--seed", type=int, help="run only this seed; rows that combine all seeds are left out")
    made.add_argument("--seeds", type=_count, help="run this many seeds, from 0")
    made.add_argument("--loss", action="append", help="module:Class of a loss of your own, to add as a row")
    made.add_argument("--epochs", type=_count, help="train for at most this many epochs; the schedule is scaled")
    made.add_argument("--filters", type=_count, help="filters of the network's first stage")
    made.add_argument("--foreground", type=_label_values, help="label values that make the foreground, such as 2")
    made.add_argument(
        "--split", help="patients, images, sequences, fold0, ...; slices puts slices of one patient in several sets"
    )
    made.add_argument("--skip-bad", action="store_true", help="leave out cases that cannot be used")
    made.add_argument("--prepare-only", action="store_true", help="prepare the data and list the cases, then stop")
    made.add_argument("--tensorboard", help="folder for TensorBoard logs")
    made.add_argument("--results", default="results/runs", help="folder for records (results/runs)")
    made.add_argument("--no-report", action="store_true", help="only run the cells, write no table")
    return made
