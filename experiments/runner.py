"""Run the cells of a table. A cell, a row and a seed, is a function of its configuration and the data."""

import argparse
import contextlib
import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import json
import re
import shutil
import time
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.progress import track

from data_prep.prepared import write_text
from experiments import datasets, figures, record, study
from experiments.controls import RECORD
from experiments.table import PROFILES, Cell, Changes, Row, apply_profile, departures
from experiments.training import MODES, Diverged, build, model_config, train, weights_file
from keras_uq.inference import MCDropout, save_model
from keras_uq.preprocessing import Preprocessing

CONSOLE = Console()
# Settings that decide a training. The others act before it (the data's fingerprint tells) or after it.
TRAINING = (
    "batch",
    "epochs",
    "steps",
    "learning_rate",
    "decay_factor",
    "decay_every",
    "patience",
    "monitor",
    "volumes",
)
# Also those, where a protocol uses them.
TRAINING_IF_USED = ("momentum", "plateau", "augmentation", "plateau_delta", "hard_dice", "patch")
# And those of rows with a control.
EPSILON = ("epsilon_start", "epsilon_every", "epsilon_samples", "epsilon_subset")
# Files of a training, its record last.
TRAINED = (*map(weights_file, MODES), RECORD, "history.csv", "training.json")


def main(tables, arguments=None, every=False):
    """Command line of a table: run its missing cells, then write the table.

    Args:
        tables: The `Table`, or one a dataset; the first is the usual one.
        arguments: Of the command line.
        every: Run all of them where no dataset is named.

    Returns:
        The exit status, the highest of the tables: 0; 1 if a training diverged and its cell has no result; 2 for data
        or arguments that will not do, with an explanation.
    """
    tables = list(tables) if isinstance(tables, (list, tuple)) else [tables]
    options = _parser(tables[0]).parse_args(arguments)
    if options.dataset is not None:
        tables = [table for table in tables if table.dataset == options.dataset] or tables[:1]
    elif not every or tables[0].profiles[options.profile].synthetic:
        tables = tables[:1]
    return max(_main(table, options) for table in tables)


def _main(table, options):
    try:
        _, diverged = run(table, options)
    except ValueError as error:  # Bad data and hostile archives are among them.
        CONSOLE.print(f"[red]{error}[/red]", highlight=False, soft_wrap=True)
        return 2
    for reason in diverged:
        CONSOLE.print(f"[red]{reason}[/red]", highlight=False)
    return 1 if diverged else 0


def run(table, options):
    """Run the cells that `options` ask for and that have no record yet.

    Returns:
        The run's folder, and the reasons of cells whose training diverged.
    """
    if options.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ValueError("--tensorboard needs TensorBoard, which is not installed: pip install tensorboard.")
    profile = table.profiles[options.profile]
    changes = Changes(options.epochs, options.filters, options.foreground, options.split)
    table, settings = changes.apply(table, apply_profile(table.settings, profile))
    if options.loss:
        table = dataclasses.replace(table, rows=(*table.rows, *map(own_row, options.loss)))
    finding = {"skip_bad": options.skip_bad, "track": lambda cases: track(cases, "preparing", console=CONSOLE)}
    data, dataset, modality = datasets.prepared(table, settings, profile, options.data, options.dataset, **finding)
    data.shifted = datasets.shifted(table, settings, profile, options.data, dataset, **finding)
    folder = run_folder(table, options.profile, dataset, options.results, changes.name)
    _check_names(table)
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "paper": table.paper,
        "table": table.name,
        "title": table.title,
        "profile": options.profile,
        "changes": changes.name.strip("-"),
        "dataset": dataset,
        "modality": modality,
        "data": f"sha256:{data.fingerprint}",
        "cases": {name: len(cases) for name, cases in data.split.items()},
        "labels": data.description["labels"],
        "classes": table.classes(data),
        "departures": departures(table, settings, dataset, modality, data.description["origin"]),
        "spread": table.spread,
        "reference": table.reference,
        "tests_note": table.tests_note,
        "rows": _rows_of_run(table, folder),
    }
    about["departures"] += study.of(table.paper).departures(data, about)
    write_text(folder / "run.json", json.dumps(about, indent=2) + "\n")
    study.of(table.paper).illustrate(data, settings, folder)
    table = dataclasses.replace(table, rows=tuple(row.of(data) for row in table.rows))
    seeds = list(range(options.seeds or profile.seeds)) if options.seed is None else [options.seed]
    rows = table.rows if options.row is None else [table.row(options.row)]
    cells = _cells(_with_inputs(table, rows), seeds)
    diverged = []
    for number, (row, seed) in enumerate(cells, start=1):
        CONSOLE.rule(f"{number} of {len(cells)}: {row.name}, seed {seed}")
        try:
            run_cell(table, row, seed, settings, data, folder, options.tensorboard, seeds)
        except Diverged as reason:
            diverged.append(str(reason))
    if not options.no_report and any(folder.glob("*/provenance.json")):
        from experiments.report import terminal_table, write_report

        figures.choose_panels(folder)
        write_report(folder)
        CONSOLE.print(terminal_table(folder))
        CONSOLE.print(f"Report: {folder / 'report.html'}", soft_wrap=True)
    return folder, diverged


