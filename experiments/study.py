"""What is measured and drawn of a paper's tables: the part of a report that is the paper's own."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Study:
    """One paper's measures, tests and figures. A `line` is one row of a table: `{column: value}`.

    Args:
        score: `(predictor, data, settings, track, folder) -> ({file name: lines}, panels)`: what a predictor says about
            the cases; `cases.csv` has the columns `set`, `case` and `dice`; panels are named `<case>|<kind>`;
            what is too large for a record goes into the cell's folder.
        illustrate: `(data, settings, folder)`: writes what the figures show of the data into the run's folder.
        published: `run -> frame`: the paper's table, strings by row, with a column a measure, `flag`, and `dataset`,
            which is empty if the paper prints no numbers.
        measures: `{measure: label}` of those that a published table may have; `ours` and `further` likewise of others.
            Those of `further` have no interval.
        measure: `(run, frames of the test cases, one a seed) -> {measure: Interval}`.
        compared: `{column: label}`: what is compared case by case with the reference row.
        derive: `cases -> cases` with the columns that are compared and not stored.
        headline: Measures of the terminal's table: `{measure: label}`.
        overview: `line -> text`, a row in the README's table.
        overview_note: What it means.
        interval: What square brackets are; with `interval_over_seeds`, one seed has none.
        notes: `run -> sentences` below every table.
        beyond: What `ours` and `further` mean, on the page.
        tests: `folder -> frame`, written to `tests.csv`.
        tests_note: `run -> text` beside it.
        departures: `(data, run) -> sentences`: where the data differ from the paper's.
        sections: `(folder, table) -> [(title, text, frame)]`, further tables of the page.
        against: `(run, row) -> row` that it is compared with.
        figures: `(folder, title) -> {name: (figure, caption)}`.
        parts: `run -> {title: measures}`: which measures stand in one table; by default all in one without a title.
        quality: `tables of score -> QualityCard` for the model file of a cell, or `None`.
    """

    score: Callable
    illustrate: Callable
    published: Callable
    measures: dict
    ours: dict
    further: dict
    measure: Callable
    compared: dict
    derive: Callable
    headline: dict
    overview: Callable
    overview_note: str
    interval: str
    notes: Callable
    beyond: str
    tests: Callable
    tests_note: Callable
    figures: Callable
    departures: Callable = lambda data, run: []
    sections: Callable = lambda folder, table: []
    interval_over_seeds: bool = False
    against: Callable = lambda run, row: run["reference"]
    parts: Callable = lambda run: {}
    quality: Callable = lambda tables: None


def of(paper):
    """The `Study` of a paper, by its key."""
    return importlib.import_module(f"experiments.{paper}.study").STUDY
