"""The page of a run."""

import json
from pathlib import Path

import jinja2
import pandas as pd

from experiments.pages import columns
from experiments.pages.columns import Column

ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
)


def page(run, captions):
    """The HTML of a run; `captions` are those of the pictures in its folder `figures`."""
    sections = [section for section in run.study.sections(run) if not section[2].empty]
    return ENVIRONMENT.get_template("page.html").render(
        run=run,
        caption=columns.caption(run),
        parts=[(title, _part(run, measures)) for title, measures in columns.parts(run).items()],
        further=_further(run, sections),
        sections=[(title, text, from_frame(frame, columns.number)) for title, text, frame in sections],
        comparison=from_frame(_side_by_side(run.comparison)),
        tests=from_frame(run.tests),
        captions=captions,
        facts=_facts(run),
    )


def _part(run, measures):
    return [columns.rows(run), columns.seeds(run), *columns.published(run, measures), *columns.flags(run)]


def _further(run, sections):
    """Measures that the paper does not print, less those that a section shows."""
    in_sections = {label for _, _, frame in sections for label in frame}
    further = {measure: label for measure, label in run.study.further.items() if label not in in_sections}
    return [columns.rows(run), *columns.measured(run, run.study.ours), *columns.numbers(run, further)]


def from_frame(frame, number=lambda value: f"{value:.4g}"):
    """The columns of a frame, its floats as texts; NaN is empty."""
    return [Column(head, [_text(value, number) for value in frame[head]]) for head in frame] if len(frame) else []


def _text(value, number):
    if isinstance(value, float):
        return "" if pd.isna(value) else number(value)
    return str(value)


def _side_by_side(comparison):
    """One line for each row, one column for each measure."""
    lines = {}
    for line in comparison.to_dict("records"):
        text = f"{line['mean']:+.4g}\n[{line['low']:.4g}, {line['high']:.4g}]"
        lines.setdefault(line["row"], {"loss": line["row"], "against": line["against"]})[line["measure"]] = text
    return pd.DataFrame(list(lines.values()))


def _facts(run):
    """Where the numbers came from."""
    first = run.cells[0].provenance
    shared = {cell.provenance["shared_with"] for cell in run.cells if cell.provenance.get("shared_with")}
    return {
        "profile": run["profile"],
        "dataset": run["dataset"],
        "data fingerprint": run["data"],
        "commit": ", ".join(sorted({str(cell.provenance["commit"]) for cell in run.cells})),
        "hardware": json.dumps(first["hardware"]),
        "packages": json.dumps(first["packages"]),
        "backend": first["backend"],
        "seconds of all cells": f"{sum(cell.seconds for cell in run.cells):.0f}",
        "cells shared with": ", ".join(sorted({name.rpartition("/")[0] for name in shared})) or "no other table",
    }