def _cells(rows, seeds):
    """Rows and seeds, one seed of all rows after the other; what is made of all seeds comes last."""
    rows = [row for row in rows if not row.published_only]
    each = [(row, seed) for seed in seeds for row in rows if not row.over_seeds and _has_seed(row, seed)]
    return each + [(row, 0) for row in rows if row.over_seeds]


def _has_seed(row, seed):
    return row.max_seeds is None or seed < row.max_seeds


def run_cell(table, row, seed, settings, data, folder, tensorboard=None, seeds=()):
    """Run one cell unless it, or one with its configuration, has a record. Returns its folder.

    Args:
        table: The `Table`.
        row: Its `Row`, with its loss.
        seed: Of the cell.
        settings: The `Settings`.
        data: `Prepared`.
        folder: Of the run.
        tensorboard: Folder of logs, or `None`.
        seeds: Of the run, for a row that is made of the cells of all of them.
    """
    cell = cell_folder(folder, row.name, seed)
    results = folder.parent.parent
    of_seeds = seeds if row.over_seeds else [seed]
    inputs = [cell_folder(folder, name, each) for name in row.inputs for each in of_seeds]
    for path in inputs:
        if not (path / "provenance.json").exists():
            raise Diverged(f"{row.name}, seed {seed}: its input {path.name} has no result.")
    config = cell_config(table, row, seed, settings, data, inputs)
    if record.is_finished(cell, config):
        CONSOLE.print(f"recorded in {cell.name}")
        return cell
    if (twin := record.find_cell(results, config)) is not None:
        record.share(twin, cell, row.name)
        CONSOLE.print(f"the same as {record.name_of(twin)}")
        return cell
    training = cell / "training"
    started = training / "config.json"
    if not (started.exists() and json.loads(started.read_text()) == config):
        shutil.rmtree(training, ignore_errors=True)  # Of another configuration.
        (cell / "provenance.json").unlink(missing_ok=True)
    training.mkdir(parents=True, exist_ok=True)
    write_text(started, json.dumps(config))
    model = None
    if row.loss is not None:
        _train_or_share(table, row, seed, settings, data, config["training"], training, results, tensorboard, inputs)
        model = build(table, row, settings, data)
        model.load_weights(training / weights_file(settings.keep))
    begin = time.monotonic()
    predictor = (row.predictor or _monte_carlo)(Cell(row, seed, settings, data, model, tuple(inputs)))
    tables, panels = study.of(table.paper).score(
        predictor, data, settings, lambda cases: track(cases, "predicting", console=CONSOLE), cell
    )
    np.savez_compressed(cell / "panels.npz", **panels)
    if model is not None:
        steps = Preprocessing(**data.description["preprocessing"])
        quality = study.of(table.paper).quality(tables)
        save_model(
            model, cell / "model.keras", steps, multilabel=row.multilabel, quality=quality, window=settings.patch
        )
    # The record of the training goes first and comes last: it never stands beside weights of another one.
    for name in reversed(TRAINED):
        (cell / name).unlink(missing_ok=True)
    for name in TRAINED:
        if (training / name).exists():
            shutil.copyfile(training / name, cell / name)
    record.write(cell, config, tables, time.monotonic() - begin, data)
    shutil.rmtree(training)
    return cell


def cell_config(table, row, seed, settings, data, inputs=()):
    """Everything that decides a cell, as JSON types."""
    hashes = [json.loads((path / "provenance.json").read_text())["config_sha256"] for path in inputs]
    training = row.loss and {
        "seed": seed,
        "loss": keras.saving.serialize_keras_object(row.loss),
        "model": model_config(table, row, settings, data),
        "data": f"sha256:{data.fingerprint}",
        **{name: getattr(settings, name) for name in TRAINING},
        **{name: getattr(settings, name) for name in TRAINING_IF_USED if getattr(settings, name) is not None},
        **_own_code(row.loss),
        **_control(row, settings, hashes),
    }
    predictor = row.predictor and f"{row.predictor.__module__}.{row.predictor.__qualname__}"
    config = {
        "row": row.name,
        "seed": seed,
        "training": training,
        "keep": settings.keep,
        "predictor": predictor or "MCDropout",
        "samples": settings.samples,
        **({} if settings.margin is None else {"margin": settings.margin}),
        **({} if getattr(data, "shifted", None) is None else {"shifted": f"sha256:{data.shifted.fingerprint}"}),
        "data": f"sha256:{data.fingerprint}",
        "inputs": hashes,
    }
    return json.loads(json.dumps(config))


