"""What is measured of PolyDice: overlap, distance, calibration, and whether it matters whose epsilon an image gets."""

import json
import math

import numpy as np
import pandas as pd
from scipy import stats

from experiments import measures
from experiments.controls import RECORD
from experiments.hiroike2026 import figures
from experiments.hiroike2026.protocol import ADAPTIVE, DICE, FIXED, REPLAYED, SHUFFLED, fixed
from experiments.hiroike2026.scoring import score
from experiments.measures import scores
from experiments.study import Study
from keras_uq import metrics, statistics

MEASURES = {"dice": "Dice", "hd95": "HD95 (mm; px of pictures)", "ece_percent": "ECE (%)", "nll": "NLL (nat)"}
OURS = {"sensitivity": "sensitivity", "precision": "precision", "brier": "Brier score"}
FURTHER = {
    "dice_seeds": "std over seeds: Dice",
    "ece_percent_seeds": "std over seeds: ECE (%)",
    "nll_seeds": "std over seeds: NLL",
    "hd95_missing": "cases without HD95",
    "mutual_information": "mutual information (nat)",
}
COMPARED = {"dice": "Dice", "hd95": "HD95", "ece_percent": "ECE (points)", "nll": "NLL"}
QUESTIONS = {
    "adaptive against the Dice loss": (ADAPTIVE, DICE),
    "adaptive against epsilon 0": (ADAPTIVE, fixed(0.0)),
    "does the assignment matter? adaptive against shuffled": (ADAPTIVE, SHUFFLED),
    "does the schedule alone do it? adaptive against its mean epsilon": (ADAPTIVE, REPLAYED),
    "epsilon 0 against the Dice loss": (fixed(0.0), DICE),
}


def published(run):
    """Nothing: the thesis prints no result."""
    rows = [DICE, *map(fixed, FIXED), ADAPTIVE, SHUFFLED, REPLAYED]
    empty = dict.fromkeys((*MEASURES, "flag"), "")
    return pd.DataFrame([{**empty, "dataset": ""}] * len(rows), index=rows)


def measure(run, frames):
    """Means over test cases (each the mean of its networks) with bootstrap intervals."""
    frames = [derive(cases) for cases in frames]
    together = pd.concat(frames)
    of_cases = together.groupby("case").mean(numeric_only=True)
    found = {}
    for name in (*MEASURES, *OURS):
        found[name] = measures.mean_over_cases(of_cases[name])
    of_seeds = pd.DataFrame([cases.mean(numeric_only=True) for cases in frames])
    plain = {f"{name}_seeds": of_seeds[name].std(ddof=1) for name in ("dice", "ece_percent", "nll")}
    plain |= {
        "hd95_missing": metrics.average_cases(together["hd95"].to_numpy()).missing,
        "mutual_information": together["mutual_information"].mean(),
    }
    return found | {name: statistics.Interval(float(value), math.nan, math.nan) for name, value in plain.items()}


def derive(cases):
    """The cases with their calibration error in percent."""
    return cases.assign(ece_percent=100 * cases["ece"])


def build_tests(folder):
    """Wilcoxon's signed-rank test over test cases (means of seeds) for each question, and the mean difference."""
    of_rows, lines = scores(folder), []
    for question, (first, second) in QUESTIONS.items():
        if first not in of_rows or second not in of_rows:
            continue
        for column, label in COMPARED.items():
            pair = (of_rows[first][column], of_rows[second][column])
            if (pair[0] - pair[1]).isna().all():
                continue
            found = statistics.paired_bootstrap(*pair)._asdict()
            lines.append({"question": question, "measure": label, **found, "p": statistics.signed_rank(*pair).p})
    frame = pd.DataFrame(lines, columns=["question", "measure", "mean", "low", "high", "p"])
    known = frame["p"].notna()
    frame.loc[known, "q"] = stats.false_discovery_control(frame.loc[known, "p"]) if known.any() else math.nan
    return frame


def by_seed(folder):
    """Mean difference over test cases for each question, one column a seed, and Student's interval over the seeds."""
    of, lines = _cells(folder), []
    for question, (first, second) in QUESTIONS.items():
        seeds = sorted(seed for row, seed in of if row == first and (second, seed) in of)
        found = {}
        for seed in seeds:
            one, other = (derive(measures.cases_of(of[row, seed])).set_index("case") for row in (first, second))
            found[f"seed {seed}"] = (one[list(COMPARED)] - other[list(COMPARED)]).mean().rename(COMPARED)
        for measure, of_seeds in pd.DataFrame(found).iterrows():
            interval = statistics.mean_interval(of_seeds)._asdict()
            lines.append({"question": question, "measure": measure, **of_seeds, **interval})
    return pd.DataFrame(lines)


