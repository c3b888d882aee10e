"""Panels of pictures: preprocessing steps, predictions, uncertainty and errors."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_uq._kinds import Items, Number, argument
from keras_uq.plots.common import COLUMN, check_rows, literal, new_figure, opaque, short, tint

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def preparation_panel(
    stages: dict[str, np.ndarray], mask: np.ndarray | None = None, modality: str = "CT", title: str | None = None
) -> "Figure":
    """Draw one slice after each step of its preprocessing.

    Args:
        stages: `{name: array (height, width)}`; the first has the scan's units, the others lie within [0, 1].
        mask: Booleans `(height, width)` to outline, or `None`.
        modality: With `"CT"` the first colour bar is labelled in Hounsfield units.
        title: Title above the panels.

    Reference:
        Kethavath et al. (2025), Figure 2.
    """
    check_rows("preparation_panel", "stages", stages)
    figure = new_figure(1.9, title)
    panels = np.atleast_1d(figure.subplots(1, len(stages), sharex=True, sharey=True))
    for number, (axes, (name, picture)) in enumerate(zip(panels, stages.items())):
        limits = {} if number == 0 else {"vmin": 0, "vmax": 1}
        shown = axes.imshow(np.asarray(picture, "float32"), cmap="gray", **limits)
        if mask is not None and mask.any():
            axes.contour(mask, [0.5], colors="#56B4E9", linewidths=0.7)
        axes.set(xticks=[], yticks=[])
        axes.set_title(literal(name), fontsize=8)
        bar = figure.colorbar(shown, ax=axes, location="bottom", fraction=0.06, pad=0.03)
        bar.set_label(("HU" if modality == "CT" else "scanner units") if number == 0 else "network input", fontsize=7)
        bar.ax.tick_params(labelsize=6)
    return figure


def qualitative_panel(rows: dict[str, dict[str, Any]], title: str | None = None) -> "Figure":
    """Draw image, ground truth, prediction and uncertainty of one slice, one line per row.

    Args:
        rows: `{row: {"image", "mask", "predicted", "entropy"}}`, arrays `(height, width)`; entropy in nats.
        title: Title above the panel.

    The ground truth is outlined on all pictures except the image. Entropy is drawn over the image; higher values are
    more opaque.

    Reference:
        Kethavath et al. (2025), Figures 5 and 6.
    """
    keys = ("image", "mask", "predicted", "entropy")
    check_rows("qualitative_panel", "rows", rows, keys, pictures=keys)
    height, width = np.shape(next(iter(rows.values()))["image"])
    side = (COLUMN - 0.55) / 4
    figure = new_figure(len(rows) * side * min(height / width, 1.4) + 0.9, title)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    grid = np.atleast_2d(figure.subplots(len(rows), 4, sharex=True, sharey=True))
    for line, (name, maps) in zip(grid, rows.items()):
        image, mask = np.asarray(maps["image"], "float32"), np.asarray(maps["mask"], "float32")
        entropy = np.asarray(maps["entropy"], "float32")
        for axes in line:
            axes.imshow(image, cmap="gray")
            axes.set(xticks=[], yticks=[])
        for axes, filled, colour in ((line[1], mask, "#009E73"), (line[2], maps["predicted"], "#E69F00")):
            axes.imshow(tint(filled, colour))
        for axes in line[1:]:
            if mask.any():
                axes.contour(mask, [0.5], colors="white" if axes is line[3] else "#009E73", linewidths=0.5)
        share = np.clip(entropy / math.log(2), 0, 1)
        shown = line[3].imshow(
            entropy, cmap="magma", vmin=0, vmax=math.log(2), alpha=np.where(share > 0.1, 0.35 + 0.65 * share, 0)
        )
        line[0].set_ylabel(short(name).replace(" ", "\n"), fontsize=7)
    for axes, label in zip(grid[0], ("image", "ground truth", "prediction", "uncertainty")):
        axes.set_title(label, fontsize=7)
    shown = figure.colorbar(opaque(shown), ax=grid, location="bottom", fraction=0.02, pad=0.01, aspect=40)
    shown.set_label("entropy (nat)", fontsize=7)
    shown.ax.tick_params(labelsize=6)
    return figure


def picture_grid(rows: dict[str, Sequence[tuple[Any, Any]]], title: str | None = None) -> "Figure":
    """Draw pictures with outlined masks, one line per row, such as an image and its augmentations.

    Args:
        rows: `{row: list of (picture, mask)}`; pictures are `(height, width)` or `(height, width, 3)` within [0, 1],
            masks are Booleans `(height, width)`.
        title: Title above the grid.
    """
    columns = max(len(pairs) for pairs in check_rows("picture_grid", "rows", rows).values())
    figure = new_figure((COLUMN / columns + 0.15) * len(rows) + 0.4, title)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.03, wspace=0, hspace=0)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, pairs) in zip(grid, rows.items()):
        for axes in line:
            axes.set_axis_off()
        for axes, (picture, mask) in zip(line, pairs):
            axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
            if mask.any():
                axes.contour(mask, [0.5], colors="#E69F00", linewidths=0.4)
        line[0].set_title(short(name), fontsize=7, loc="left")
    return figure


def softmax_panel(rows: dict[str, dict[str, Any]], title: str | None = None) -> "Figure":
    """Draw picture, prediction and foreground probability, one line per row, with the ground truth outlined.

    Args:
        rows: `{row: {"image", "mask", "predicted", "probability"}}`: arrays `(height, width)` within [0, 1]; the image
            may also be `(height, width, 3)`.
        title: Title above the panel.

    Reference:
        Yeung et al. (2021), Figures 2 and 3.
    """
    keys = ("image", "mask", "predicted", "probability")
    check_rows("softmax_panel", "rows", rows, keys, pictures=keys[1:])
    height, width = np.shape(next(iter(rows.values()))["mask"])
    side = (COLUMN - 0.55) / 3
    figure = new_figure(len(rows) * side * min(height / width, 1.4) + 0.9, title)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    grid = np.atleast_2d(figure.subplots(len(rows), 3, sharex=True, sharey=True))
    for line, (name, maps) in zip(grid, rows.items()):
        mask = np.asarray(maps["mask"], "float32")
        for axes in line[:2]:
            axes.imshow(maps["image"], cmap="gray")
        line[1].imshow(tint(maps["predicted"], "#E69F00"))
        shown = line[2].imshow(np.asarray(maps["probability"], "float32"), cmap="magma", vmin=0, vmax=1)
        for axes in line:
            axes.set(xticks=[], yticks=[])
            if mask.any():
                axes.contour(mask, [0.5], colors="#56B4E9", linewidths=0.5)
        line[0].set_ylabel(short(name).replace(" ", "\n"), fontsize=7)
    for axes, label in zip(grid[0], ("image, truth", "prediction", "softmax")):
        axes.set_title(label, fontsize=7)
    bar = figure.colorbar(shown, ax=grid, location="bottom", fraction=0.02, pad=0.01, aspect=40)
    bar.set_label("foreground probability", fontsize=7)
    bar.ax.tick_params(labelsize=6)
    return figure


def threshold_panel(
    rows: dict[str, dict[str, Any]],
    thresholds: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
    title: str | None = None,
) -> "Figure":
    """Draw the segmentation of one picture at several thresholds, one line per row.

    White voxels are true positives, magenta ones false positives, green ones false negatives.

    Args:
        rows: As in `softmax_panel`; `predicted` is not used.
        thresholds: Thresholds, one column per value; voxels with at least this probability are foreground.
        title: Title above the panel.

    Reference:
        Yeung et al. (2021), Figure 4, lower half.
    """
    check_rows("threshold_panel", "rows", rows, ("mask", "probability"), pictures=("mask", "probability"))
    thresholds = argument("threshold_panel", "thresholds", thresholds, Items(Number(0, 1), least=1))
    height, width = np.shape(next(iter(rows.values()))["mask"])
    side = (COLUMN - 0.35) / len(thresholds)
    figure = new_figure(len(rows) * side * min(height / width, 1.4) + 0.6, title)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    grid = figure.subplots(len(rows), len(thresholds), squeeze=False, sharex=True, sharey=True)
    for line, (name, maps) in zip(grid, rows.items()):
        mask, probability = np.asarray(maps["mask"], bool), np.asarray(maps["probability"], "float32")
        for axes, threshold in zip(line, thresholds):
            predicted = probability >= threshold
            picture = np.full((*mask.shape, 3), 0.12, "float32")
            picture[mask & predicted] = 1.0
            picture[~mask & predicted] = (0.9, 0.0, 0.9)
            picture[mask & ~predicted] = (0.0, 0.75, 0.2)
            axes.imshow(picture)
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(short(name).replace(" ", "\n"), fontsize=7)
    for axes, threshold in zip(grid[0], thresholds):
        axes.set_title(f"T = {threshold:g}", fontsize=7)
    return figure
