"""What the tables of Kethavath et al. (2025) measure: overlap, uncertainty, and whether it points at the errors."""

import shutil

import pandas as pd

from experiments import study
from experiments.kethavath2025 import figures
from experiments.kethavath2025.scoring import cell_measures
from experiments.run import read_published
from keras_uq import statistics
from keras_uq.files import replacing

# Both kinds of std that a printed column may be.
SPREADS = {
    "uncertainty_std_slice": "uncertainty std over slices",
    "uncertainty_std_pixel": "uncertainty std over pixels",
    "mean_prediction": "mean prediction",
    "mean_prediction_std_slice": "its std over slices",
    "mean_prediction_std_pixel": "its std over pixels",
}
# What the tests of all rows together are about.
TESTED = {"uncertainty_mean": "mean uncertainty", "dice": "Dice at 0.5"}


# Tables whose printed standard deviations fit those over pixels; the others fit those over slices.
OVER_PIXELS = ("table4", "table7")
# A test works these two numbers out from the printed table.
TESTS_NOTE = (
    "The paper reports F = 2.14e8 for the mean uncertainty of the seven losses on validation data (Section 4.3); with "
    "the means and standard deviations that it prints in Table 3, F is about 12,500 times the number of values a loss, "
    "so some 17,000 must have been counted as independent where there is a handful of patients. F grows with the "
    "number of values, however few patients they are of; the effect does not. Effect: eta squared (ANOVA) or Kendall's "
    "W (Friedman), from 0 to 1; n: values in all (ANOVA) or cases (Friedman)."
)


def spread_of(run):
    """Over what the printed standard deviations of a table are taken: `"slice"` or `"pixel"`."""
    return "pixel" if run["table"] in OVER_PIXELS else "slice"


class Study(study.Study):
    """Seven losses, each with the uncertainty of Monte Carlo dropout."""

    measures = {
        "dice": "soft Dice, pooled",
        "uncertainty_mean": "uncertainty mean (nat)",
        "uncertainty_std": "uncertainty std (nat)",
        "mean_prediction": "mean prediction",
        "mean_prediction_std": "std of the prediction",
    }
    ours = {
        "dice_hard": "Dice at 0.5, mean of cases",
        "sensitivity": "sensitivity",
        "error_detection_auroc": "AUROC of uncertainty for errors",
        "uncertainty_error_overlap": "overlap of uncertainty and errors",
        "risk_coverage_area": "area under risk-coverage",
    }
    further = {
        "precision": "precision",
        "error_rate": "error rate",
        "risk_coverage_excess_area": "risk-coverage above the ideal",
        "mutual_information": "mutual information (nat)",
        **SPREADS,
    }
    compared = {
        "dice": "Dice at 0.5 of a case",
        "soft_dice": "soft Dice of a case",
        "uncertainty_mean": "uncertainty mean of a case (nat)",
    }
    headline = {"dice": "Dice", "uncertainty_mean": "U mean", "uncertainty_std": "U std", "dice_hard": "Dice\nat 0.5"}
    interval = "95 % interval of the mean over seeds (Student's t)"
    interval_over_seeds = True
    overview = "{dice:.3f} / {dice_hard:.3f}"
    overview_note = (
        "Published soft Dice (on the paper's data) → ours: soft Dice, pooled / Dice at 0.5, mean of cases. Measured on "
        "{dataset}, not on the paper's data; the columns are not comparable. Intervals, uncertainty, error detection "
        "and every departure from the protocol are in the linked tables."
    )
    beyond = (
        "Does uncertainty lie where the errors are? Over whole scans, means of test cases. AUROC: how often a wrong "
        "voxel is more uncertain than a right one; the distant background makes it high for every network. Overlap: "
        "Dice between the errors and as many of the most uncertain voxels; by chance it is the error rate. "
        "Risk-coverage: mean error rate over all shares of voxels that one might keep, lower is better; it grows with "
        "the error rate, its excess above the ideal order does not."
    )

    tests_note = TESTS_NOTE
    draw = staticmethod(figures.draw)

    def illustrate(self, data, settings, folder):
        with replacing(folder / "example.npz") as temporary:
            shutil.copyfile(data.folder / "example.npz", temporary)

    def published(self, run):
        return read_published(f"{run['paper']}_{run['table']}").set_index("loss")

    def measure(self, run, frames):
        cells = pd.DataFrame([cell_measures(cases) for cases in frames])
        for name in ("uncertainty_std", "mean_prediction_std"):
            cells[name] = cells[f"{name}_{spread_of(run)}"]
        return {name: statistics.mean_interval(cells[name]) for name in cells}

    def derive(self, cases):
        soft = 2 * cases["soft_overlap"] / (cases["soft_predicted"] + cases["soft_labelled"])
        return cases.assign(soft_dice=soft)

    def tests(self, run):
        """Do the losses differ, over volumes (means of seeds) and, for the lesson, over slices? Section 4.3."""
        lines = []
        for part in ("validation", "test"):
            scores = run.scores(part)
            if len(scores) < 3 or min(map(len, scores.values())) < 2:
                continue
            for column, label in TESTED.items():
                groups = [values[column].to_numpy() for values in scores.values()]
                tests = {("ANOVA", "volume"): statistics.anova, ("Friedman", "volume"): statistics.friedman}
                lines += [_line(part, label, *name, test(groups)) for name, test in tests.items()]
            slices = figures.slice_values(run, part)
            anova = statistics.anova([*slices.values()])
            lines.append(_line(part, TESTED["uncertainty_mean"], "ANOVA", "slice", anova))
        columns = ["set", "measure", "test", "unit", *statistics.GroupTest._fields]
        return pd.DataFrame(lines, columns=columns)

    def notes(self, run):
        return [f"The uncertainty's std is taken over {spread_of(run)}s, which is what the printed column fits."]

    def sections(self, run):
        return [
            (
                "Over slices and over pixels",
                "The printed standard deviations are over slices in some tables and over pixels in others; here are "
                "both.",
                run.table[["row", *SPREADS]].rename(columns={"row": "loss", **SPREADS}),
            )
        ]


def _line(part, label, test, unit, result):
    return {"set": part, "measure": label, "test": test, "unit": unit, **result._asdict()}


STUDY = Study()