def _control(row, settings, inputs):
    """What decides the epsilon of a row's images: when it is refreshed, or what it follows."""
    if row.control is None:
        return {}
    refreshes = {} if row.control == "replayed" else {name: getattr(settings, name) for name in EPSILON}
    return {"control": row.control, **refreshes, **({"inputs": inputs} if inputs else {})}


def own_row(name):
    """A row for a loss of the user's own.

    Args:
        name: `module:Class`, importable from the working folder; or `module:object` for a loss with arguments.

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


def run_folder(table, profile, dataset, results="results/runs", changes=""):
    """Where the runs of a table under a profile on a dataset are recorded."""
    name = f"{profile}-{dataset.replace('/', '_').replace(' ', '_')}{changes}"
    return Path(results) / f"{table.paper}_{table.name}" / name


def cell_folder(folder, row, seed):
    """Where a cell is recorded."""
    letters = row.lower().replace("+", "p")  # DSC++ is not DSC.
    slug = "".join(letter if letter.isalnum() else "-" for letter in letters).strip("-")
    return folder / f"{slug}-seed{seed}"


def _train_or_share(table, row, seed, settings, data, config, folder, results, tensorboard, inputs):
    """Leave weights, history and record of the training in `folder`."""
    if record.is_trained(folder, config):
        return
    if (twin := record.find_training(results, config, weights_file(settings.keep))) is not None:
        CONSOLE.print(f"trained for {record.name_of(twin)}")
        for name in TRAINED:
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(twin / name, folder / name)
        return
    begin = time.monotonic()
    verbose = 1 if CONSOLE.is_terminal else 2
    history = train(table, row, seed, settings, data, folder, verbose, tensorboard, inputs)
    record.write_training(folder, config, history, time.monotonic() - begin)


def _check_names(table):
    owners = {}
    for row in table.rows:
        other = owners.setdefault(cell_folder(Path(), row.name, 0), row.name)
        if other != row.name or table.row(row.name) is not row:
            raise ValueError(
                f"The rows {other!r} and {row.name!r} would be recorded in one folder. Rename one of them."
            )


def _monte_carlo(cell):
    return MCDropout(cell.model, samples=cell.settings.samples, seed=cell.seed)


def _own_code(loss):
    """Digest of the file of a loss that is not ours: its code may change while its configuration does not."""
    module = type(loss).__module__
    if module.partition(".")[0] in ("keras_uq", "keras"):
        return {}
    return {"loss_code": hashlib.sha256(Path(inspect.getsourcefile(type(loss))).read_bytes()).hexdigest()}


def _rows_of_run(table, folder):
    """Names of the table's rows, and of own rows of earlier runs in this folder."""
    names = [row.name for row in table.rows]
    with contextlib.suppress(FileNotFoundError):
        names += [name for name in json.loads((folder / "run.json").read_text())["rows"] if name not in names]
    return names


def _with_inputs(table, rows):
    """The rows, each after the rows it needs."""
    ordered = []

    def add(row, above=()):
        if row.name in above:
            raise ValueError(f"Row {row.name!r} needs itself as input.")
        for name in row.inputs:
            add(table.row(name), (*above, row.name))
        if row not in ordered:
            ordered.append(row)

    for row in rows:
        add(row)
    return ordered


def _label_values(text):
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"expected label values such as 2 or 1,2, not {text!r}")
    return tuple(int(value) for value in text.split(","))


def _parser(table):
    parser = argparse.ArgumentParser(prog=f"python -m experiments.{table.paper}.{table.name}", description=table.title)
    parser.add_argument("--profile", choices=PROFILES, default="demo", help="how much of the protocol (demo)")
    parser.add_argument("--data", help="folder of official archives")
    parser.add_argument("--dataset", help="path below it: a known archive, or any folder in Decathlon layout")
    parser.add_argument("--row", help="only this row")
    parser.add_argument("--seed", type=int, help="only this seed")
    parser.add_argument("--seeds", type=int, help="this many seeds, from 0")
    parser.add_argument("--loss", action="append", help="module:Class of a loss of your own, a row beside the others")
    parser.add_argument("--epochs", type=int, help="at most this many epochs; schedule and patience scale along")
    parser.add_argument("--filters", type=int, help="filters of the first stage")
    parser.add_argument("--foreground", type=_label_values, help="label values that make the foreground, such as 2")
    parser.add_argument("--split", help="patients, images, sequences, fold0, ...; slices leaks, to see what that does")
    parser.add_argument("--skip-bad", action="store_true", help="leave out cases that cannot be used")
    parser.add_argument("--tensorboard", help="folder for TensorBoard logs")
    parser.add_argument("--results", default="results/runs", help="folder for records (results/runs)")
    parser.add_argument("--no-report", action="store_true", help="only run the cells")
    return parser
