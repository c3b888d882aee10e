"""What the tables of Zhang et al. (2025) measure: overlap of whole volumes, and what the adaptive weights did."""

import math

import numpy as np
import pandas as pd

from experiments.measures import PUBLISHED, mean_over_cases, scores
from experiments.study import Study
from experiments.zhang2025 import figures
from experiments.zhang2025.protocol import DICE_CE, NETWORKS, PRICES, adaptive, published_name, tversky
from experiments.zhang2025.scoring import SCORES, score
from keras_uq import statistics

# Columns of the printed tables, and ours of `cases.csv`.
COLUMNS = {
    "f2": "f2",
    "dsc": "dice",
    "specificity": "specificity",
    "sensitivity": "sensitivity",
    "precision": "precision",
}
MEASURES = {
    "f2": "F2 (%)",
    "dsc": "DSC (%)",
    "specificity": "specificity (%)",
    "sensitivity": "sensitivity (%)",
    "precision": "precision (%)",
}
OURS = {"dsc_std": "std of DSC over cases", "dsc_best": "best DSC (%)", "dsc_worst": "worst DSC (%)"}
FURTHER = {
    **{f"{name}_std": f"std over cases: {label}" for name, label in MEASURES.items() if name != "dsc"},
    **{f"{name}_best": f"best: {label}" for name, label in MEASURES.items() if name != "dsc"},
    "dsc_seeds": "std over seeds: DSC (%)",
}
COMPARED = {
    "dice": "DSC (points)",
    "f2": "F2 (points)",
    "sensitivity": "sensitivity (points)",
    "precision": "precision (points)",
}
# What the paper says, and what it leaves out, as pairs of rows: the first against the second.
QUESTIONS = {
    "adaptive weights against Tversky alone": [
        (adaptive(network, *PRICES[0]), tversky(network, *PRICES[0])) for network in NETWORKS
    ],
    "adaptive against fixed weights, same parts": [(adaptive(NETWORKS[0], *PRICES[1]), DICE_CE)],
    "0.5/0.5 against 0.7/0.3": [tuple(adaptive(network, *prices) for prices in PRICES[::-1]) for network in NETWORKS],
    "dilated against plain": [
        (loss(NETWORKS[1], *prices), loss(NETWORKS[0], *prices))
        for loss, prices in ((tversky, PRICES[0]), (adaptive, PRICES[0]), (adaptive, PRICES[1]))
    ],
}
# Epochs at the beginning in which every loss falls.
TRANSIENT = 0.5


def published(run):
    """The paper's two tables as printed, strings, by row."""
    frames = []
    for name in ("table1", "table2"):
        frame = pd.read_csv(PUBLISHED / f"zhang2025_{name}.csv", dtype=str, keep_default_na=False)
        frame.index = [published_name(line) for line in frame.to_dict("records")]
        frames.append(frame.drop(columns=["model", "loss", "alpha", "beta"]))
    flags = [
        ";".join(dict.fromkeys(code for codes in of_row for code in codes.split(";") if code))
        for of_row in zip(*(frame["flag"] for frame in frames))
    ]
    both = frames[0].drop(columns="flag").join(frames[1].drop(columns="flag"))
    return both.assign(flag=flags, dataset="NIH Pancreas-CT")


def parts(run):
    """Which measures stand in which table of the paper."""
    return {"Table 1": ["f2", "dsc"], "Table 2": ["specificity", "sensitivity", "precision"]}


def measure(run, frames):
    """Means over test cases in percent (each the mean of its networks) with bootstrap intervals; std and extremes."""
    together = pd.concat([derive(cases) for cases in frames])
    of_cases = together.groupby("case").mean(numeric_only=True)
    found = {}
    for name, column in COLUMNS.items():
        found[name] = mean_over_cases(of_cases[column])
        plain = {"std": of_cases[column].std(ddof=1), "best": together[column].max(), "worst": together[column].min()}
        found |= {f"{name}_{what}": _plain(value) for what, value in plain.items()}
    of_seeds = [derive(cases)["dice"].mean() for cases in frames]
    found["dsc_seeds"] = _plain(np.std(of_seeds, ddof=1) if len(frames) > 1 else math.nan)
    return found


def _plain(value):
    return statistics.Interval(float(value), math.nan, math.nan)


def derive(cases):
    """The cases with their scores in percent."""
    return cases.assign(**{name: 100 * cases[name] for name in SCORES})


