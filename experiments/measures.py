"""From records to frames: the measures of cells, the table, comparisons and tests. Nothing is typed in."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd

from keras_uq import metrics, statistics

PUBLISHED = Path(__file__).parent.parent / "results" / "published"
# Column of the published table -> our measure of one cell. A table shows those that its CSV has.
MEASURES = {
    "dice": "soft Dice, pooled",
    "uncertainty_mean": "uncertainty mean (nat)",
    "uncertainty_std": "uncertainty std (nat)",
    "mean_prediction": "mean prediction",
    "mean_prediction_std": "std of the prediction",
}
# Ours alone, with an interval.
OURS = {
    "dice_hard": "Dice at 0.5, mean of cases",
    "sensitivity": "sensitivity",
    "error_detection_auroc": "AUROC of uncertainty for errors",
    "uncertainty_error_overlap": "overlap of uncertainty and errors",
    "risk_coverage_area": "area under risk-coverage",
}
# Ours alone, on the page and in table.csv.
FURTHER = {
    "precision": "precision",
    "error_rate": "error rate",
    "risk_coverage_excess_area": "risk-coverage above the ideal",
    "mutual_information": "mutual information (nat)",
}
# Both kinds of std that a printed column may be.
SPREADS = {
    "uncertainty_std_slice": "uncertainty std over slices",
    "uncertainty_std_pixel": "uncertainty std over pixels",
    "mean_prediction": "mean prediction",
    "mean_prediction_std_slice": "its std over slices",
    "mean_prediction_std_pixel": "its std over pixels",
}
# Columns of cases.csv, and the soft Dice, that are compared case by case.
COMPARED = {
    "dice": "Dice at 0.5 of a case",
    "soft_dice": "soft Dice of a case",
    "uncertainty_mean": "uncertainty mean of a case (nat)",
}
# What the tests of all rows together are about.
TESTED = {
    "uncertainty_mean": "mean uncertainty",
    "dice": "Dice at 0.5",
}


def run_of(folder):
    """What a run says about itself."""
    return json.loads((Path(folder) / "run.json").read_text())


def cells(folder):
    """One line a recorded cell: row, seed, measures on the test cases."""
    lines = []
    for provenance in sorted(Path(folder).glob("*/provenance.json")):
        cell = provenance.parent
        config = json.loads((cell / "config.json").read_text())
        about = json.loads(provenance.read_text())
        training = cell / "training.json"
        seconds = json.loads(training.read_text())["seconds"] if training.exists() else 0
        lines.append(
            {
                "row": config["row"],
                "seed": config["seed"],
                "folder": cell,
                "seconds": about["seconds"] + seconds,
                "shared": about.get("shared_with"),
                "commit": about["commit"],
                **cell_measures(cases_of(cell)),
            }
        )
    return pd.DataFrame(lines)


def cases_of(cell, part="test"):
    """Lines of the cases of one set."""
    cases = pd.read_csv(Path(cell) / "cases.csv")
    return cases[cases["set"] == part].reset_index(drop=True)


def cell_measures(cases):
    """The measures of one cell from its cases: sums are pooled, scores of cases averaged."""
    uncertainty, prediction = (_pooled(cases, name) for name in ("uncertainty", "prediction"))
    averaged = (
        "dice",
        "sensitivity",
        "precision",
        "error_detection_auroc",
        "uncertainty_error_overlap",
        "risk_coverage_area",
        "risk_coverage_excess_area",
        "error_rate",
    )
    means = {name: cases[name].mean() for name in averaged}
    return {
        **means,
        "dice": _soft_dice(cases),
        "dice_hard": means["dice"],
        "uncertainty_mean": uncertainty.mean,
        "uncertainty_std_slice": uncertainty.std_slice,
        "uncertainty_std_pixel": uncertainty.std_pixel,
        "mean_prediction": prediction.mean,
        "mean_prediction_std_slice": prediction.std_slice,
        "mean_prediction_std_pixel": prediction.std_pixel,
        "mutual_information": _pooled(cases, "mutual_information").mean,
        "foreground": cases["soft_labelled"].sum() / cases["uncertainty_pixels"].sum(),
    }


def build_table(folder):
    """The table of a run: published beside measured, in the order of the paper, own rows last."""
    run = run_of(folder)
    published = published_table(run)
    measured = cells(folder)
    for name in ("uncertainty_std", "mean_prediction_std"):
        measured[name] = measured[f"{name}_{run['spread']}"]
    lines = []
    for row in run["rows"]:
        of_row = measured[measured["row"] == row]
        line = {"row": row, "seeds": len(of_row)}
        for measure in [*shown_measures(run), *OURS]:
            if measure in MEASURES:
                line[f"{measure}_published"] = published[measure].get(row, "")
            interval = statistics.mean_interval(of_row[measure] if len(of_row) else [])
            line[measure], line[f"{measure}_low"], line[f"{measure}_high"] = interval
        for measure in FURTHER | {name: label for name, label in SPREADS.items() if name not in line}:
            line[measure] = of_row[measure].mean() if len(of_row) else math.nan
        flag = published["flag"].get(row)
        line["flag"] = flag if isinstance(flag, str) else ""
        lines.append(line)
    return run, pd.DataFrame(lines)


def published_table(run):
    """The paper's table as printed, strings, by row."""
    path = PUBLISHED / f"{run['paper']}_{run['table']}.csv"
    return pd.read_csv(path, dtype=str, keep_default_na=False).set_index("loss")


