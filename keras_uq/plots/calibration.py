"""Figures of calibration: reliability diagrams, ensembles by number of members, and Dice against segment entropy."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_uq._kinds import Integer, argument
from keras_uq._optional import require
from keras_uq.plots.common import COLOURS, COLUMN, check_rows, in_legend, line_style, literal, new_figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Bins with fewer voxels are not drawn, although they count in every score (Mehrtash et al., 2020).
LEAST = 1000
# Probabilities below this value are not drawn over the image.
LEAST_PROBABLE = 0.001


def reliability_diagram(
    curves: dict[str, Any], least: int = LEAST, title: str | None = None, columns: int = 2
) -> "Figure":
    """Draw reliability curves, one panel per curve. A perfectly calibrated curve lies on the diagonal.

    Args:
        curves: `{name: Reliability}`, each with arrays `(bins,)`.
        least: Smallest number of voxels for a bin to be drawn.
        title: Title above the panels.
        columns: Number of panels side by side.

    Reference:
        Mehrtash et al. (2020), Figures S1 to S3.
    """
    check_rows("reliability_diagram", "curves", curves)
    columns = argument("reliability_diagram", "columns", columns, Integer(least=1))
    lines = math.ceil(len(curves) / columns)
    figure = new_figure(1.5 * lines + 0.5, title)
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for number, (axes, (name, curve)) in enumerate(zip(panels, curves.items())):
        _reliability(axes, curve, least, COLOURS[number % len(COLOURS)])
        axes.set_title(short(name), fontsize=7, pad=2)
    for axes in panels[len(curves) :]:
        axes.set_axis_off()
    for axes in panels[max(len(curves) - columns, 0) : len(curves)]:
        axes.xaxis.set_tick_params(labelbottom=True)
    figure.supxlabel("mean probability of the bin", fontsize=8)
    figure.supylabel("observed frequency", fontsize=8)
    return figure


def _reliability(axes, curve, least, colour):
    counts, confidence, accuracy = (np.asarray(part, dtype="float64") for part in curve)
    shown = counts >= least
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle="--")
    axes.plot(confidence[shown], accuracy[shown], marker="o", markersize=3, linewidth=1.2, color=colour)
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], aspect="equal")
    axes.tick_params(labelsize=6)
    axes.grid(alpha=0.3)


def calibration_panel(
    rows: dict[str, dict[str, Any]], edges: np.ndarray, least: int = LEAST, title: str | None = None
) -> "Figure":
    """Compare the calibration of several rows on one scan, with one line of three pictures per row.

    The pictures show the probability map over the image, the reliability curve of the volume, and a histogram of the
    probabilities within the predicted segment.

    Args:
        rows: `{row: {"image", "mask", "probability", "reliability", "histogram", "scores"}}`. The first three are
            arrays `(height, width)`, then the three arrays of a `Reliability`, the number of voxels of the predicted
            segment in each bin of probability, and a short text.
        edges: Edges of the histogram's bins.
        least: Smallest number of voxels for a bin of the reliability curve to be drawn.
        title: Title above the panel.

    Reference:
        Mehrtash et al. (2020), Figures 1, 3 and S1 to S3.
    """
    keys = ("image", "mask", "probability", "reliability", "histogram", "scores")
    check_rows("calibration_panel", "rows", rows, keys, pictures=keys[:3])
    height, width = np.shape(next(iter(rows.values()))["mask"])
    side = (COLUMN - 0.5) / 3
    figure = new_figure(len(rows) * max(side * min(height / width, 1.3), side) * 1.12 + 0.7, title)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    grid = figure.subplots(len(rows), 3, squeeze=False)
    for line, (name, maps) in zip(grid, rows.items()):
        shown = _overlay(line[0], maps["image"], maps["mask"], maps["probability"])
        line[0].set_ylabel(short(name).replace(", ", "\n"), fontsize=6)
        _reliability(line[1], maps["reliability"], least, "#0072B2")
        line[1].text(0.04, 0.96, literal(maps["scores"]), fontsize=5, va="top", transform=line[1].transAxes)
        counts = np.asarray(maps["histogram"], dtype="float64")
        line[2].stairs(counts / max(counts.sum(), 1), edges, fill=True, color="#E69F00")
        line[2].set(xlim=(0, 1), xticks=[0, 0.5, 1], yticks=[])
        line[2].set_box_aspect(1)
        line[2].tick_params(labelsize=6)
    for axes, label in zip(
        grid[0], ("probability,\ntruth outlined", "reliability of\nthe volume", "probability in\nthe segment")
    ):
        axes.set_title(label, fontsize=7)
    bar = figure.colorbar(shown, ax=grid, location="bottom", fraction=0.02, pad=0.01, aspect=40)
    bar.set_label("foreground probability", fontsize=7)
    bar.ax.tick_params(labelsize=6)
    return figure


def members_panel(rows: dict[str, dict[str, Any]], title: str | None = None) -> "Figure":
    """Draw the predictions of ensembles of rising size for one scan, one line per row.

    Args:
        rows: `{row: {"image", "mask", "sizes": {members: probability}}}`, arrays `(height, width)`.
        title: Title above the panel.

    Reference:
        Mehrtash et al. (2020), Figures S5 and S6.
    """
    check_rows("members_panel", "rows", rows, ("image", "mask", "sizes"), pictures=("image", "mask"))
    first = next(iter(rows.values()))
    check_rows("members_panel", "sizes", first["sizes"])
    height, width = np.shape(first["mask"])
    columns = len(first["sizes"])
    side = (COLUMN - 0.4) / columns
    figure = new_figure(len(rows) * side * min(height / width, 1.4) + 0.9, title)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.02, wspace=0, hspace=0)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, maps) in zip(grid, rows.items()):
        for axes, (size, probability) in zip(line, maps["sizes"].items()):
            shown = _overlay(axes, maps["image"], maps["mask"], probability)
            axes.set_title(f"M = {size}", fontsize=7, pad=2)
        line[0].set_ylabel(short(name).replace(", ", "\n"), fontsize=6)
    bar = figure.colorbar(shown, ax=grid, location="bottom", fraction=0.03, pad=0.02, aspect=40)
    bar.set_label("foreground probability", fontsize=7)
    bar.ax.tick_params(labelsize=6)
    return figure


def _overlay(axes, image, mask, probability):
    probability = np.asarray(probability, dtype="float32")
    axes.imshow(np.asarray(image, dtype="float32"), cmap="gray")
    opacity = np.where(probability > LEAST_PROBABLE, 0.75, 0.0)
    shown = axes.imshow(probability, cmap="magma", vmin=0, vmax=1, alpha=opacity)
    if np.any(mask):
        axes.contour(np.asarray(mask, dtype="float32"), [0.5], colors="#56B4E9", linewidths=0.6)
    axes.set(xticks=[], yticks=[])
    return shown


def nll_vs_members(measures: dict[str, dict[str, Any]], title: str | None = None) -> "Figure":
    """Draw measures against the size of an ensemble, one panel per measure and one line per row, with ranges as bands.

    Args:
        measures: `{label: {row: (sizes, mean, low, high)}}`, sequences.
        title: Title above the panels.

    Reference:
        Mehrtash et al. (2020), Figures 2 and S4.
    """
    check_rows("nll_vs_members", "measures", measures)
    figure = new_figure(1.3 * len(measures) + 0.9, title)
    panels = np.atleast_1d(figure.subplots(len(measures), 1, sharex=True))
    for axes, (label, rows) in zip(panels, measures.items()):
        for number, (name, (sizes, mean, low, high)) in enumerate(rows.items()):
            style = line_style(number)
            axes.plot(sizes, mean, marker="o", markersize=3, linewidth=1.2, label=in_legend(name), **style)
            axes.fill_between(sizes, low, high, color=style["color"], alpha=0.2, linewidth=0)
        axes.set_ylabel(literal(label), fontsize=7)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel("members of the ensemble", fontsize=8)
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, frameon=False, fontsize=7, handlelength=3)
    return figure


def segment_regression(rows: dict[str, dict[str, Any]], title: str | None = None) -> "Figure":
    """Draw the logit of Dice against segment entropy with a regression line, one panel per row.

    Dots are the test scans; crosses are corrupted scans, which the regression does not use.

    Args:
        rows: `{row: {"points": {segment: (entropy, logit of Dice, corrupted entropy, corrupted logit)}, "text"}}`:
            four sequences per segment, and a text for the corner, such as r and p.
        title: Title above the panels.

    Reference:
        Mehrtash et al. (2020), Figures 3 and S8.
    """
    check_rows("segment_regression", "rows", rows, ("points", "text"))
    seaborn = require("seaborn", extra="plots", purpose="A regression plot")
    figure = new_figure(2.1 * len(rows) + 0.6, title)
    panels = np.atleast_1d(figure.subplots(len(rows), 1, sharex=True, sharey=True))
    for axes, (name, row) in zip(panels, rows.items()):
        for number, (segment, points) in enumerate(row["points"].items()):
            entropy, dice, corrupted_entropy, corrupted_dice = (np.asarray(part, dtype="float64") for part in points)
            colour = COLOURS[number % len(COLOURS)]
            axes.scatter(corrupted_entropy, corrupted_dice, marker="x", s=7, linewidths=0.6, color=colour, alpha=0.35)
            complete = ~(np.isnan(entropy) | np.isnan(dice))
            seaborn.regplot(
                x=entropy[complete],
                y=dice[complete],
                ax=axes,
                color=colour,
                truncate=True,
                seed=0,
                label=in_legend(segment),
                scatter_kws={"s": 9, "alpha": 0.8, "linewidths": 0},
                line_kws={"linewidth": 1.2},
            )
        axes.set_title(short(name), fontsize=7, pad=2)
        axes.text(0.98, 0.97, literal(row["text"]), fontsize=6, va="top", ha="right", transform=axes.transAxes)
        axes.set_ylabel("logit of Dice", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel("segment entropy (nat)", fontsize=8)
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, frameon=False, fontsize=7)
    return figure