def build_tests(folder):
    """Wilcoxon's signed-rank test over test cases (means of seeds) for each question, and the mean difference.

    Reference:
        Zhang et al. (2025) compare means alone.
    """
    of_rows, lines = scores(folder), []
    for question, pairs in QUESTIONS.items():
        for first, second in pairs:
            if first not in of_rows or second not in of_rows:
                continue
            for column, label in COMPARED.items():
                pair = (of_rows[first][column], of_rows[second][column])
                if (pair[0] - pair[1]).isna().all():
                    continue  # No case has the score in both rows.
                difference = statistics.paired_bootstrap(*pair)
                test = statistics.signed_rank(*pair)
                lines.append(
                    {"question": question, "row": first, "against": second, "measure": label}
                    | difference._asdict()
                    | {"p, signed-rank": test.p}
                )
    columns = ["question", "row", "against", "measure", "mean", "low", "high", "p, signed-rank"]
    return pd.DataFrame(lines, columns=columns)


def fluctuation(folder):
    """How much the training loss moves from epoch to epoch in the second half of the training: means over seeds.

    The paper (Section 3.2 C) says that of Tversky alone fluctuates greatly. Of the loss that is minimised: standard
    deviation of its change between epochs, and the same as a share of its mean. Likewise of validation's Dice.
    """
    lines = []
    for row, histories in figures.histories(folder).items():
        of_seeds = []
        for history in histories:
            late = history.iloc[int(len(history) * TRANSIENT) :]
            change = late["loss"].diff().std()
            of_seeds.append(
                {
                    "std of the change of the loss": change,
                    "as a share of the loss": change / late["loss"].mean(),
                    "std of the change of validation Dice": late["val_dice"].diff().std(),
                }
            )
        lines.append({"row": row, "seeds": len(histories), **pd.DataFrame(of_seeds).mean().to_dict()})
    return pd.DataFrame(lines)


def weights(folder):
    """What the adaptive weights did: that of the Tversky loss in some epochs, and the two parts; means over seeds."""
    lines = []
    for row, histories in figures.histories(folder).items():
        if "tversky_weight" not in histories[0]:
            continue
        epochs = min(map(len, histories))
        line = {"row": row, "seeds": len(histories)}
        for epoch in sorted({0, 1, epochs // 2, epochs - 1}):
            line[f"weight, epoch {epoch + 1}"] = np.mean([h["tversky_weight"].iloc[epoch] for h in histories])
        for name in ("tversky", "crossentropy"):
            line[f"{name}, last epoch"] = np.mean([history[name].iloc[epochs - 1] for history in histories])
        lines.append(line)
    return pd.DataFrame(lines)


def _sections(folder, table):
    del table
    found = [
        (
            "What the adaptive weights did",
            "Weight of the Tversky loss by epoch (that of the cross-entropy is the rest), and both parts without their "
            "weights; means over seeds. The weight of an epoch is the Tversky loss's share of both losses of the epoch "
            "before.",
            weights(folder),
        ),
        (
            "Does the Tversky loss alone fluctuate more?",
            "Training loss by epoch, second half of the training; means over seeds. The losses have different scales, "
            "hence the share.",
            fluctuation(folder),
        ),
    ]
    return [entry for entry in found if not entry[2].empty]


def _notes(run):
    return [
        "Means over test cases, each the mean of its networks; arg-max masks on the grid that the network saw; best "
        "and worst: of all cases and networks.",
        "The row of [12] is as published; it is another network and was not run.",
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
    headline={"dsc": "DSC", "f2": "F2", "precision": "prec."},
    overview=lambda line: f"{line['dsc']:.2f} ± {line['dsc_std']:.2f} / {line['f2']:.2f}",
    overview_note=(
        "Published F2 (on the paper's data) → ours, in percent: DSC, mean and standard deviation over test cases / F2. "
        "Ours are on {dataset}: no reproduction of the published column. Departures from the protocol are in the "
        "linked tables."
    ),
    interval="95 % bootstrap interval of the mean over test cases",
    notes=_notes,
    beyond="The paper names a best DSC of 95.24, 95.2 and 95.53 % in three places.",
    tests=build_tests,
    tests_note=lambda run: (
        "Wilcoxon's signed-rank test over test cases (each the mean of its networks); mean: of the differences, in "
        "points of percent, with a 95 % bootstrap interval. Not corrected for the number of questions."
    ),
    figures=figures.draw,
    sections=_sections,
    parts=parts,
)
