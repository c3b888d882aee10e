"""What the tables of Mehrtash et al. (2020) measure: calibration, overlap, distance, and what segments know of it."""

import math

import numpy as np
import pandas as pd

from experiments.measures import PUBLISHED, mean_over_cases, scores
from experiments.mehrtash2020 import figures
from experiments.mehrtash2020.protocol import APPLICATIONS
from experiments.mehrtash2020.scoring import score
from experiments.mehrtash2020.segments import (
    card_of,
    detection_lines,
    prediction_lines,
    segment_lines,
    subset_lines,
)
from experiments.study import Study
from keras_uq import metrics, statistics

SEGMENTS = (1, 2, 3)
BOX = {"nll": "NLL (nat)", "brier": "Brier, sum over classes", "ece_percent": "ECE (%)"}
WHOLE = {f"{name}_whole": f"{label}, whole volume" for name, label in BOX.items()}
OVERLAP = {f"dice_segment{value}": f"Dice, segment {value}" for value in SEGMENTS}
DISTANCE = {f"hd95_mm_segment{value}": f"HD95, segment {value} (mm)" for value in SEGMENTS}
MEASURES = BOX | OVERLAP | WHOLE | DISTANCE
OURS = {
    "nll_mean": "NLL, mean",
    "brier_mean": "Brier, mean",
    "ece_percent_mean": "ECE, mean (%)",
    "dice_mean": "Dice, mean",
}
FURTHER = {
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
COMPARED = {
    "nll": "NLL",
    "nll_whole": "NLL, whole volume",
    "brier": "Brier",
    "ece": "ECE",
    "dice": "Dice",
    "hd95": "HD95 (mm)",
}
# Lower is better but for this.
HIGHER = ("dice",)
METHODS = {"baseline": "", "mc_dropout": ", MC dropout", "ensemble": ", ensemble"}
# -log(1 - q) >= 2.4554 q^2: probabilities cannot have less, whatever the labels.
LEAST_NLL_OF_BRIER = 2.4554
# Section VI-E.
SIGNIFICANT = 0.01


class ImpossibleScores(AssertionError):
    """A record whose NLL is below what its Brier score allows: it cannot come from probabilities."""


def published(run):
    """The paper's tables as printed, by row: of the application whose data these are, else of the prostate.

    Table II, S1 and S2 have the same rows and stand side by side. Where a printed NLL is below 2.4554 K/2 times the
    printed Brier score, the latter cannot hold the 1/K of Eq. 4: such rows get the flag `M-BRIERSUM`.
    """
    application = application_of(run)
    if run["table"] == "tableS3":
        printed = _read("tableS3", application, {"dice": "dice_segment1", "hd95_mm": "hd95_mm_segment1"})
    else:
        printed = _read("table2", application)
        for name, names in (("tableS1", {name: f"{name}_whole" for name in BOX}), ("tableS2", {})):
            further = _read(name, application, names)
            printed["flag"] = [_joined(*flags) for flags in zip(printed["flag"], further["flag"])]
            printed = printed.join(further.drop(columns=["flag", "dataset"]))
    half_of_classes = APPLICATIONS[application]["classes"] / 2
    impossible = printed["nll"].map(_first) < LEAST_NLL_OF_BRIER * half_of_classes * printed["brier"].map(_first)
    printed.loc[impossible, "flag"] = [_joined(flag, "M-BRIERSUM") for flag in printed.loc[impossible, "flag"]]
    for name in (*OVERLAP, *DISTANCE):
        if int(name[-1]) >= run["classes"]:
            printed = printed.drop(columns=name, errors="ignore")
        elif name not in printed:
            printed[name] = ""  # A structure more than the paper's.
    return printed


def application_of(run):
    """Such as `Heart`; the first for data that are none of the paper's."""
    names = {about["dataset"]: name for name, about in APPLICATIONS.items()}
    return names.get(run["dataset"], next(iter(APPLICATIONS)))


def _read(name, application, names=()):
    frame = pd.read_csv(PUBLISHED / f"mehrtash2020_{name}.csv", dtype=str, keep_default_na=False)
    frame = frame[frame["application"].str.startswith(application)]
    if frame.empty:  # Table S3 is of the prostate alone.
        frame = pd.read_csv(PUBLISHED / f"mehrtash2020_{name}.csv", dtype=str, keep_default_na=False)
    frame = frame.assign(row=frame["loss"] + frame["method"].map(METHODS)).set_index("row")
    found = pd.DataFrame({"dataset": frame["application"], "flag": frame["flag"]})
    for column in frame:
        measure = dict(names).get(column, column)
        if measure in MEASURES:
            span = [""] * len(frame)
            if f"{column}_low" in frame:
                span = " [" + frame[f"{column}_low"] + ", " + frame[f"{column}_high"] + "]"
            found[measure] = (frame[column] + span).where(frame[column] != "", "")
    return found


def _joined(*flags):
    return ";".join(dict.fromkeys(code for flag in flags for code in flag.split(";") if code))


def _first(text):
    return float(text.partition(" ")[0] or "nan")


def parts(run):
    """Which measures stand in which table of the paper."""
    if run["table"] == "tableS3":
        return {"Table S3": [*BOX, *OVERLAP, *DISTANCE]}
    return {
        "Table II: calibration in the bounding box, Dice in the whole volume": [*BOX, *OVERLAP],
        "Table S1: calibration in the whole volume": list(WHOLE),
        "Table S2: Hausdorff distance": list(DISTANCE),
    }


def measure(run, frames):
    """Mean over cases and networks, with the range from the 2.5th to the 97.5th percentile; `..._mean` a bootstrap one.

    Raises:
        ImpossibleScores: If a case's NLL is below 2.4554 / 2 times its Brier score (sum over classes).
    """
    frames = [derive(cases) for cases in frames]
    together = pd.concat(frames)
    for end in ("", "_whole"):
        # With K classes, (1 - p)^2 + the others' squares is at most 2 (1 - p)^2.
        below = together[together[f"nll{end}"] < LEAST_NLL_OF_BRIER / 2 * together[f"brier{end}"] - 1e-9]
        if len(below):
            raise ImpossibleScores(f"{below['case'].iloc[0]}: NLL {below[f'nll{end}'].iloc[0]} for its Brier score.")
    found = {name: _range(together[name]) for name in MEASURES if name in together}
    of_cases = together.groupby("case").mean(numeric_only=True)
    for name in ("nll", "brier", "ece_percent", "dice"):
        found[f"{name}_mean"] = mean_over_cases(of_cases[name])
    of_seeds = pd.DataFrame([cases.mean(numeric_only=True) for cases in frames])
    distances = together[[name for name in DISTANCE if name in together]].to_numpy().ravel()
    plain = {
        "nll_seeds": of_seeds["nll"].std(ddof=1) if len(frames) > 1 else math.nan,
        "dice_seeds": of_seeds["dice"].std(ddof=1) if len(frames) > 1 else math.nan,
        "hd95_missing": metrics.average_cases(distances).missing,
        "segments": len(distances),
        **{name: together[name].mean() for name in FURTHER if name in together},
    }
    return found | {name: statistics.Interval(float(value), math.nan, math.nan) for name, value in plain.items()}


def derive(cases):
    """The cases with percentages, and with distances as means over segments (NaN if one is missing)."""
    percent = {f"{name}_percent{end}": 100 * cases[f"{name}{end}"] for name in ("ece",) for end in ("", "_whole")}
    percent |= {f"{name}_percent": 100 * cases[name] for name in ("ece_15", "ece_foreground")}
    means = {
        name: cases[[column for column in cases if column.startswith(f"{prefix}_segment")]].mean(axis=1, skipna=False)
        for name, prefix in (("hd95", "hd95_mm"), ("asd_mm", "asd_mm"))
    }
    return cases.assign(**percent, **means)


def _range(values):
    known = values.dropna()
    if known.empty:
        return statistics.Interval(math.nan, math.nan, math.nan)
    low, high = np.percentile(known, (2.5, 97.5))
    return statistics.Interval(float(known.mean()), float(low), float(high))


def build_tests(folder):
    """What the paper prints bold: is the best row of a measure better than each other? Paired bootstrap over cases.

    One line a measure and row that is not the best: the difference to the best, and its p with 100 resamples, as
    printed, and with 10,000.

    Reference:
        Mehrtash et al. (2020), Section VI-E: n = 100, P < 0.01.
    """
    lines, of_rows = [], scores(folder)
    for column, label in COMPARED.items():
        means = {row: values[column].mean() for row, values in of_rows.items()}
        known = {row: value for row, value in means.items() if not math.isnan(value)}
        if len(known) < 2:
            continue
        best = (max if column in HIGHER else min)(known, key=known.get)
        for row in known:
            pair = (of_rows[row][column], of_rows[best][column])
            if row != best and (pair[0] - pair[1]).notna().any():
                difference = statistics.paired_bootstrap(*pair)
                p = {f"p, n = {n}": statistics.paired_bootstrap_test(*pair, resamples=n) for n in (100, 10_000)}
                lines.append({"measure": label, "best": best, "row": row, **difference._asdict(), **p})
    return pd.DataFrame(lines, columns=["measure", "best", "row", "mean", "low", "high", "p, n = 100", "p, n = 10000"])


def departures(data, run):
    """The scans of another kind that the paper has and this run has not."""
    wanted = APPLICATIONS[application_of(run)].get("shifted")
    if run["dataset"] != APPLICATIONS[application_of(run)]["dataset"] or wanted is None or data.shifted is not None:
        return []
    return [f"{wanted} is not there: spoilt scans alone stand for those of another kind"]


def against(run, row):
    """What is made of a network is held against it, Dice against cross-entropy."""
    plain = row.partition(",")[0]
    return plain if plain != row else run["reference"]


def _sections(folder, table):
    del table
    found = [
        (
            "How many members",
            "Ensembles of each size, all of them or 50 drawn without repetition from the trained members: mean over "
            "ensembles of the mean over test cases, and its range from the 2.5th to the 97.5th percentile. Change: of "
            "the NLL against one member.",
            subset_lines(folder),
        ),
        (
            "Does segment entropy tell the Dice?",
            "Pearson's r of logit(Dice) and segment entropy over test cases; means over seeds, p of the first. Spoilt: "
            "over the spoilt scans as well.",
            segment_lines(folder),
        ),
        (
            "Quality card",
            "Dice predicted from segment entropy by the line fitted on validation cases: mean absolute error, and the "
            "share of cases within the 95 % interval, over test cases and over spoilt ones. Means over seeds.",
            prediction_lines(folder),
        ),
        (
            "Out of distribution",
            "Test cases against the same spoilt: how often a spoilt one has the higher segment entropy (AUROC, mean of "
            "segments; an empty segment counts as log 2), and the share that is flagged with thresholds chosen on "
            "validation cases. Test: flagged without being spoilt. Means over seeds.",
            detection_lines(folder),
        ),
    ]
    return [entry for entry in found if not entry[2].empty]


def _notes(run):
    return [
        "Brier score: summed over classes, since the printed ones fit that and not the 1/K of Eq. 4.",
        f"Segments: {', '.join(f'{value} {name}' for value, name in run['labels'].items() if value != '0')}.",
    ]


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
    headline={"nll": "NLL", "ece_percent": "ECE %", "dice_segment1": "Dice 1"},
    overview=lambda line: (
        f"{line['nll']:.3f} / {line['brier']:.3f} / {line['ece_percent']:.2f} / {line['dice_mean']:.3f}"
    ),
    overview_note=(
        "Published NLL → ours, in the bounding box: NLL / Brier score, sum over classes / ECE % / Dice, mean of "
        "segments. Ours are on {dataset}, published ones on the data in round brackets; departures from the protocol "
        "are in the linked tables."
    ),
    interval="from the 2.5th to the 97.5th percentile over test cases and networks, as printed",
    notes=_notes,
    beyond=(
        "Here square brackets are 95 % bootstrap intervals of the mean over test cases, each the mean of its networks. "
        "HD95 has no value where a segment is missed or invented; those are counted."
    ),
    tests=build_tests,
    tests_note=lambda run: (
        "For each measure the row with the best mean, and every other against it: mean difference over test cases "
        "(means of seeds) with its bootstrap interval, and p of no difference with 100 resamples, as in the paper, and "
        f"with 10,000. Bold in the paper: p below {SIGNIFICANT}. With 100 resamples p is 0 or at least 0.02."
    ),
    figures=figures.draw,
    sections=_sections,
    against=against,
    departures=departures,
    parts=parts,
    quality=card_of,
)
