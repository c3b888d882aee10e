"""The figures of a run of Yeung et al. (2021), from its records."""

import numpy as np
import pandas as pd

from experiments import measures
from experiments.figures import RULE, learning_curves, panel_rows
from keras_uq import plots


def draw(folder, title):
    """`{name: (figure, caption)}` of a run, in the order of the page."""
    found = {}
    with np.load(folder / "example.npz", allow_pickle=False) as pictures:
        rows = {}
        for name in pictures.files:
            case, _, kind = name.split("|")
            if kind == "image":
                mask = pictures[name.removesuffix("image") + "mask"]
                rows.setdefault(case[:12], []).append((pictures[name] / 255, mask))
        found["augmentation"] = (
            plots.picture_grid(rows, title),
            "Three training pictures with their masks outlined: as prepared, then as five epochs would see them.",
        )
    found["learning_curves"] = learning_curves(folder, title)
    frames = measures.frames_of(folder)
    scores = {
        row: (pd.concat(of_row)["dice"].to_numpy(), np.log10(pd.concat(of_row)["nll_full"].to_numpy()))
        for row, of_row in frames.items()
    }
    found["case_scores"] = (
        plots.case_scores(scores, ("Dice", "log10 of full NLL"), title),
        "Each dot is a test picture of one seed; the bar is the median.",
    )
    found["histogram"] = (
        plots.probability_histograms(_histograms(folder, frames), title),
        "Test pixels by foreground probability (Fig. 2, histograms); means of seeds.",
    )
    if all(_is_number(row) for row in frames):
        found["gamma"] = (
            _against_gamma(folder, title),
            "Calibration and overlap against gamma. Bars: 95 % intervals over test pictures.",
        )
    found["thresholds"] = (
        plots.threshold_curves(_swept(folder, frames), title),
        "Against the threshold (Fig. 4): means over test pictures, bands 1.96 s / sqrt(n); means of seeds.",
    )
    for which in ("best", "worst"):
        if (chosen := panel_rows(folder, which)) is not None:
            case, rows = chosen
            found[f"softmax_{which}"] = (
                plots.softmax_panel(rows, f"{title}\n{which} picture: {case[:12]}"),
                f"The {which} test picture (Fig. 2 and 3), {case}. Rule: {RULE}.",
            )
    if (chosen := panel_rows(folder, "worst")) is not None:
        case, rows = chosen
        found["at_thresholds"] = (
            plots.threshold_panel(rows, title=f"{title}\npicture {case[:12]}"),
            "The worst test picture at five thresholds (Fig. 4): white is right, magenta false, green missed.",
        )
    return found


def _is_number(row):
    return row.replace(".", "", 1).isdigit()


def _histograms(folder, frames):
    found = {}
    for row, of_row in _cells(folder, frames, "histogram.csv").items():
        mean = sum(of_row) / len(of_row)
        edges = np.append(mean["low"], mean["high"].iloc[-1])
        found[row] = (edges, mean["background"].to_numpy(), mean["foreground"].to_numpy())
    return found


def _swept(folder, frames):
    found = {}
    for row, of_row in _cells(folder, frames, "thresholds.csv").items():
        tests = [swept[swept["set"] == "test"].drop(columns="set").reset_index(drop=True) for swept in of_row]
        mean = sum(tests) / len(tests)
        curves = {"threshold": mean["threshold"].to_numpy()}
        for column, name in (("precision", "precision"), ("sensitivity", "recall"), ("dice", "dice")):
            reach = 1.96 * mean[f"{column}_std"] / np.sqrt(mean[f"{column}_n"])
            curves[name] = (mean[column], mean[column] - reach, mean[column] + reach)
        found[row] = curves
    return found


def _cells(folder, frames, file):
    measured = measures.cells(folder)
    return {
        row: [pd.read_csv(path / file) for path in measured.loc[measured["row"] == row, "folder"]] for row in frames
    }


def _against_gamma(folder, title):
    _, table = measures.build_table(folder)
    table = table[table["seeds"] > 0]
    labels = {"nll_full": "NLL, full", "nll": "NLL,\nforeground", "brier": "Brier", "dice": "Dice"}
    curves = {label: tuple(table[f"{name}{end}"] for end in ("", "_low", "_high")) for name, label in labels.items()}
    return plots.measures_against([float(row) for row in table["row"]], curves, "gamma", title)
