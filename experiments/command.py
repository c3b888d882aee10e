"""Command line of a table: prepare its data, run its missing cells, write its report."""

import dataclasses

import numpy as np
from rich.progress import track

from data_prep.checks import Report
from experiments import cell, failures, report, study
from experiments.fields import read_about
from experiments.inputs.datasets import cache_folder, open_cases
from experiments.options import check, parser
from experiments.own_loss import own_row
from experiments.pages import terminal
from experiments.plan import plan
from experiments.records import write_json
from experiments.run import Run
from experiments.screen import CONSOLE, FAILURE, WARNING, say
from experiments.store import Store
from experiments.table import Changes, departures, run_folder


def main(tables, arguments=None, every=False):
    """Run the cells of a table that have no record, then write the table.

    Args:
        tables: The `Table`, or one for each dataset; the first is the usual one.
        arguments: Of the command line.
        every: Run all of them where no dataset is named.

    Returns:
        The exit status: 0; 1 if a cell has no result or the table cannot be written; 2 for data, folders or arguments
        that cannot be used; 130 if interrupted. The highest of all tables.
    """
    tables = list(tables) if isinstance(tables, (list, tuple)) else [tables]
    options = parser(tables[0]).parse_args(arguments)
    if options.dataset is not None:
        tables = [table for table in tables if table.dataset == options.dataset] or tables[:1]
    elif not every or tables[0].profiles[options.profile].synthetic:
        tables = tables[:1]
    statuses = []
    for table in tables:
        try:
            statuses.append(_main(table, options))
        except KeyboardInterrupt:
            say("Interrupted. The same command goes on from here.", FAILURE)
            return 130
    return max(statuses)


def _main(table, options):
    try:
        _, failed = run(table, options)
    except Exception as error:
        say(failures.explained(error, cache_folder(), options.results), FAILURE)
        return 2
    for reason in failed:
        say(reason, FAILURE)
    return 1 if failed else 0


def run(table, options):
    """Run the cells that `options` ask for and that have no record yet.

    Returns:
        The run's folder (`None` if the data were only prepared), and one sentence for each cell without a result.

    Raises:
        ValueError: For data or options that cannot be used.
    """
    table, settings, changes = changed(table, options)
    check(options, table)
    profile = table.profiles[options.profile]
    progress = {"track": lambda cases: track(cases, "preparing", console=CONSOLE)}
    data = open_cases(table, settings, profile, options.data, options.dataset, options.skip_bad, **progress)
    if warned := Report.read(data.folder).summary():
        say(f"{warned} All of them: {data.folder / 'report.txt'}", WARNING)
    if options.prepare_only:
        _print_cases(data)
        return None, []
    seeds = range(options.seeds or profile.seeds)
    jobs = plan(table, settings, data, seeds, options.row, options.seed)
    folder = run_folder(table, options.profile, data.name, options.results, changes.name)
    store = Store(options.results)
    store.sweep(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _describe(folder, table, settings, data, options.profile, changes)
    failed = cell.run(jobs, folder, store, options.tensorboard)
    if not options.no_report and any(folder.glob("*/provenance.json")):
        failed += _report(folder, options.results)
    return folder, failed


def _report(folder, results):
    """Write table and page, and show the table. Returns one sentence for each reason why that cannot be done."""
    try:
        recorded = Run(folder)
        if recorded.damaged:
            return [f"No table was written: {reason}" for reason in recorded.damaged]
        report.write(recorded, figures=True)
        CONSOLE.print(terminal.table(recorded))
        say(f"Report: {folder / 'report.html'}")
    except Exception as error:
        return [f"The table was not written: {failures.explained(error, folder, results)}"]
    failures.forget(results, folder)
    return []


def changed(table, options):
    """The table, its settings and the `Changes` that the options ask for."""
    changes = Changes(options.epochs, options.filters, options.foreground, options.split)
    for name in options.loss or ():
        if options.loss.count(name) > 1:
            raise ValueError(f"--loss {name} is given {options.loss.count(name)} times. Give it once.")
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
        "rows": _rows_of_run(table, folder, data.name),
    }
    about["departures"] += paper.departures(data, about)
    paper.illustrate(data, settings, folder)
    write_json(folder / "run.json", about)


def _rows_of_run(table, folder, dataset):
    """Names of the table's rows, and of the user's rows of earlier runs in this folder.

    Raises:
        DamagedRecord: If `run.json` of an earlier run is damaged.
        ValueError: If the earlier run was on a dataset of another name.
    """
    names = [row.name for row in table.rows]
    if not (folder / "run.json").exists():
        return names
    about = read_about(folder)
    if about["dataset"] != dataset:
        raise ValueError(
            f"{folder} holds a run on {about['dataset']!r}, and one on {dataset!r} would be recorded there too. Give "
            "another folder with --results, or rename one of the datasets."
        )
    return names + [name for name in about["rows"] if name not in names]


def _print_cases(data):
    """The fingerprint, then one line for each case: shape, values of the label, foreground voxels."""
    say(f"{data.name}: sha256:{data.fingerprint}")
    for part, cases in data.split.items():
        for case in cases:
            mask = np.asarray(data.mask(case))
            values = " ".join(map(str, np.unique(mask)))
            shape = " x ".join(map(str, data.image(case).shape))
            say(f"{part} {case}: {shape}, labels {values}, foreground {np.count_nonzero(mask)}")