def cost(folder):
    """What the refreshes cost, means over seeds: their share of the training's time, and what the subset saves.

    Without a subset a refresh would take as many times as long as it would sample more images.
    """
    measured, lines = measures.cells(folder), []
    for row in (ADAPTIVE, SHUFFLED):
        found = []
        for path in measured.loc[measured["row"] == row, "folder"]:
            record = json.loads((path / RECORD).read_text())
            if not record["refreshes"]:
                continue
            spent = pd.read_csv(path / "history.csv")["refresh_seconds"].sum()
            seconds = json.loads((path / "training.json").read_text())["seconds"]
            images, sampled = len(record["difficulty"]), record["refreshes"][0]["sampled"]
            more = spent * (images / sampled - 1)
            found.append(
                {
                    "refreshes": len(record["refreshes"]),
                    "images of a refresh": sampled,
                    "of all": images,
                    "seconds of all refreshes": spent,
                    "of training": seconds,
                    "share": spent / seconds,
                    "share if all were sampled": (spent + more) / (seconds + more),
                    "training time the subset saves": more / (seconds + more),
                }
            )
        if found:
            means = pd.DataFrame(found).mean()
            counts = {name: int(means.pop(name)) for name in ("refreshes", "images of a refresh", "of all")}
            lines.append({"row": row, **counts, **means})
    return pd.DataFrame(lines)


def gains(folder):
    """Which training images gain: soft Dice of adaptive less that of a row, in thirds of their difficulty.

    Means over images with foreground, then over seeds. An image's difficulty is the last that the adaptive networks of
    the *other* seeds found: a network's own would be high for the images that it happened to learn badly. With one seed
    there is no other.
    """
    of, lines = _cells(folder), []
    for other in (DICE, fixed(0.0), SHUFFLED, REPLAYED):
        found = []
        for seed in sorted(seed for row, seed in of if row == ADAPTIVE and (other, seed) in of):
            adaptive, against = (_images(of[row, seed]) for row in (ADAPTIVE, other))
            seeds = [another for row, another in of if row == ADAPTIVE and another != seed] or [seed]
            difficulty = pd.concat([_images(of[ADAPTIVE, another])["difficulty"] for another in seeds], axis=1)
            gain = (adaptive["soft_dice"] - against["soft_dice"])[difficulty.notna().all(axis=1)].dropna()
            if len(gain) < 3:
                continue
            ranks = difficulty.loc[gain.index].mean(axis=1).rank(method="first")
            third = pd.qcut(ranks, 3, labels=["easy", "middle", "difficult"])
            found.append(gain.groupby(third, observed=True).mean())
        if found:
            lines.append({"gain of adaptive over": other, **pd.DataFrame(found).mean().to_dict()})
    return pd.DataFrame(lines)


def _cells(folder):
    """`{(row, seed): folder}` of what is recorded."""
    return {(line["row"], line["seed"]): line["folder"] for line in measures.cells(folder).to_dict("records")}


def _images(cell):
    return pd.read_csv(cell / "training_images.csv").set_index("image")


def correlations(folder):
    """Spearman's correlation of the last difficulty and the soft Dice of training images; mean over seeds."""
    measured, lines = measures.cells(folder), []
    for row in (ADAPTIVE, SHUFFLED):
        found = []
        for path in measured.loc[measured["row"] == row, "folder"]:
            images = pd.read_csv(path / "training_images.csv")
            known = images.dropna(subset=["difficulty", "soft_dice"])
            if len(known) > 2:
                found.append(stats.spearmanr(known["difficulty"], known["soft_dice"]).statistic)
        if found:
            lines.append({"row": row, "seeds": len(found), "Spearman's r": np.mean(found)})
    return pd.DataFrame(lines)


def _sections(folder, table):
    del table
    found = [
        (
            "Does each seed say the same?",
            "The differences tested below, for the networks of each seed alone, and their mean with Student's 95 % "
            "interval over the seeds. What the seeds do not agree on, the test over cases cannot settle.",
            by_seed(folder),
        ),
        (
            "What the refreshes cost",
            "Sampling the training images, as a share of the training. The last two columns suppose that a refresh "
            "takes as long as it samples images.",
            cost(folder),
        ),
        (
            "Are difficult images those that are learnt badly?",
            "Correlation of the last difficulty of a training image and its soft Dice at the end.",
            correlations(folder),
        ),
        (
            "Which images gained",
            "Soft Dice of training images with adaptive epsilon less that with another row of the same seed, in thirds "
            "by the difficulty that the networks of the other seeds found (with one seed, by its own); means over "
            "images, then seeds.",
            gains(folder),
        ),
    ]
    return [entry for entry in found if not entry[2].empty]


STUDY = Study(
    score=score,
    illustrate=lambda data, settings, folder: None,
    published=published,
    measures=MEASURES,
    ours=OURS,
    further=FURTHER,
    measure=measure,
    compared=COMPARED,
    derive=derive,
    headline={"dice": "Dice", "ece_percent": "ECE %", "nll": "NLL"},
    overview=lambda line: f"{line['dice']:.3f} / {line['hd95']:.2f} / {line['ece_percent']:.2f} / {line['nll']:.3f}",
    overview_note=(
        "Ours on {dataset}: Dice / HD95 (mm, of pictures px) / ECE % / NLL, means over test cases. The thesis prints "
        "no result. What was chosen is in the linked tables."
    ),
    interval="95 % bootstrap interval of the mean over test cases",
    notes=lambda run: ["Means over test cases, each the mean of its networks; predictions by Monte Carlo dropout."],
    beyond="The thesis prints no result, so all of this is ours.",
    tests=build_tests,
    tests_note=lambda run: (
        "Wilcoxon's signed-rank test over test cases (each the mean of its networks); mean: of the differences, with a "
        "95 % bootstrap interval; q: p corrected for all lines of this table (false discovery rate, Benjamini and "
        "Hochberg). Seeds are not sampled: see what each of them says."
    ),
    figures=figures.draw,
    sections=_sections,
)
