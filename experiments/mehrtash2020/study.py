"""What the tables of Mehrtash et al. (2020) measure: calibration, overlap, distance, and what segments know of it."""

import math

import numpy as np
import pandas as pd

from experiments import study
from experiments.mehrtash2020 import figures
from experiments.mehrtash2020.protocol import APPLICATIONS
from experiments.mehrtash2020.published import DISTANCE, MEASURES, application_of, parts, published
from experiments.mehrtash2020.segments import detection_lines, prediction_lines, segment_lines, subset_lines
from experiments.run import LEAST_NLL_OF_BRIER, NOTHING, check_possible, mean_over_cases, plain, spread_over_seeds
from keras_uq import metrics, statistics

# Higher is better; for all other measures, lower is.
HIGHER = ("dice",)
# Section VI-E.
SIGNIFICANT = 0.01


class Study(study.Study):
    """Two losses, each as it is, with Monte Carlo dropout, as an ensemble and at a temperature."""

    measures = MEASURES
    ours = {
        "nll_mean": "NLL, mean",
        "brier_mean": "Brier, mean",
        "ece_percent_mean": "ECE, mean (%)",
        "dice_mean": "Dice, mean",
    }
    further = {
        "nll_seeds": "std over seeds: NLL",
        "dice_seeds": "std over seeds: Dice",
        "brier_normalised": "Brier with the 1/K of Eq. 4",
        "ece_15_percent": "ECE with 15 bins (%)",
        "ece_foreground_percent": "ECE of the foreground's probability (%)",
        "asd_mm": "average surface distance (mm)",
        "hd95_missing": "segments without HD95",
        "segments": "of",
        "temperature": "temperature",
    }
    compared = {
        "nll": "NLL",
        "nll_whole": "NLL, whole volume",
        "brier": "Brier",
        "ece": "ECE",
        "dice": "Dice",
        "hd95": "HD95 (mm)",
    }
    headline = {"nll": "NLL", "ece_percent": "ECE %", "dice_segment1": "Dice 1"}
    interval = "from the 2.5th to the 97.5th percentile over test cases and networks, as printed"
    overview = "{nll:.3f} / {brier:.3f} / {ece_percent:.2f} / {dice_mean:.3f}"
    overview_note = (
        "Published NLL → ours, in the bounding box: NLL / Brier score, sum over classes / ECE % / Dice, mean of "
        "segments. Ours are measured on {dataset}, published ones on the data in round brackets; departures from the "
        "protocol are in the linked tables."
    )
    beyond = (
        "Here square brackets are 95 % bootstrap intervals of the mean over test cases, each the mean of its networks. "
        "HD95 has no value where a segment is missed or invented; those are counted."
    )

    tests_note = (
        "For each measure the row with the best mean, and every other against it: mean difference over test cases "
        "(means of seeds) with its bootstrap interval, and p of no difference with 100 resamples, as in the paper, "
        f"and with 10,000. Bold in the paper: p below {SIGNIFICANT}. With 100 resamples p is 0 or at least 0.02."
    )
    draw = staticmethod(figures.draw)
    published = staticmethod(published)
    parts = staticmethod(parts)

    def departures(self, data, about):
        application = APPLICATIONS[application_of(about)]
        wanted = application.get("shifted")
        if about["dataset"] != application["dataset"] or wanted is None or data.shifted is not None:
            return []
        return [f"{wanted} is not there: corrupted test scans alone stand for scans unlike the training's"]

    def measure(self, run, frames):
        together = pd.concat(frames)
        for end in ("", "_whole"):  # With K classes, (1 - p)^2 + the others' squares is at most 2 (1 - p)^2.
            check_possible(together, f"nll{end}", f"brier{end}", LEAST_NLL_OF_BRIER / 2)
        measured = {name: _range(together[name]) for name in MEASURES if name in together}
        cases = together.groupby("case").mean(numeric_only=True)
        for name in ("nll", "brier", "ece_percent", "dice"):
            measured[f"{name}_mean"] = mean_over_cases(cases[name])
        measured |= spread_over_seeds(frames, ["nll", "dice"])
        distances = together[[name for name in DISTANCE if name in together]].to_numpy().ravel()
        numbers = {
            "hd95_missing": metrics.average_cases(distances).missing,
            "segments": len(distances),
            **{name: together[name].mean() for name in self.further if name in together},
        }
        return measured | {name: plain(value) for name, value in numbers.items()}

    def derive(self, cases):
        percent = {f"ece_percent{end}": 100 * cases[f"ece{end}"] for end in ("", "_whole")}
        percent |= {f"{name}_percent": 100 * cases[name] for name in ("ece_15", "ece_foreground")}
        means = {}
        for name, prefix in (("hd95", "hd95_mm"), ("asd_mm", "asd_mm")):
            columns = [column for column in cases if column.startswith(f"{prefix}_segment")]
            means[name] = cases[columns].mean(axis=1, skipna=False)
        return cases.assign(**percent, **means)

    def against(self, run, row):
        network = row.partition(",")[0]
        return network if network != row else run["reference"]

    def tests(self, run):
        """Is the best row of a measure better than each other? Section VI-E: n = 100, printed bold for p < 0.01."""
        lines, scores = [], run.scores()
        for column, label in self.compared.items():
            means = {row: values[column].mean() for row, values in scores.items()}
            defined = {row: value for row, value in means.items() if not math.isnan(value)}
            if len(defined) < 2:
                continue
            best = (max if column in HIGHER else min)(defined, key=defined.get)
            for row in defined:
                pair = (scores[row][column], scores[best][column])
                if row != best and (pair[0] - pair[1]).notna().any():
                    difference = statistics.paired_bootstrap(*pair)
                    p = {f"p, n = {n}": statistics.paired_bootstrap_test(*pair, resamples=n) for n in (100, 10_000)}
                    lines.append({"measure": label, "best": best, "row": row, **difference._asdict(), **p})
        columns = ["measure", "best", "row", "mean", "low", "high", "p, n = 100", "p, n = 10000"]
        return pd.DataFrame(lines, columns=columns)

    def notes(self, run):
        segments = ", ".join(f"{value} {name}" for value, name in run["labels"].items() if value != "0")
        return [
            "Brier score: summed over classes, since the printed ones fit that and not the 1/K of Eq. 4.",
            f"Segments: {segments}.",
        ]

    def sections(self, run):
        return [
            (
                "How many members",
                "Ensembles of each size, all of them or 50 drawn without repetition from the trained members: mean "
                "over ensembles of the mean over test cases, and its range from the 2.5th to the 97.5th percentile. "
                "Change: of the NLL against one member.",
                subset_lines(run),
            ),
            (
                "Does segment entropy tell the Dice?",
                "Pearson's r of logit(Dice) and segment entropy over test cases; means over seeds, p of the first. "
                "Last column: over test cases and corrupted ones together.",
                segment_lines(run),
            ),
            (
                "Quality card",
                "Dice predicted from segment entropy by the line fitted on validation cases: mean absolute error, and "
                "the share of cases within the 95 % interval, over test cases and over corrupted ones. Means over "
                "seeds.",
                prediction_lines(run),
            ),
            (
                "Out of distribution",
                "Test cases against the same cases, corrupted: how often a corrupted one has the higher segment "
                "entropy (AUROC, mean of segments; an empty segment counts as log 2), and the share that is flagged "
                "with thresholds chosen on validation cases. Last column: share of test cases flagged. Means over "
                "seeds.",
                detection_lines(run),
            ),
        ]


def _range(values):
    defined = values.dropna()
    if defined.empty:
        return NOTHING
    low, high = np.percentile(defined, (2.5, 97.5))
    return statistics.Interval(float(defined.mean()), float(low), float(high))


STUDY = Study()
