"""Figures that the papers share: the pictures of chosen cases, and learning curves."""

import numpy as np
import pandas as pd

from experiments import measures
from keras_uq import plots

RULE = "highest and lowest Dice at 0.5 among the test cases, median over losses, each loss's first seed"


def choose_panels(folder):
    """Put the pictures of the best and the worst test case of all cells into one file of the run.

    Cells keep pictures of every test case beside their weights, where they were trained; the run keeps those of two.
    Without them, what the run has stays.
    """
    chosen, of_rows = measures.chosen_cases(folder)
    if not chosen or not all((cell / "panels.npz").exists() for cell in of_rows.values()):
        return
    pictures = {f"{which}|case": np.array(case) for which, case in chosen.items()}
    for row, cell in of_rows.items():
        with np.load(cell / "panels.npz", allow_pickle=False) as panels:
            for which, case in chosen.items():
                for name in panels.files:
                    of_case, _, kind = name.rpartition("|")
                    if of_case == case:
                        pictures[f"{which}|{row}|{kind}"] = panels[name]
    temporary = folder / ".panels.npz"
    np.savez_compressed(temporary, **pictures)
    temporary.replace(folder / "panels.npz")


def panel_rows(folder, which):
    """The chosen case, and `{row: {kind: picture}}` of it; `None` without pictures.

    Args:
        folder: Of the run.
        which: `"best"` or `"worst"`.
    """
    if not (folder / "panels.npz").exists():
        return None
    found = {}
    with np.load(folder / "panels.npz", allow_pickle=False) as panels:
        for row in measures.run_of(folder)["rows"]:
            prefix = f"{which}|{row}|"
            of_row = {name.removeprefix(prefix): panels[name] for name in panels.files if name.startswith(prefix)}
            if of_row:
                found[row] = of_row
        return (str(panels[f"{which}|case"]), found) if found else None


def learning_curves(folder, title, column="val_dice", label="validation Dice (soft, pooled)"):
    """A column of the histories by epoch, figure and caption."""
    histories = {}
    for row, cells in measures.cells(folder).groupby("row", sort=False):
        records = [path / "history.csv" for path in cells["folder"]]
        if all(path.exists() for path in records):  # A row made of other cells has none.
            histories[row] = [pd.read_csv(path)[column].to_numpy() for path in records]
    ordered = {row: histories[row] for row in measures.run_of(folder)["rows"] if row in histories}
    shown = label[0].upper() + label[1:].partition(" (")[0]
    caption = f"{shown} by epoch. Bold: mean over the seeds that still train; thin: seeds."
    return plots.learning_curves(ordered, label, title), caption
