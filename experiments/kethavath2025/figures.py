"""The figures of a run of Kethavath et al. (2025), from its records."""

import numpy as np
import pandas as pd

from experiments.figures import RULE, learning_curves, panel_figures
from experiments.kethavath2025.scoring import cell_measures
from experiments.records import open_arrays
from keras_uq import plots

NUMBERS = {"best": 5, "worst": 6}


def slice_values(run, part="test", column="uncertainty"):
    """`{row: value of every slice}`, means over seeds."""
    values = {}
    for row, cells in run.by_row.items():
        slices = pd.concat([cell.frame("slices.csv") for cell in cells])
        slices = slices[slices["set"] == part]
        values[row] = slices.groupby(["case", "slice"])[column].mean().to_numpy()
    return values


def draw(run):
    """`{name: (figure, caption)}` of a run, in the order of the page."""
    title, scores, confidence, foreground = run.title, {}, {}, []
    for row, frames in run.frames().items():
        cases = pd.concat(frames)
        scores[row] = (cases["dice"].to_numpy(), cases["uncertainty_mean"].to_numpy())
        cells = pd.DataFrame([cell_measures(frame) for frame in frames])
        foreground += list(cells["foreground"])
        names = ("mean_prediction", "mean_prediction_std_slice", "mean_prediction_std_pixel")
        confidence[row] = tuple(cells[name].mean() for name in names)
    return {
        "preparation": _preparation(run),
        "learning_curves": learning_curves(run),
        "case_scores": (
            plots.case_scores(scores, ("Dice at 0.5", "mean entropy (nat)"), title),
            "Each dot is a test case of one seed; the bar is the median.",
        ),
        "violin": (
            plots.violin(slice_values(run), "mean entropy of a slice (nat)", title),
            "Uncertainty by loss (Fig. 3): distribution over the slices of the test cases, means of seeds; lines are "
            "quartiles. Logarithmic axis.",
        ),
        "confidence": (
            plots.confidence(confidence, float(np.mean(foreground)), title),
            "Mean prediction by loss (Fig. 4). Thick bar: std over slices; thin bar: std over pixels. Dashed: share of "
            "foreground in the labels, which a calibrated network would predict on average.",
        ),
        **panel_figures(run, qualitative=_qualitative),
    }


def _qualitative(run, which, case, rows):
    slice_number = next(iter(rows.values()))["slice"]
    figure = plots.qualitative_panel(rows, f"{run.title}\n{which} case: {case}, slice {slice_number}")
    return figure, (
        f"The {which} test case (Fig. {NUMBERS[which]}): {case}, the slice with most foreground. Rule: {RULE}. "
        "Entropy is laid over the image where it exceeds a tenth of its maximum, log 2."
    )


def _preparation(run):
    with open_arrays(run.folder / "example.npz") as arrays:
        example = dict(arrays)
    stages = {name: example[name] for name in ("original", "rescaled", "filtered")}
    return (
        plots.preparation_panel(stages, example["mask"], run["modality"], run.title),
        f"Preparation (Fig. 2): {example['case']}, slice {example['slice']}, as scanned, rescaled, and after the "
        "median filter; the label is outlined.",
    )
