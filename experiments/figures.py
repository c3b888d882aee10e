"""The figures of a run, from its records."""

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


def draw(folder, title):
    """`{name: (figure, caption)}` of a run, in the order of the page."""
    run, measured = measures.run_of(folder), measures.cells(folder)
    histories, scores, confidence = {}, {}, {}
    for row in run["rows"]:
        of_row = measured[measured["row"] == row]
        if of_row.empty:
            continue
        records = [path / "history.csv" for path in of_row["folder"]]
        if all(path.exists() for path in records):  # A row made of other cells has none.
            histories[row] = [pd.read_csv(path)["val_dice"].to_numpy() for path in records]
        cases = pd.concat(measures.cases_of(path) for path in of_row["folder"])
        scores[row] = (cases["dice"].to_numpy(), cases["uncertainty_mean"].to_numpy())
        confidence[row] = (
            of_row["mean_prediction"].mean(),
            of_row["mean_prediction_std_slice"].mean(),
            of_row["mean_prediction_std_pixel"].mean(),
        )
    found = {}
    with np.load(folder / "example.npz", allow_pickle=False) as example:
        stages = {name: example[name] for name in ("original", "rescaled", "filtered")}
        found["preparation"] = (
            plots.preparation_panel(stages, example["mask"], run["modality"], title),
            f"Preparation (Fig. 2): {example['case']}, slice {example['slice']}, as scanned, rescaled, and after the "
            "median filter; the label is outlined.",
        )
    found |= {
        "learning_curves": (
            plots.learning_curves(histories, "validation Dice (soft, pooled)", title),
            "Validation Dice by epoch. Bold: mean over seeds; thin: seeds.",
        ),
        "case_scores": (
            plots.case_scores(scores, ("Dice at 0.5", "mean entropy (nat)"), title),
            "Each dot is a test case of one seed; the bar is the median.",
        ),
        "violin": (
            plots.violin(measures.slice_values(folder), "mean entropy of a slice (nat)", title),
            "Uncertainty by loss (Fig. 3): distribution over the slices of the test cases, means of seeds; lines are "
            "quartiles. Logarithmic axis.",
        ),
        "confidence": (
            plots.confidence(confidence, measured["foreground"].mean(), title),
            "Mean prediction by loss (Fig. 4). Thick bar: std over slices; thin bar: std over pixels. Dashed: share of "
            "foreground in the labels, which a calibrated network would predict on average.",
        ),
    }
    if (folder / "panels.npz").exists():
        with np.load(folder / "panels.npz", allow_pickle=False) as panels:
            for which, figure in (("best", 5), ("worst", 6)):
                rows = _panel_rows(panels, which, run["rows"])
                slice_ = next(iter(rows.values()))["slice"]
                case = panels[f"{which}|case"]
                found[f"qualitative_{which}"] = (
                    plots.qualitative_panel(rows, f"{title}\n{which} case: {case}, slice {slice_}"),
                    f"The {which} test case (Fig. {figure}): {case}, the slice with most foreground. Rule: {RULE}. "
                    "Entropy is laid over the image where it exceeds a tenth of its maximum, log 2.",
                )
    return found


def _panel_rows(panels, which, rows):
    found = {}
    for row in rows:
        prefix = f"{which}|{row}|"
        of_row = {name.removeprefix(prefix): panels[name] for name in panels.files if name.startswith(prefix)}
        if of_row:
            found[row] = of_row
    return found
