"""What is measured of PolyDice: overlap, distance, calibration, and the effect of assigning epsilons to images."""

import math

import pandas as pd
from scipy import stats

from experiments import study
from experiments.hiroike2026 import figures
from experiments.hiroike2026.protocol import ADAPTIVE, DICE, FIXED, REPLAYED, SHUFFLED, fixed
from experiments.hiroike2026.seeds import by_seed, correlations, cost, gains
from experiments.run import mean_over_cases, plain, spread_over_seeds
from keras_uq import metrics, statistics

COMPARED = {"dice": "Dice", "hd95": "HD95", "ece_percent": "ECE (points)", "nll": "NLL"}
QUESTIONS = {
    "adaptive against the Dice loss": (ADAPTIVE, DICE),
    "adaptive against epsilon 0": (ADAPTIVE, fixed(0.0)),
    "does the assignment matter? adaptive against shuffled": (ADAPTIVE, SHUFFLED),
    "does the schedule alone do it? adaptive against its mean epsilon": (ADAPTIVE, REPLAYED),
    "epsilon 0 against the Dice loss": (fixed(0.0), DICE),
}


class Study(study.Study):
    """Overlap, distance, calibration, and whether it matters which image gets which epsilon."""

    measures = {"dice": "Dice", "hd95": "HD95 (mm; px of pictures)", "ece_percent": "ECE (%)", "nll": "NLL (nat)"}
    ours = {"sensitivity": "sensitivity", "precision": "precision", "brier": "Brier score"}
    further = {
        "dice_seeds": "std over seeds: Dice",
        "ece_percent_seeds": "std over seeds: ECE (%)",
        "nll_seeds": "std over seeds: NLL",
        "hd95_missing": "cases without HD95",
        "mutual_information": "mutual information (nat)",
    }
    compared = COMPARED
    headline = {"dice": "Dice", "ece_percent": "ECE %", "nll": "NLL"}
    interval = "95 % bootstrap interval of the mean over test cases"
    overview = "{dice:.3f} / {hd95:.2f} / {ece_percent:.2f} / {nll:.3f}"
    overview_note = (
        "Measured on {dataset}: Dice / HD95 (mm; pixels for pictures) / ECE % / NLL, means over test cases. The thesis "
        "prints no result. What was chosen is in the linked tables."
    )
    beyond = "The thesis prints no result, so all of this is ours."

    tests_note = (
        "Wilcoxon's signed-rank test over test cases (each the mean of its networks); mean: of the differences, "
        "with a 95 % bootstrap interval; q: p corrected for all lines of this table (false discovery rate, "
        "Benjamini and Hochberg). Seeds are not sampled: see what each of them says."
    )
    draw = staticmethod(figures.draw)

    def published(self, run):
        rows = [DICE, *map(fixed, FIXED), ADAPTIVE, SHUFFLED, REPLAYED]
        empty = dict.fromkeys((*self.measures, "flag"), "")
        return pd.DataFrame([{**empty, "dataset": ""}] * len(rows), index=rows)

    def measure(self, run, frames):
        together = pd.concat(frames)
        cases = together.groupby("case").mean(numeric_only=True)
        others = {
            "hd95_missing": metrics.average_cases(together["hd95"].to_numpy()).missing,
            "mutual_information": together["mutual_information"].mean(),
        }
        measured = {name: mean_over_cases(cases[name]) for name in (*self.measures, *self.ours)}
        spreads = spread_over_seeds(frames, ["dice", "ece_percent", "nll"])
        return measured | spreads | {name: plain(value) for name, value in others.items()}

    def derive(self, cases):
        return cases.assign(ece_percent=100 * cases["ece"])

    def tests(self, run):
        lines = []
        for question, rows in QUESTIONS.items():
            for label, pair in run.both(*rows).items():
                difference = statistics.paired_bootstrap(*pair)._asdict()
                p = statistics.signed_rank(*pair).p
                lines.append({"question": question, "measure": label, **difference, "p": p})
        frame = pd.DataFrame(lines, columns=["question", "measure", "mean", "low", "high", "p"])
        defined = frame["p"].notna()
        frame["q"] = math.nan
        if defined.any():
            frame.loc[defined, "q"] = stats.false_discovery_control(frame.loc[defined, "p"])
        return frame

    def notes(self, run):
        return ["Means over test cases, each the mean of its networks; predictions by Monte Carlo dropout."]

    def sections(self, run):
        return [
            (
                "Does each seed say the same?",
                "The differences tested below, for the networks of each seed alone, and their mean with Student's 95 % "
                "interval over the seeds. What the seeds do not agree on, the test over cases cannot settle.",
                by_seed(run, QUESTIONS, COMPARED),
            ),
            (
                "What the refreshes cost",
                "Time to sample the training images, as a share of the training. The last two columns suppose that a "
                "refresh takes time in proportion to the images it samples.",
                cost(run),
            ),
            (
                "Are difficult images those that are learnt badly?",
                "Correlation of the last difficulty of a training image and its soft Dice at the end.",
                correlations(run),
            ),
            (
                "Which images gained",
                "Soft Dice of training images with adaptive epsilon less that with another row of the same seed, in "
                "thirds by the difficulty that the networks of the other seeds measured (with one seed, by its own); "
                "means over images, then seeds.",
                gains(run),
            ),
        ]


STUDY = Study()
