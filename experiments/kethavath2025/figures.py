"""The figures of a run of Kethavath et al. (2025), from its records."""

import numpy as np
import pandas as pd

from experiments import measures
from experiments.figures import RULE, learning_curves, panel_rows
from experiments.kethavath2025.scoring import cell_measures
from keras_uq import plots


def slice_values(folder, part="test", column="uncertainty"):
    """`{row: value of every slice}`, means over seeds."""
    measured, found = measures.cells(folder), {}
    for row in measures.run_of(folder)["rows"]:
        frames = [pd.read_csv(path / "slices.csv") for path in measured.loc[measured["row"] == row, "folder"]]
        if frames:
            both = pd.concat(frames)
            both = both[both["set"] == part]
            found[row] = both.groupby(["case", "slice"])[column].mean().to_numpy()
    return found


def draw(folder, title):
    """`{name: (figure, caption)}` of a run, in the order of the page."""
    run = measures.run_of(folder)
    scores, confidence, foreground = {}, {}, []
    for row, frames in measures.frames_of(folder).items():
        cases = pd.concat(frames)
        scores[row] = (cases["dice"].to_numpy(), cases["uncertainty_mean"].to_numpy())
        of_cells = pd.DataFrame([cell_measures(frame) for frame in frames])
        foreground += list(of_cells["foreground"])
        names = ("mean_prediction", "mean_prediction_std_slice", "mean_prediction_std_pixel")
        confidence[row] = tuple(of_cells[name].mean() for name in names)
    found = {}
    with np.load(folder / "example.npz", allow_pickle=False) as example:
        stages = {name: example[name] for name in ("original", "rescaled", "filtered")}
        found["preparation"] = (
            plots.preparation_panel(stages, example["mask"], run["modality"], title),
            f"Preparation (Fig. 2): {example['case']}, slice {example['slice']}, as scanned, rescaled, and after the "
            "median filter; the label is outlined.",
        )
    found |= {
        "learning_curves": learning_curves(folder, title),
        "case_scores": (
            plots.case_scores(scores, ("Dice at 0.5", "mean entropy (nat)"), title),
            "Each dot is a test case of one seed; the bar is the median.",
        ),
        "violin": (
            plots.violin(slice_values(folder), "mean entropy of a slice (nat)", title),
            "Uncertainty by loss (Fig. 3): distribution over the slices of the test cases, means of seeds; lines are "
            "quartiles. Logarithmic axis.",
        ),
        "confidence": (
            plots.confidence(confidence, float(np.mean(foreground)), title),
            "Mean prediction by loss (Fig. 4). Thick bar: std over slices; thin bar: std over pixels. Dashed: share of "
            "foreground in the labels, which a calibrated network would predict on average.",
        ),
    }
    for which, number in (("best", 5), ("worst", 6)):
        if (chosen := panel_rows(folder, which)) is not None:
            case, rows = chosen
            slice_ = next(iter(rows.values()))["slice"]
            found[f"qualitative_{which}"] = (
                plots.qualitative_panel(rows, f"{title}\n{which} case: {case}, slice {slice_}"),
                f"The {which} test case (Fig. {number}): {case}, the slice with most foreground. Rule: {RULE}. Entropy "
                "is laid over the image where it exceeds a tenth of its maximum, log 2.",
            )
    return found
