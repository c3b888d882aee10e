"""Figures that the papers share: the pictures of chosen cases, and learning curves."""

import numpy as np

from experiments.records import open_arrays
from keras_uq import plots
from keras_uq.files import replacing

RULE = "highest and lowest Dice at 0.5 among the test cases, median over losses, each loss's first seed"


def choose_panels(run):
    """Put the pictures of the best and the worst test case of all cells into one file of the run.

    Cells keep pictures of every test case beside their weights, where they were trained; the run keeps those of two.
    Where a cell's pictures are gone, the run keeps what it has.
    """
    chosen, cells = run.chosen_cases, run.first
    if not chosen or not all((cell.folder / "panels.npz").exists() for cell in cells.values()):
        return
    pictures = {f"{which}|case": np.array(case) for which, case in chosen.items()}
    for row, cell in cells.items():
        with open_arrays(cell.folder / "panels.npz") as panels:
            for which, case in chosen.items():
                for name in panels.files:
                    owner, _, kind = name.rpartition("|")
                    if owner == case:
                        pictures[f"{which}|{row}|{kind}"] = panels[name]
    with replacing(run.folder / "panels.npz") as temporary:
        np.savez_compressed(temporary, **pictures)


def panel_figures(run, **drawings):
    """Figures of the best and of the worst case, `{<name>_<which>: (figure, caption)}`; `None` without pictures.

    Args:
        run: The `Run`.
        **drawings: `name=(run, which, case, {row: {kind: picture}}) -> (figure, caption)`.
    """
    figures = {}
    for which in ("best", "worst"):
        panels = run.panels(which)
        for name, draw in drawings.items():
            figures[f"{name}_{which}"] = panels and draw(run, which, *panels)
    return figures


def learning_curves(run, column="val_dice", label="validation Dice (soft, pooled)"):
    """A column of the histories by epoch, figure and caption."""
    curves = {row: [history[column].to_numpy() for history in histories] for row, histories in run.histories.items()}
    shown = label[0].upper() + label[1:].partition(" (")[0]
    caption = f"{shown} by epoch. Bold: mean over the seeds that still train; thin: seeds."
    return plots.learning_curves(curves, label, run.title), caption
