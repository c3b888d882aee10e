"""The figures of a run of Zhang et al. (2025), from its records."""

from experiments.figures import RULE, learning_curves, panel_figures
from keras_uq import plots

ADAPTIVE = {
    "tversky_weight": "weight of the Tversky loss (the rest is the cross-entropy's)",
    "tversky": "Tversky loss, unweighted",
    "crossentropy": "cross-entropy, unweighted",
}


def draw(run):
    """`{name: (figure, caption)}` of a run, in the order of the page."""
    figures = {
        "learning_curves": learning_curves(run, label="validation Dice (of predicted classes, pooled)"),
        "training_loss": learning_curves(run, "loss", "training loss (each its own)"),
    }
    adaptive = {row: frames for row, frames in run.histories.items() if "tversky_weight" in frames[0]}
    for column, label in ADAPTIVE.items() if adaptive else ():
        curves = {row: [history[column].to_numpy() for history in frames] for row, frames in adaptive.items()}
        caption = f"{label[0].upper()}{label[1:]} by epoch, of the rows with adaptive weights. Bold: mean over seeds."
        figures[column] = (plots.learning_curves(curves, label, run.title), caption)
    return figures | panel_figures(run, slices=_slices, surfaces=_surfaces)


def _slices(run, which, case, rows):
    caption = (
        f"The {which} test case, {case} (Fig. 3): the slice with most foreground; outline: ground truth. Rule: {RULE}."
    )
    return plots.softmax_panel(rows, f"{run.title}\n{which} case: {case}"), caption


def _surfaces(run, which, case, rows):
    caption = f"The {which} test case, {case} (Fig. 3): surfaces of the ground truth and of the prediction."
    return plots.surface_panel(rows, f"{run.title}\n{which} case: {case}"), caption
