"""Figures of results. Every function returns a `matplotlib.figure.Figure` and shows or writes nothing."""

import math

import numpy as np

from keras_uq._optional import require

# Width in inches of two columns of a journal page.
PAGE = 7.2
# Okabe and Ito (2008): told apart with every common kind of colour vision.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442")
STYLES = ("-", "--", "-.", ":")


def learning_curves(curves, ylabel, title=None):
    """A measure against the epoch, one line a row; seeds as thin lines around their mean.

    Args:
        curves: `{row: list of sequences}`, one sequence a seed; they may have different lengths.
        ylabel: What the values are.
        title: Above the axes.
    """
    figure = _figure((PAGE, 3.6))
    axes = figure.subplots()
    for number, (name, seeds) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        style = STYLES[(number // len(COLOURS) + number) % len(STYLES)]
        longest = max(len(seed) for seed in seeds)
        if len(seeds) > 1:
            for seed in seeds:
                axes.plot(range(1, len(seed) + 1), seed, color=colour, alpha=0.25, linewidth=0.8)
        padded = np.full((len(seeds), longest), np.nan)
        for line, seed in zip(padded, seeds):
            line[: len(seed)] = seed
        axes.plot(range(1, longest + 1), np.nanmean(padded, axis=0), color=colour, linestyle=style, label=name)
    axes.set(xlabel="Epoch", ylabel=ylabel, ylim=(0, 1))
    axes.set_title(title or "", fontsize=9)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    return figure


def case_scores(scores, xlabels, title=None):
    """Values of each test case, one row of dots a row, with the median as a bar; one panel a measure.

    Args:
        scores: `{row: tuple of sequences}`, one sequence a measure.
        xlabels: Names of the measures.
        title: Above the panels.
    """
    figure = _figure((PAGE, 0.42 * len(scores) + 1.2))
    panels = np.atleast_1d(figure.subplots(1, len(xlabels), sharey=True))
    rng = np.random.default_rng(0)
    for place, (axes, label) in enumerate(zip(panels, xlabels)):
        for height, (number, measures) in enumerate(zip(range(len(scores)), scores.values())):
            values = np.asarray(measures[place], dtype="float64")
            values = values[~np.isnan(values)]
            jitter = rng.uniform(-0.18, 0.18, len(values))
            axes.plot(values, height + jitter, "o", color=COLOURS[number % len(COLOURS)], markersize=3, alpha=0.55)
            if len(values):
                axes.plot([np.median(values)] * 2, [height - 0.32, height + 0.32], color="black", linewidth=1.4)
        axes.set(xlabel=label)
        axes.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(scores)), list(scores))
    panels[0].invert_yaxis()
    if title:
        figure.suptitle(title, fontsize=9)
    return figure


def qualitative_panel(rows, title=None):
    """Image with the label's outline, prediction and uncertainty of one slice, one line a row.

    Args:
        rows: `{row: {"image", "mask", "probability", "entropy"}}`, arrays `(height, width)`; entropy in nats.
        title: Above the panel.
    """
    figure = _figure((PAGE, 1.55 * len(rows) + 0.7))
    grid = np.atleast_2d(figure.subplots(len(rows), 3, sharex=True, sharey=True))
    for line, (name, maps) in zip(grid, rows.items()):
        image, mask = np.asarray(maps["image"], "float32"), np.asarray(maps["mask"], "float32")
        for axes in line:
            axes.imshow(image, cmap="gray")
            axes.set(xticks=[], yticks=[])
        shown = [
            None,
            line[1].imshow(np.asarray(maps["probability"], "float32"), cmap="viridis", vmin=0, vmax=1),
            line[2].imshow(
                np.asarray(maps["entropy"], "float32"),
                cmap="magma",
                vmin=0,
                vmax=math.log(2),
            ),
        ]
        for axes, colour in zip(line, ("#56B4E9", "white", "#56B4E9")):
            if mask.any():
                axes.contour(mask, [0.5], colors=colour, linewidths=0.8)
        line[0].set_ylabel(name.removesuffix(" Loss"), fontsize=8)
    for axes, label in zip(grid[0], ("image, label outlined", "mean prediction", "entropy")):
        axes.set_title(label, fontsize=9)
    for column, label in ((1, "probability"), (2, "nat")):
        bar = figure.colorbar(shown[column], ax=grid[:, column], location="bottom", fraction=0.03, pad=0.01)
        bar.set_label(label, fontsize=8)
        bar.ax.tick_params(labelsize=7)
    if title:
        figure.suptitle(title, fontsize=9)
    return figure


def _figure(size):
    figure = require("matplotlib.figure", extra="plots", purpose="Plotting")
    return figure.Figure(figsize=size, layout="constrained")
