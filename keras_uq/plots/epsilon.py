"""Figures of PolyDice, and of distributions that change while a network trains."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_uq._kinds import Items, Number, argument
from keras_uq.plots.common import COLOURS, check_rows, literal, new_figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def poly_dice_curves(
    epsilons: Sequence[float] = (-0.25, 0.0, 0.5, 1.0), scale: float = 0.1, title: str | None = None
) -> "Figure":
    """Draw the PolyDice-1 loss against the angle between label and prediction, at a fixed scale.

    Args:
        epsilons: Values of epsilon, one line per value.
        scale: Scale `s`, in [0, 1].
        title: Title above the axes.

    The dotted line is the Dice loss, `1 - s cos theta`.

    Reference:
        Hiroike (2026), Figure 2 and Eq. 6.
    """
    epsilons = argument("poly_dice_curves", "epsilons", epsilons, Items(Number(), least=1))
    scale = argument("poly_dice_curves", "scale", scale, Number(0, 1))
    figure = new_figure(2.4, title)
    axes = figure.subplots()
    theta = np.linspace(0, np.pi / 2, 91)
    for number, epsilon in enumerate(epsilons):
        loss = 1 - scale + scale * (0.5 + epsilon) * theta**2
        axes.plot(theta, loss, color=COLOURS[number % len(COLOURS)], linewidth=1.2, label=f"epsilon = {epsilon:g}")
    axes.plot(theta, 1 - scale * np.cos(theta), color="black", linestyle=":", linewidth=1.2, label="Dice")
    axes.set_xlabel("angle (rad)", fontsize=8)
    axes.set_ylabel("loss", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=7)
    return figure


def quantile_bands(rows: dict[str, tuple[Any, Any]], xlabel: str, ylabel: str, title: str | None = None) -> "Figure":
    """Draw median, interquartile range and 5 to 95 % range of a quantity by epoch, one panel per row.

    Args:
        rows: `{row: (x, quantiles)}`; quantiles `(x, 7)` at 0, 5, 25, 50, 75, 95 and 100 %.
        xlabel: Label of the x axis.
        ylabel: Label of the y axis.
        title: Title above the panels.
    """
    check_rows("quantile_bands", "rows", rows)
    figure = new_figure(1.5 * len(rows) + 0.6, title)
    panels = np.atleast_1d(figure.subplots(len(rows), 1, sharex=True, sharey=True))
    for number, (axes, (name, (x, quantiles))) in enumerate(zip(panels, rows.items())):
        colour, values = COLOURS[number % len(COLOURS)], np.asarray(quantiles, dtype="float64").T
        axes.fill_between(x, values[1], values[5], color=colour, alpha=0.2, linewidth=0)
        axes.fill_between(x, values[2], values[4], color=colour, alpha=0.4, linewidth=0)
        axes.plot(x, values[3], color=colour, marker="o", markersize=3, linewidth=1.2)
        axes.set_title(short(name), fontsize=7, loc="left")
        axes.set_ylabel(literal(ylabel), fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel(literal(xlabel), fontsize=8)
    return figure


def scatter(rows: dict[str, tuple[Any, Any]], xlabel: str, ylabel: str, title: str | None = None) -> "Figure":
    """Draw one quantity of each image against another, one panel per row.

    Args:
        rows: `{row: (x, y)}`, two sequences of equal length.
        xlabel: Label of the x axis.
        ylabel: Label of the y axis.
        title: Title above the panels.
    """
    check_rows("scatter", "rows", rows)
    figure = new_figure(1.6 * len(rows) + 0.6, title)
    panels = np.atleast_1d(figure.subplots(len(rows), 1, sharex=True, sharey=True))
    for number, (axes, (name, (x, y))) in enumerate(zip(panels, rows.items())):
        axes.plot(x, y, ".", color=COLOURS[number % len(COLOURS)], alpha=0.5, markersize=3)
        axes.set_title(short(name), fontsize=7, loc="left")
        axes.set_ylabel(literal(ylabel), fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel(literal(xlabel), fontsize=8)
    return figure
