"""Scores and uncertainty by row."""

import math
import textwrap

import numpy as np

from keras_uq._optional import require
from keras_uq.plots.common import COLOURS, line_style, name_rows, new_figure, short

# Letters of a name of which two stand side by side.
LONGEST = 24


def learning_curves(curves, ylabel, title=None):
    """A measure against the epoch, one line a row; seeds as thin lines around their mean.

    Args:
        curves: `{row: list of sequences}`, one sequence a seed; they may have different lengths.
        ylabel: What the values are.
        title: Above the axes.
    """
    columns = 1 if max(map(len, curves), default=0) > LONGEST else 2
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
        axes.plot(range(1, longest + 1), np.nanmean(padded, axis=0), linewidth=1.4, label=name, **style)
    axes.set_xlabel("epoch", fontsize=8)
    axes.set_ylabel("\n".join(textwrap.wrap(ylabel, 32)), fontsize=8)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=7, handlelength=3)
    return figure


def case_scores(scores, xlabels, title=None):
    """Values of each test case, one row of dots a row, with the median as a bar; one panel a measure.

    Args:
        scores: `{row: tuple of sequences}`, one sequence a measure.
        xlabels: Names of the measures.
        title: Above the panels.
    """
    figure = new_figure(0.3 * len(scores) + 1.1, title)
    panels = np.atleast_1d(figure.subplots(1, len(xlabels), sharey=True))
    rng = np.random.default_rng(0)
    for place, (axes, label) in enumerate(zip(panels, xlabels)):
        for height, (number, measures) in enumerate(zip(range(len(scores)), scores.values())):
            values = np.asarray(measures[place], dtype="float64")
            values = values[~np.isnan(values)]
            jitter = rng.uniform(-0.18, 0.18, len(values))
            axes.plot(values, height + jitter, "o", color=COLOURS[number % len(COLOURS)], markersize=2, alpha=0.55)
            if len(values):
                axes.plot([np.median(values)] * 2, [height - 0.32, height + 0.32], color="black", linewidth=1.2)
        axes.set_xlabel(label, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(axis="x", alpha=0.3)
    name_rows(panels[0], scores)
    return figure


def violin(values, xlabel, title=None):
    """Distributions of a positive quantity, one violin a row, on a logarithmic axis; lines are quartiles.

    Args:
        values: `{row: sequence of positive numbers}`.
        xlabel: What they are.
        title: Above the axes.

    Raises:
        ValueError: If a value is not positive.

    Reference:
        Kethavath et al. (2025), Figure 3.
    """
    seaborn = require("seaborn", extra="plots", purpose="A violin plot")
    values = {name: np.asarray(of_row, dtype="float64") for name, of_row in values.items()}
    for name, of_row in values.items():
        if not (of_row > 0).all():
            raise ValueError(f"A logarithmic axis needs positive values. Received for {name}: {of_row.min()}.")
    figure = new_figure(0.36 * len(values) + 1.0, title)
    axes = figure.subplots()
    names = [name for name, of_row in values.items() for _ in of_row]
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
        body.set_alpha(0.6)  # The quartiles show on dark colours too.
    low, high = axes.get_xlim()
    decades = np.arange(math.floor(low), math.ceil(high) + 1)
    decades = decades[(decades >= low) & (decades <= high)]
    if len(decades) > 1:
        axes.set_xticks(decades, [f"$10^{{{decade}}}$" for decade in decades])
    else:
        axes.xaxis.set_major_formatter(lambda value, _: f"{10**value:.2g}")
    axes.set_ylabel("")
    axes.set_xlabel(xlabel, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(axis="x", alpha=0.3)
    axes.set_yticks(range(len(values)), [short(name) for name in values])
    return figure


def confidence(rows, foreground=None, title=None):
    """Mean prediction by row, with its spread.

    Args:
        rows: `{row: (mean, std over slices, std over pixels)}`, probabilities.
        foreground: Share of foreground in the labels, drawn as a line, or `None`.
        title: Above the axes.

    Reference:
        Kethavath et al. (2025), Figure 4 and Eq. 17 and 18. The printed stds are over slices in some tables, over
        pixels in others.
    """
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
