"""What the tables of Zhang et al. (2025) measure: overlap of whole volumes, and what the adaptive weights did."""

import numpy as np
import pandas as pd

from experiments import study
from experiments.run import joined_flags, mean_over_cases, plain, read_published, spread_over_seeds
from experiments.zhang2025 import figures
from experiments.zhang2025.protocol import DICE_CE, NETWORKS, PRICES, adaptive, published_name, tversky
from experiments.zhang2025.scoring import SCORES
from keras_uq import statistics

MEASURES = {
    "f2": "F2 (%)",
    "dsc": "DSC (%)",
    "specificity": "specificity (%)",
    "sensitivity": "sensitivity (%)",
    "precision": "precision (%)",
}
# The column of `cases.csv` for each column of the printed tables.
COLUMNS = {name: name for name in MEASURES} | {"dsc": "dice"}
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


class Study(study.Study):
    """Overlap of whole volumes, and what the adaptive weights did."""

    measures = MEASURES
    ours = {"dsc_std": "std of DSC over cases", "dsc_best": "best DSC (%)", "dsc_worst": "worst DSC (%)"}
    further = {
        **{f"{name}_std": f"std over cases: {label}" for name, label in MEASURES.items() if name != "dsc"},
        **{f"{name}_best": f"best: {label}" for name, label in MEASURES.items() if name != "dsc"},
        "dsc_seeds": "std over seeds: DSC (%)",
    }
    compared = {
        "dice": "DSC (points)",
        "f2": "F2 (points)",
        "sensitivity": "sensitivity (points)",
        "precision": "precision (points)",
    }
    headline = {"dsc": "DSC", "f2": "F2", "precision": "prec."}
    interval = "95 % bootstrap interval of the mean over test cases"
    overview = "{dsc:.2f} ± {dsc_std:.2f} / {f2:.2f}"
    overview_note = (
        "Published F2 (on the paper's data) → ours, in percent: DSC, mean and standard deviation over test cases / F2. "
        "Measured on {dataset}, not on the paper's data; the columns are not comparable. Departures from the protocol "
        "are in the linked tables."
    )
    beyond = "The paper names a best DSC of 95.24, 95.2 and 95.53 % in three places."

    tests_note = (
        "Wilcoxon's signed-rank test over test cases (each the mean of its networks); mean: of the differences, in "
        "points of percent, with a 95 % bootstrap interval. Not corrected for the number of questions."
    )
    draw = staticmethod(figures.draw)

    def published(self, run):
        frames = []
        for name in ("table1", "table2"):
            frame = read_published(f"zhang2025_{name}")
            frame.index = [published_name(line) for line in frame.to_dict("records")]
            frames.append(frame.drop(columns=["model", "loss", "alpha", "beta"]))
        flags = [joined_flags(*pair) for pair in zip(*(frame["flag"] for frame in frames))]
        both = frames[0].drop(columns="flag").join(frames[1].drop(columns="flag"))
        return both.assign(flag=flags, dataset="NIH Pancreas-CT")

    def parts(self, run):
        return {"Table 1": ["f2", "dsc"], "Table 2": ["specificity", "sensitivity", "precision"]}

    def measure(self, run, frames):
        together = pd.concat(frames)
        cases = together.groupby("case").mean(numeric_only=True)
        measured = {}
        for name, column in COLUMNS.items():
            measured[name] = mean_over_cases(cases[column])
            values = {"std": cases[column].std(ddof=1), "best": together[column].max(), "worst": together[column].min()}
            measured |= {f"{name}_{what}": plain(value) for what, value in values.items()}
        return measured | {"dsc_seeds": spread_over_seeds(frames, ["dice"])["dice_seeds"]}

    def derive(self, cases):
        return cases.assign(**{name: 100 * cases[name] for name in SCORES})

    def tests(self, run):
        lines = []
        for question, pairs in QUESTIONS.items():
            for first, second in pairs:
                for label, pair in run.both(first, second).items():
                    line = {"question": question, "row": first, "against": second, "measure": label}
                    line |= statistics.paired_bootstrap(*pair)._asdict()
                    lines.append(line | {"p, signed-rank": statistics.signed_rank(*pair).p})
        columns = ["question", "row", "against", "measure", "mean", "low", "high", "p, signed-rank"]
        return pd.DataFrame(lines, columns=columns)

    def notes(self, run):
        return [
            "Means over test cases, each the mean of its networks; arg-max masks on the grid that the network saw; "
            "best and worst: of all cases and networks.",
            "The row of [12] is as published; it is another network and was not run.",
        ]

    def sections(self, run):
        return [
            (
                "What the adaptive weights did",
                "Weight of the Tversky loss by epoch (that of the cross-entropy is the rest), and both parts without "
                "their weights; means over seeds. The weight of an epoch is the Tversky loss's share of both losses of "
                "the epoch before.",
                weights(run),
            ),
            (
                "Does the Tversky loss alone fluctuate more?",
                "Training loss by epoch, second half of the training; means over seeds. The losses have different "
                "scales, hence the share.",
                fluctuation(run),
            ),
        ]


def fluctuation(run):
    """How much the training loss moves from epoch to epoch in the second half of the training: means over seeds.

    The paper (Section 3.2 C) says that of Tversky alone fluctuates greatly. Of the loss that is minimised: standard
    deviation of its change between epochs, and the same as a share of its mean. Also the deviation of validation Dice.
    """
    lines = []
    for row, histories in run.histories.items():
        seeds = []
        for history in histories:
            late = history.iloc[int(len(history) * TRANSIENT) :]
            change = late["loss"].diff().std()
            seeds.append(
                {
                    "std of the change of the loss": change,
                    "as a share of the loss": change / late["loss"].mean(),
                    "std of the change of validation Dice": late["val_dice"].diff().std(),
                }
            )
        lines.append({"row": row, "seeds": len(histories), **pd.DataFrame(seeds).mean().to_dict()})
    return pd.DataFrame(lines)


def weights(run):
    """What the adaptive weights did: that of the Tversky loss in some epochs, and the two parts; means over seeds."""
    lines = []
    for row, histories in run.histories.items():
        if "tversky_weight" not in histories[0]:
            continue
        epochs = min(map(len, histories))
        line = {"row": row, "seeds": len(histories)}
        for epoch in sorted({0, min(1, epochs - 1), epochs // 2, epochs - 1}):
            line[f"weight, epoch {epoch + 1}"] = np.mean([h["tversky_weight"].iloc[epoch] for h in histories])
        for name in ("tversky", "crossentropy"):
            line[f"{name}, last epoch"] = np.mean([history[name].iloc[epochs - 1] for history in histories])
        lines.append(line)
    return pd.DataFrame(lines)


STUDY = Study()
