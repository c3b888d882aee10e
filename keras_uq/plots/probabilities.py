"""Figures of probabilities: histograms, and scores as functions of a threshold or another parameter."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_uq.plots.common import COLOURS, check_rows, in_legend, line_style, literal, new_figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def probability_histograms(rows: dict[str, tuple[Any, Any, Any]], title: str | None = None) -> "Figure":
    """Draw histograms of the foreground probability, one panel per row, on a logarithmic scale.

    Args:
        rows: `{row: (edges, background, foreground)}`: edges of the bins, and the numbers of background and foreground
            voxels in each bin.
        title: Title above the panels.

    Reference:
        Yeung et al. (2021), Figure 2.
    """
    check_rows("probability_histograms", "rows", rows)
    columns = 2
    lines = math.ceil(len(rows) / columns)
    figure = new_figure(0.85 * lines + 0.9, title)
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (name, (edges, background, foreground)) in zip(panels, rows.items()):
        total = np.sum(background) + np.sum(foreground)
        for counts, label, colour in ((background, "background", "#0072B2"), (foreground, "foreground", "#E69F00")):
            axes.stairs(np.asarray(counts) / total, edges, fill=True, alpha=0.55, color=colour, label=label)
        axes.set_yscale("log")
        axes.set_title(short(name), fontsize=7, pad=2)
        axes.tick_params(labelsize=6)
    for axes in panels[len(rows) :]:
        axes.set_axis_off()
    for axes in panels[max(len(rows) - columns, 0) : len(rows)]:
        axes.set_xlabel("foreground probability", fontsize=7)
        axes.xaxis.set_tick_params(labelbottom=True)
    figure.supylabel("share of pixels", fontsize=8)
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, frameon=False, fontsize=7)
    return figure


def threshold_curves(rows: dict[str, dict[str, Any]], title: str | None = None) -> "Figure":
    """Draw precision, recall and Dice against the threshold, one line per row, with intervals over cases as bands.

    Args:
        rows: `{row: {"threshold": ..., "precision": (mean, low, high), "recall": ..., "dice": ...}}`, sequences.
        title: Title above the panels.

    Reference:
        Yeung et al. (2021), Figure 4, upper half.
    """
    check_rows("threshold_curves", "rows", rows, ("threshold", "precision", "recall", "dice"))
    figure = new_figure(4.6, title)
    panels = figure.subplots(3, 1, sharex=True)
    for axes, measure in zip(panels, ("precision", "recall", "dice")):
        for number, (name, curves) in enumerate(rows.items()):
            mean, low, high = curves[measure]
            axes.plot(curves["threshold"], mean, linewidth=1.4, label=in_legend(name), **line_style(number))
            axes.fill_between(curves["threshold"], low, high, color=COLOURS[number % len(COLOURS)], alpha=0.2, lw=0)
        axes.set_ylabel({"dice": "Dice"}.get(measure, measure), fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel("threshold of the softmax", fontsize=8)
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, frameon=False, fontsize=7, handlelength=3)
    return figure


def measures_against(
    x: Sequence[float], measures: dict[str, tuple[Any, Any, Any]], xlabel: str, title: str | None = None
) -> "Figure":
    """Draw measures against a parameter, one panel per measure, with intervals as error bars.

    Args:
        x: Values of the parameter.
        measures: `{label: (mean, low, high)}`, sequences of the length of `x`.
        xlabel: Label of the x axis.
        title: Title above the panels.
    """
    check_rows("measures_against", "measures", measures)
    figure = new_figure(1.15 * len(measures) + 0.6, title)
    panels = np.atleast_1d(figure.subplots(len(measures), 1, sharex=True))
    for number, (axes, (label, (mean, low, high))) in enumerate(zip(panels, measures.items())):
        mean, low, high = (np.asarray(values, dtype="float64") for values in (mean, low, high))
        axes.errorbar(
            x,
            mean,
            yerr=[mean - low, high - mean],
            marker="o",
            markersize=3,
            linewidth=1,
            capsize=2,
            **line_style(number),
        )
        axes.set_ylabel(literal(label), fontsize=7)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel(literal(xlabel), fontsize=8)
    return figure