def shown_measures(run):
    """The measures that the published table prints."""
    return [measure for measure in MEASURES if measure in published_table(run)]


def scores(folder, part="test"):
    """`{row: frame of COMPARED by case}`, means over seeds."""
    run, measured = run_of(folder), cells(folder)
    found = {}
    for row in run["rows"]:
        frames = [cases_of(path, part) for path in measured.loc[measured["row"] == row, "folder"]]
        if frames:
            both = pd.concat(frames)
            both["soft_dice"] = 2 * both["soft_overlap"] / (both["soft_predicted"] + both["soft_labelled"])
            found[row] = both.groupby("case")[list(COMPARED)].mean()
    return found


def build_comparison(folder):
    """Difference of each row to the reference row over test cases (means of seeds), with bootstrap interval."""
    run, of_rows = run_of(folder), scores(folder)
    lines = []
    for row, values in of_rows.items():
        if run["reference"] not in of_rows or row == run["reference"]:
            continue
        for measure in COMPARED:
            difference = statistics.paired_bootstrap(values[measure], of_rows[run["reference"]][measure])
            lines.append({"row": row, "measure": COMPARED[measure], **difference._asdict()})
    return pd.DataFrame(lines, columns=["row", "measure", "mean", "low", "high"])


def build_tests(folder):
    """Do the losses differ? ANOVA and Friedman's test over volumes, and for the lesson ANOVA over slices.

    One line a measure, set of cases, test and unit; a volume's value is the mean over seeds. Sets of fewer than two
    cases and runs of fewer than three rows have none.

    Reference:
        Kethavath et al. (2025), Section 4.3.
    """
    lines = []
    for part in ("validation", "test"):
        of_rows = scores(folder, part)
        if len(of_rows) < 3 or min(map(len, of_rows.values())) < 2:
            continue
        for measure, label in TESTED.items():
            groups = [values[measure].to_numpy() for values in of_rows.values()]
            found = {("ANOVA", "volume"): statistics.anova, ("Friedman", "volume"): statistics.friedman}
            lines += [_line(part, label, *name, test(groups)) for name, test in found.items()]
        of_slices = slice_values(folder, part)
        lines.append(_line(part, TESTED["uncertainty_mean"], "ANOVA", "slice", statistics.anova([*of_slices.values()])))
    columns = ["set", "measure", "test", "unit", *statistics.GroupTest._fields]
    return pd.DataFrame(lines, columns=columns)


def slice_values(folder, part="test", column="uncertainty"):
    """`{row: value of every slice}`, means over seeds."""
    measured, found = cells(folder), {}
    for row in run_of(folder)["rows"]:
        frames = [pd.read_csv(path / "slices.csv") for path in measured.loc[measured["row"] == row, "folder"]]
        if frames:
            both = pd.concat(frames)
            both = both[both["set"] == part]
            found[row] = both.groupby(["case", "slice"])[column].mean().to_numpy()
    return found


def chosen_cases(folder):
    """The best and the worst test case: highest and lowest Dice at 0.5, median over rows, each row's first seed.

    Returns:
        `{"best": case, "worst": case}` and `{row: folder of its cell}`.
    """
    measured = cells(folder).sort_values("seed").drop_duplicates("row").set_index("row")["folder"]
    ordered = {row: measured[row] for row in run_of(folder)["rows"] if row in measured}
    dice = pd.DataFrame({row: cases_of(cell).set_index("case")["dice"] for row, cell in ordered.items()})
    median = dice.median(axis=1).dropna()
    if median.empty:
        return {}, ordered
    return {"best": median.idxmax(), "worst": median.idxmin()}, ordered


def _line(part, measure, test, unit, result):
    return {"set": part, "measure": measure, "test": test, "unit": unit, **result._asdict()}


def _pooled(cases, name):
    return metrics.pool_statistics(
        metrics.MapStatistics(*(line[f"{name}_{field}"] for field in metrics.MapStatistics._fields))
        for line in cases.to_dict("records")
    )


def _soft_dice(cases):
    """Pooled over cases; of several classes, the mean."""
    suffixes = [name.removeprefix("soft_overlap") for name in cases if name.startswith("soft_overlap_")] or [""]
    each = [
        2 * cases[f"soft_overlap{of}"].sum() / (cases[f"soft_predicted{of}"].sum() + cases[f"soft_labelled{of}"].sum())
        for of in suffixes
    ]
    return float(np.mean(each))
