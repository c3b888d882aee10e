"""The columns of a run's tables, as texts: what the terminal, Markdown and HTML show is made of these.

A line break within a text stands between a value and its interval.
"""

import math
from typing import NamedTuple

import pandas as pd

from experiments.run import PUBLISHED


class Column(NamedTuple):
    """A column of a table: heading, one text for each row, and whether it holds published numbers.

    `short` is the heading where space is short and the published column stands before it.
    """

    head: str
    texts: list
    printed: bool = False
    short: str = ""


def rows(run):
    """The names of the rows."""
    return Column("loss", list(run.table["row"]))


def seeds(run):
    """How many seeds each row has."""
    return Column("seeds", [str(count) for count in run.table["seeds"]])


def flags(run):
    """Codes of what is known about the printed rows; no column if nothing is printed."""
    return [Column("flags", list(run.table["flag"]), printed=True)] if run.printed_on else []


def published(run, measures):
    """Published columns, if there are any, each before the measured one."""
    columns = []
    for measure in measures:
        label, texts = run.study.measures[measure], _texts(run, measure)
        if run.printed_on:
            printed = list(run.table[f"{measure}_published"])
            columns.append(Column(f"{label}: published ({run.printed_on})", printed, printed=True))
            columns.append(Column(f"{label}: here", texts, short="here"))
        else:
            columns.append(Column(label, texts))
    return columns


def measured(run, measures):
    """Columns of `{measure: label}`, with intervals."""
    return [Column(label, _texts(run, measure)) for measure, label in measures.items()]


def numbers(run, measures):
    """Columns of `{measure: label}`, without intervals; those that no row has are left out."""
    return [
        Column(label, [number(value) for value in run.table[measure]])
        for measure, label in measures.items()
        if run.table[measure].notna().any()
    ]


def parts(run):
    """`{title: measures}` of the tables that the paper prints of these rows."""
    return {
        title: [measure for measure in measures if measure in run.shown_measures]
        for title, measures in run.study.parts(run).items()
    }


def headline(run):
    """The few columns that fit a terminal: published values and intervals are shortened."""
    columns = []
    for measure, label in run.study.headline.items():
        if measure in run.shown_measures and run.printed_on:
            texts = [text.partition(" ")[0] for text in run.table[f"{measure}_published"]]
            columns.append(Column(f"{label}\npaper", texts, printed=True))
            label = f"{label}\nhere"
        columns.append(Column(label, [_short(line, measure) for line in run.table.to_dict("records")]))
    return columns


def caption(run):
    """What stands below a run's tables."""
    cases, study = run["cases"], run.study
    sentences = [
        f"Test cases: {cases['test']}; training {cases['train']}, validation {cases['validation']}.",
        "One seed: no interval."
        if study.interval_over_seeds and run.table["seeds"].max() == 1
        else f"Square brackets: {study.interval}.",
        *study.notes(run),
    ]
    if run["dataset"].startswith("synthetic "):
        sentences.append("SYNTHETIC PHANTOM: generated images, no patients.")
    if run.printed_on and any(departure.startswith("data:") for departure in run["departures"]):
        sentences.append("Measured on other data than the paper's: the columns are not comparable.")
    if run.on_other_data:
        sentences.append(
            f"MIXED DATA: {', '.join(run.on_other_data)} were made from other data than the run's last cells."
        )
    sentences.append("Departures: " + "; ".join(run["departures"]) + ".")
    return " ".join(sentences)


def explained_flags(run):
    """`code: meaning` of the flags in the table."""
    codes = {code for flag in run.table["flag"] for code in flag.split(";") if code}
    if not codes:
        return []
    meanings = pd.read_csv(PUBLISHED / "flags.csv").set_index("code")
    return [f"{code}: {meanings['what'].get(code, 'unknown code')}" for code in sorted(codes)]


def number(value):
    """A number with as many digits as are worth reading; nothing for NaN."""
    if math.isnan(value):
        return ""
    size = abs(value)
    digits = ".0f" if size >= 1000 else ".2f" if size >= 10 else ".4f" if size >= 0.01 else ".3g"
    return f"{value:{digits}}"


def _texts(run, measure):
    return [_interval(line, measure) for line in run.table.to_dict("records")]


def _interval(line, measure):
    low, high = line[f"{measure}_low"], line[f"{measure}_high"]
    if math.isnan(line[measure]):
        return "undefined" if line["seeds"] else "not run"
    if math.isnan(low):
        return number(line[measure])
    return f"{number(line[measure])}\n[{number(low)}, {number(high)}]"


def _short(line, measure):
    reach = line[f"{measure}_high"] - line[measure]
    value = _interval({**line, f"{measure}_low": math.nan}, measure)
    return value if math.isnan(reach) else f"{value}\n±{reach:.2g}"
