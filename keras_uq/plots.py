"""Figures of results. Every function returns a `matplotlib.figure.Figure` and shows or writes nothing."""

import math
import textwrap

import numpy as np

from keras_uq._optional import require

# Width in inches of one column of a journal page. Letters are 7 to 8 points there.
COLUMN = 3.5
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
    figure = _figure(3.4, title)
    axes = figure.subplots()
    for number, (name, seeds) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        style = STYLES[(number // len(COLOURS) + number) % len(STYLES)]
        longest = max(len(seed) for seed in seeds)
        if len(seeds) > 1:
            for seed in seeds:
                axes.plot(range(1, len(seed) + 1), seed, color=colour, alpha=0.25, linewidth=0.6)
        padded = np.full((len(seeds), longest), np.nan)
        for line, seed in zip(padded, seeds):
            line[: len(seed)] = seed
        axes.plot(
            range(1, longest + 1), np.nanmean(padded, axis=0), color=colour, linestyle=style, linewidth=1.4, label=name
        )
    axes.set_xlabel("epoch", fontsize=8)
    axes.set_ylabel(ylabel, fontsize=8)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=7, handlelength=3)
    return figure


def case_scores(scores, xlabels, title=None):
    """Values of each test case, one row of dots a row, with the median as a bar; one panel a measure.

    Args:
        scores: `{row: tuple of sequences}`, one sequence a measure.
        xlabels: Names of the measures.
        title: Above the panels.
    """
    figure = _figure(0.3 * len(scores) + 1.1, title)
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
    _name_rows(panels[0], scores)
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
    figure = _figure(0.36 * len(values) + 1.0, title)
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
    axes.set_yticks(range(len(values)), [_short(name) for name in values])
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
    figure = _figure(0.3 * len(rows) + 1.1, title)
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
    _name_rows(axes, rows)
    return figure


def preparation_panel(stages, mask=None, modality="CT", title=None):
    """One slice after each step of its preparation.

    Args:
        stages: `{name: (height, width)}`: the first in the scan's own units, the rest within [0, 1].
        mask: Booleans `(height, width)` to outline, or `None`.
        modality: `"CT"` puts Hounsfield units on the first colour bar.
        title: Above the panels.

    Reference:
        Kethavath et al. (2025), Figure 2.
    """
    figure = _figure(1.9, title)
    panels = np.atleast_1d(figure.subplots(1, len(stages), sharex=True, sharey=True))
    for number, (axes, (name, picture)) in enumerate(zip(panels, stages.items())):
        limits = {} if number == 0 else {"vmin": 0, "vmax": 1}
        shown = axes.imshow(np.asarray(picture, "float32"), cmap="gray", **limits)
        if mask is not None and mask.any():
            axes.contour(mask, [0.5], colors="#56B4E9", linewidths=0.7)
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=8)
        bar = figure.colorbar(shown, ax=axes, location="bottom", fraction=0.06, pad=0.03)
        bar.set_label(("HU" if modality == "CT" else "scanner units") if number == 0 else "network input", fontsize=7)
        bar.ax.tick_params(labelsize=6)
    return figure


def qualitative_panel(rows, title=None):
    """Image, ground truth, prediction and uncertainty of one slice, one line a row.

    Args:
        rows: `{row: {"image", "mask", "predicted", "entropy"}}`, arrays `(height, width)`; entropy in nats.
        title: Above the panel.

    The outline of the ground truth is on every picture. Entropy is laid over the image, the more opaque the higher.

    Reference:
        Kethavath et al. (2025), Figures 5 and 6.
    """
    height, width = np.shape(next(iter(rows.values()))["image"])
    side = (COLUMN - 0.55) / 4
    figure = _figure(len(rows) * side * min(height / width, 1.4) + 0.9, title)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    grid = np.atleast_2d(figure.subplots(len(rows), 4, sharex=True, sharey=True))
    for line, (name, maps) in zip(grid, rows.items()):
        image, mask = np.asarray(maps["image"], "float32"), np.asarray(maps["mask"], "float32")
        entropy = np.asarray(maps["entropy"], "float32")
        for axes in line:
            axes.imshow(image, cmap="gray")
            axes.set(xticks=[], yticks=[])
        for axes, filled, colour in ((line[1], mask, "#009E73"), (line[2], maps["predicted"], "#E69F00")):
            axes.imshow(_tint(filled, colour))
        for axes in line[1:]:
            if mask.any():
                axes.contour(mask, [0.5], colors="white" if axes is line[3] else "#009E73", linewidths=0.5)
        share = np.clip(entropy / math.log(2), 0, 1)
        shown = line[3].imshow(
            entropy, cmap="magma", vmin=0, vmax=math.log(2), alpha=np.where(share > 0.1, 0.35 + 0.65 * share, 0)
        )
        line[0].set_ylabel(_short(name).replace(" ", "\n"), fontsize=7)
    for axes, label in zip(grid[0], ("image", "ground truth", "prediction", "uncertainty")):
        axes.set_title(label, fontsize=7)
    shown = figure.colorbar(_opaque(shown), ax=grid, location="bottom", fraction=0.02, pad=0.01, aspect=40)
    shown.set_label("entropy (nat)", fontsize=7)
    shown.ax.tick_params(labelsize=6)
    return figure


def _figure(height, title=None):
    matplotlib = require("matplotlib.figure", extra="plots", purpose="Plotting")
    figure = matplotlib.Figure(figsize=(COLUMN, height), layout="constrained")
    if title:
        lines = (line for part in title.splitlines() for line in textwrap.wrap(part, 58))
        figure.suptitle("\n".join(lines), fontsize=8)
    return figure


def _name_rows(axes, rows):
    axes.set_yticks(range(len(rows)), [_short(name) for name in rows])
    axes.invert_yaxis()


def _short(name):
    return name.removesuffix(" Loss")


def _tint(mask, colour):
    """A mask as a half transparent RGBA picture."""
    colours = require("matplotlib.colors", extra="plots", purpose="Plotting")
    mask = np.asarray(mask, dtype="float32")
    picture = np.empty((*mask.shape, 4), dtype="float32")
    picture[..., :3] = colours.to_rgb(colour)
    picture[..., 3] = 0.45 * mask
    return picture


def _opaque(shown):
    """The colours of a picture without its transparency, for the colour bar."""
    cm = require("matplotlib.cm", extra="plots", purpose="Plotting")
    return cm.ScalarMappable(norm=shown.norm, cmap=shown.cmap)
