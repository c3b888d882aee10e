"""The figures of a run of Zhang et al. (2025), from its records."""

import pandas as pd

from experiments import measures
from experiments.figures import RULE, learning_curves, panel_rows
from keras_uq import plots


def draw(folder, title):
    """`{name: (figure, caption)}` of a run, in the order of the page."""
    found = {
        "learning_curves": learning_curves(folder, title, label="validation Dice (of predicted classes, pooled)"),
        "training_loss": learning_curves(folder, title, "loss", "training loss (each its own)"),
    }
    adaptive = {row: of_row for row, of_row in histories(folder).items() if "tversky_weight" in of_row[0]}
    for column, label in {
        "tversky_weight": "weight of the Tversky loss (the rest is the cross-entropy's)",
        "tversky": "Tversky loss, unweighted",
        "crossentropy": "cross-entropy, unweighted",
    }.items():
        if adaptive:
            curves = {row: [history[column].to_numpy() for history in of_row] for row, of_row in adaptive.items()}
            caption = (
                f"{label[0].upper()}{label[1:]} by epoch, of the rows with adaptive weights. Bold: mean over seeds."
            )
            found[column] = (plots.learning_curves(curves, label, title), caption)
    for which in ("best", "worst"):
        if (chosen := panel_rows(folder, which)) is not None:
            case, rows = chosen
            found[f"slices_{which}"] = (
                plots.softmax_panel(rows, f"{title}\n{which} case: {case}"),
                f"The {which} test case, {case} (Fig. 3): the slice with most foreground; outline: ground truth. "
                f"Rule: {RULE}.",
            )
            found[f"surfaces_{which}"] = (
                plots.surface_panel(rows, f"{title}\n{which} case: {case}"),
                f"The {which} test case, {case} (Fig. 3): surfaces of the ground truth and of the prediction.",
            )
    return found


def histories(folder):
    """`{row: histories of its cells, one a seed}` of the rows that were trained, in the order of the table."""
    found = {}
    for row, cells in measures.cells(folder).groupby("row", sort=False):
        paths = [path / "history.csv" for path in cells["folder"]]
        if all(path.exists() for path in paths):
            found[row] = [pd.read_csv(path) for path in paths]
    return {row: found[row] for row in measures.run_of(folder)["rows"] if row in found}
