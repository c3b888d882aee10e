"""What the tables of Kethavath et al. (2025) measure: overlap, uncertainty, and whether it points at the errors."""

import shutil

import pandas as pd

from experiments import datasets
from experiments.kethavath2025 import figures
from experiments.kethavath2025.protocol import TESTS_NOTE
from experiments.kethavath2025.scoring import cell_measures, score
from experiments.measures import PUBLISHED, scores
from experiments.study import Study
from keras_uq import statistics

MEASURES = {
    "dice": "soft Dice, pooled",
    "uncertainty_mean": "uncertainty mean (nat)",
    "uncertainty_std": "uncertainty std (nat)",
    "mean_prediction": "mean prediction",
    "mean_prediction_std": "std of the prediction",
}
OURS = {
    "dice_hard": "Dice at 0.5, mean of cases",
    "sensitivity": "sensitivity",
    "error_detection_auroc": "AUROC of uncertainty for errors",
    "uncertainty_error_overlap": "overlap of uncertainty and errors",
    "risk_coverage_area": "area under risk-coverage",
}
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
COMPARED = {
    "dice": "Dice at 0.5 of a case",
    "soft_dice": "soft Dice of a case",
    "uncertainty_mean": "uncertainty mean of a case (nat)",
}
# What the tests of all rows together are about.
TESTED = {"uncertainty_mean": "mean uncertainty", "dice": "Dice at 0.5"}


def illustrate(data, settings, folder):
    """Keep the picture of the preprocessing's steps beside the run."""
    shutil.copyfile(datasets.example(data), folder / "example.npz")


def published(run):
    """The paper's table as printed, strings, by row."""
    path = PUBLISHED / f"{run['paper']}_{run['table']}.csv"
    return pd.read_csv(path, dtype=str, keep_default_na=False).set_index("loss")


def measure(run, frames):
    """Mean over seeds of each cell's measures, with the interval of Student's t."""
    of_cells = pd.DataFrame([cell_measures(cases) for cases in frames])
    for name in ("uncertainty_std", "mean_prediction_std"):
        of_cells[name] = of_cells[f"{name}_{run['spread']}"]
    return {name: statistics.mean_interval(of_cells[name]) for name in of_cells}


def derive(cases):
    """The cases with their soft Dice."""
    soft = 2 * cases["soft_overlap"] / (cases["soft_predicted"] + cases["soft_labelled"])
    return cases.assign(soft_dice=soft)


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
        for column, label in TESTED.items():
            groups = [values[column].to_numpy() for values in of_rows.values()]
            found = {("ANOVA", "volume"): statistics.anova, ("Friedman", "volume"): statistics.friedman}
            lines += [_line(part, label, *name, test(groups)) for name, test in found.items()]
        of_slices = figures.slice_values(folder, part)
        lines.append(_line(part, TESTED["uncertainty_mean"], "ANOVA", "slice", statistics.anova([*of_slices.values()])))
    columns = ["set", "measure", "test", "unit", *statistics.GroupTest._fields]
    return pd.DataFrame(lines, columns=columns)


def _line(part, label, test, unit, result):
    return {"set": part, "measure": label, "test": test, "unit": unit, **result._asdict()}


def _notes(run):
    return [f"The uncertainty's std is taken over {run['spread']}s, which is what the printed column fits."]


def _tests_note(run):
    return (
        f"{run.get('tests_note', TESTS_NOTE)} Effect: eta squared (ANOVA) or Kendall's W (Friedman), from 0 to 1; n: "
        "values in all (ANOVA) or cases (Friedman)."
    )


def _sections(folder, table):
    return [
        (
            "Over slices and over pixels",
            "The printed standard deviations are over one in some tables and over the other in others; here are both.",
            table[["row", *SPREADS]].rename(columns={"row": "loss", **SPREADS}),
        )
    ]


STUDY = Study(
    score=score,
    illustrate=illustrate,
    published=published,
    measures=MEASURES,
    ours=OURS,
    further=FURTHER | SPREADS,
    measure=measure,
    compared=COMPARED,
    derive=derive,
    headline={"dice": "Dice", "uncertainty_mean": "U mean", "uncertainty_std": "U std", "dice_hard": "Dice\nat 0.5"},
    overview=lambda line: f"{line['dice']:.3f} / {line['dice_hard']:.3f}",
    overview_note=(
        "Published soft Dice (on the paper's data) → ours: soft Dice, pooled / Dice at 0.5, mean of cases. Ours are on "
        "{dataset}: no reproduction of the published column. Intervals, uncertainty, error detection and every "
        "departure from the protocol are in the linked tables."
    ),
    interval_over_seeds=True,
    interval="95 % interval of the mean over seeds (Student's t)",
    notes=_notes,
    beyond=(
        "Does uncertainty lie where the errors are? Over whole scans, means of test cases. AUROC: how often a wrong "
        "voxel is more uncertain than a right one; the distant background makes it high for every network. Overlap: "
        "Dice between the errors and as many of the most uncertain voxels; by chance it is the error rate. "
        "Risk-coverage: mean error rate over all shares of voxels that one might keep, lower is better; it grows with "
        "the error rate, its excess above the ideal order does not."
    ),
    tests=build_tests,
    tests_note=_tests_note,
    sections=_sections,
    figures=figures.draw,
)
