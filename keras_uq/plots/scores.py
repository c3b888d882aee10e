"""Figures that compare the scores and the uncertainty of the rows of a table."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_uq._optional import require
from keras_uq.plots.common import (
    COLOURS,
    check_rows,
    in_legend,
    line_style,
    literal,
    name_rows,
    new_figure,
    short,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Longest name, in letters, with which a legend has two columns.
LONGEST = 24


def learning_curves(curves: dict[str, Sequence[Any]], ylabel: str, title: str | None = None) -> "Figure":
    """Draw a measure against the epoch: one thick line per row for the mean over seeds, thin lines for the seeds.

    Args:
        curves: `{row: list of sequences}`, one sequence per seed; they may have different lengths.
        ylabel: Label of the y axis.
        title: Title above the axes.
    """
    check_rows("learning_curves", "curves", curves)
    columns = 1 if max(map(len, curves)) > LONGEST else 2
    figure = new_figure(2.7 + 0.17 * -(-len(curves) // columns), title)
    axes = figure.subplots()
    for number, (name, seeds) in enumerate(curves.items()):
        style = line_style(number)
        longest = max(len(seed) for seed in seeds)
        if len(seeds) > 1:
            for seed in seeds:
                axes.plot(range(1, len(seed) + 1), seed, color=style["color"], alpha=0.25, linewidth=0.6)
        padded = np.full((len(seeds), longest), np.nan)
        for line, seed in zip(padded, seeds):
            line[: len(seed)] = seed
        axes.plot(range(1, longest + 1), np.nanmean(padded, axis=0), linewidth=1.4, label=in_legend(name), **style)
    axes.set_xlabel("epoch", fontsize=8)
    axes.set_ylabel(wrapped(ylabel, 32), fontsize=8)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=7, handlelength=3)
    return figure


def case_scores(scores: dict[str, Sequence[Any]], xlabels: Sequence[str], title: str | None = None) -> "Figure":
    """Draw the scores of all test cases as dots, with the median as a bar: one panel per measure, one line per row.

    Args:
        scores: `{row: tuple of sequences}`, one sequence per measure.
        xlabels: Names of the measures.
        title: Title above the panels.
    """
    check_rows("case_scores", "scores", scores)
    for row, measures in scores.items():
        if not xlabels or len(measures) != len(xlabels):
            raise ValueError(
                f"case_scores expects one sequence of scores for each of {len(xlabels)} `xlabels`, at least one. "
                f"Received: {len(measures)} for {row!r}."
            )
    figure = new_figure(0.3 * len(scores) + 1.1, title)
    panels = np.atleast_1d(figure.subplots(1, len(xlabels), sharey=True))
    rng = np.random.default_rng(0)
    for index, (axes, label) in enumerate(zip(panels, xlabels)):
        for height, measures in enumerate(scores.values()):
            values = np.asarray(measures[index], dtype="float64")
            values = values[~np.isnan(values)]
            jitter = rng.uniform(-0.18, 0.18, len(values))
            axes.plot(values, height + jitter, "o", color=COLOURS[height % len(COLOURS)], markersize=2, alpha=0.55)
            if len(values):
                axes.plot([np.median(values)] * 2, [height - 0.32, height + 0.32], color="black", linewidth=1.2)
        axes.set_xlabel(literal(label), fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(axis="x", alpha=0.3)
    name_rows(panels[0], scores)
    return figure


def violin(values: dict[str, Any], xlabel: str, title: str | None = None) -> "Figure":
    """Draw distributions of a positive quantity on a logarithmic axis, one violin per row, with lines at the quartiles.

    Args:
        values: `{row: sequence of positive numbers}`.
        xlabel: Label of the x axis.
        title: Title above the axes.

    Raises:
        ValueError: If there is no row, or if a row has no value or one that is not positive and finite.

    Reference:
        Kethavath et al. (2025), Figure 3.
    """
    check_rows("violin", "values", values)
    seaborn = require("seaborn", extra="plots", purpose="A violin plot")
    values = {name: np.asarray(row_values, dtype="float64") for name, row_values in values.items()}
    for name, row_values in values.items():
        if not row_values.size or not (np.isfinite(row_values) & (row_values > 0)).all():
            worst = row_values.min() if row_values.size else "none"
            raise ValueError(
                f"violin has a logarithmic axis, so it needs positive values, which are finite. Received for {name!r}: "
                f"the least is {worst}."
            )
    figure = new_figure(0.36 * len(values) + 1.0, title)
    axes = figure.subplots()
    names = [name for name, row_values in values.items() for _ in row_values]
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(values)}
    seaborn.violinplot(
        x=np.log10(np.concatenate(list(values.values()))),
        y=names,
        hue=names,
        palette=colours,
        order=list(values),
        orient="h",
        inner="quart",
        density_norm="width",
        cut=0,
        linewidth=0.7,
        legend=False,
        ax=axes,
    )
    for body in axes.collections:
        body.set_alpha(0.6)  # Keep the quartile lines visible on dark colours.
    low, high = axes.get_xlim()
    decades = np.arange(math.floor(low), math.ceil(high) + 1)
    decades = decades[(decades >= low) & (decades <= high)]
    if len(decades) > 1:
        axes.set_xticks(decades, [f"$10^{{{decade}}}$" for decade in decades])
    else:
        axes.xaxis.set_major_formatter(lambda value, _: f"{10**value:.2g}")
    axes.set_ylabel("")
    axes.set_xlabel(literal(xlabel), fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(axis="x", alpha=0.3)
    axes.set_yticks(range(len(values)), [short(name) for name in values])
    return figure


def confidence(
    rows: dict[str, tuple[float, float, float]], foreground: float | None = None, title: str | None = None
) -> "Figure":
    """Draw the mean prediction of each row with its standard deviations over slices (thick) and pixels (thin).

    Args:
        rows: `{row: (mean, std over slices, std over pixels)}`, probabilities.
        foreground: Share of foreground in the labels, drawn as a dashed line, or `None`.
        title: Title above the axes.

    Reference:
        Kethavath et al. (2025), Figure 4 and Eq. 17 and 18. The standard deviations that the paper prints are over
        slices in some tables and over pixels in others.
    """
    check_rows("confidence", "rows", rows)
    figure = new_figure(0.3 * len(rows) + 1.1, title)
    axes = figure.subplots()
    for height, (mean, slices, pixels) in enumerate(rows.values()):
        colour = COLOURS[height % len(COLOURS)]
        axes.errorbar(mean, height, xerr=pixels, color=colour, linewidth=0.8, capsize=2)
        axes.errorbar(mean, height, xerr=slices, color=colour, linewidth=3)
        axes.plot(mean, height, "o", color="white", markeredgecolor="black", markersize=4)
    if foreground is not None:
        axes.axvline(foreground, color="black", linestyle="--", linewidth=0.8)
    axes.set_xlabel("foreground probability, mean and std", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(axis="x", alpha=0.3)
    name_rows(axes, rows)
    return figure
