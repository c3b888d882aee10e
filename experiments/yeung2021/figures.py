"""The figures of a run of Yeung et al. (2021), from its records."""

import numpy as np
import pandas as pd

from experiments.figures import RULE, learning_curves, panel_figures
from experiments.records import open_arrays
from keras_uq import plots


def draw(run):
    """`{name: (figure, caption)}` of a run, in the order of the page."""
    title, frames = run.title, {row: pd.concat(frames) for row, frames in run.frames().items()}
    scores = {row: (cases["dice"].to_numpy(), np.log10(cases["nll_full"].to_numpy())) for row, cases in frames.items()}
    figures = {
        "augmentation": (
            plots.picture_grid(_augmented(run), title),
            "Three training pictures with their masks outlined: as prepared, then as five epochs would see them.",
        ),
        "learning_curves": learning_curves(run),
        "case_scores": (
            plots.case_scores(scores, ("Dice", "log10 of full NLL"), title),
            "Each dot is a test picture of one seed; the bar is the median.",
        ),
        "histogram": (
            plots.probability_histograms(_histograms(run), title),
            "Test pixels by foreground probability (Fig. 2, histograms); means of seeds.",
        ),
    }
    if all(_is_number(row) for row in frames):
        figures["gamma"] = (
            _against_gamma(run),
            "Calibration and overlap against gamma. Bars: 95 % intervals over test pictures.",
        )
    figures["thresholds"] = (
        plots.threshold_curves(_swept(run), title),
        "Against the threshold (Fig. 4): means over test pictures, bands 1.96 s / sqrt(n); means of seeds.",
    )
    figures |= panel_figures(run, softmax=_softmax)
    worst = run.panels("worst")
    figures["at_thresholds"] = worst and (
        plots.threshold_panel(worst[1], title=f"{title}\npicture {worst[0][:12]}"),
        "The worst test picture at five thresholds (Fig. 4): white is right, magenta false, green missed.",
    )
    return figures


def _softmax(run, which, case, rows):
    caption = f"The {which} test picture (Fig. 2 and 3), {case}. Rule: {RULE}."
    return plots.softmax_panel(rows, f"{run.title}\n{which} picture: {case[:12]}"), caption


def _augmented(run):
    rows = {}
    with open_arrays(run.folder / "example.npz") as pictures:
        for name in pictures.files:
            case, _, kind = name.rsplit("|", 2)
            if kind == "image":
                mask = pictures[name.removesuffix("image") + "mask"]
                rows.setdefault(case[:12], []).append((pictures[name] / 255, mask))
    return rows


def _is_number(row):
    return row.replace(".", "", 1).isdigit()


def _histograms(run):
    histograms = {}
    for row, cells in run.by_row.items():
        mean = sum(cell.frame("histogram.csv") for cell in cells) / len(cells)
        edges = np.append(mean["low"], mean["high"].iloc[-1])
        histograms[row] = (edges, mean["background"].to_numpy(), mean["foreground"].to_numpy())
    return histograms


def _swept(run):
    curves = {}
    for row, cells in run.by_row.items():
        swept = [cell.frame("thresholds.csv") for cell in cells]
        tests = [frame[frame["set"] == "test"].drop(columns="set").reset_index(drop=True) for frame in swept]
        mean = sum(tests) / len(tests)
        curves[row] = {"threshold": mean["threshold"].to_numpy()}
        for column, name in (("precision", "precision"), ("sensitivity", "recall"), ("dice", "dice")):
            reach = 1.96 * mean[f"{column}_std"] / np.sqrt(mean[f"{column}_n"])
            curves[row][name] = (mean[column], mean[column] - reach, mean[column] + reach)
    return curves


def _against_gamma(run):
    table = run.table[run.table["seeds"] > 0]
    labels = {"nll_full": "NLL, full", "nll": "NLL,\nforeground", "brier": "Brier", "dice": "Dice"}
    curves = {label: tuple(table[f"{name}{end}"] for end in ("", "_low", "_high")) for name, label in labels.items()}
    return plots.measures_against([float(row) for row in table["row"]], curves, "gamma", run.title)
