"""Tables of the page: ensembles by size, segment entropy against Dice, corrupted scans."""

import math

import numpy as np
import pandas as pd
from scipy import stats

from experiments.mehrtash2020.scoring import card_of
from keras_uq import metrics
from keras_uq.inference import logit_dice

ABSENT = math.log(2)  # Entropy that an absent segment counts as.


def subset_lines(run):
    """One line for each row and size of ensembles: means, ranges and the change against one member."""
    lines = []
    for row, cells in run.by_row.items():
        if not cells[0].has("subsets.csv"):
            continue
        drawn = cells[0].frame("subsets.csv")
        alone = drawn.loc[drawn["members"] == 1, "nll"].mean()
        for size, ensembles in drawn.groupby("members"):
            line = {"row": row, "members": str(size), "ensembles": str(len(ensembles))}
            for name, label in (("nll", "NLL"), ("nll_whole", "NLL, whole volume"), ("dice", "Dice")):
                low, high = np.percentile(ensembles[name], (2.5, 97.5))
                line[label] = f"{ensembles[name].mean():.4f} [{low:.4f}, {high:.4f}]"
            lines.append(line | {"change": f"{100 * (ensembles['nll'].mean() / alone - 1):+.0f} %"})
    return pd.DataFrame(lines)


def segment_lines(run):
    """One line for each row and segment: correlation of logit(Dice) and entropy."""
    lines = []
    for row, cells in run.by_row.items():
        for value in _segments(cells[0]):
            seeds = []
            for cell in cells:
                tests, shifted = _pairs(cell.cases(), value), _shifted(cell, value)
                seeds.append((*_correlation(tests), _correlation(pd.concat([tests, shifted]))[0]))
            line = {"row": row, "segment": str(value), "seeds": str(len(cells)), "cases": str(int(seeds[0][2]))}
            means = pd.DataFrame(seeds, columns=["r", "p", "n", "with corrupted"]).mean()
            lines.append(line | {"r": means["r"], "p": seeds[0][1], "r, with corrupted": means["with corrupted"]})
    return pd.DataFrame(lines)


def prediction_lines(run):
    """One line for each row: how far the Dice that a quality card predicts is from the true one."""
    lines = []
    for row, cells in run.by_row.items():
        seeds = []
        for cell in cells:
            card = card_of(cell.frame("cases.csv"))
            if card is None:
                continue
            kinds = {"test": [_pairs(cell.cases(), quality.label) for quality in card.classes]}
            kinds["corrupted"] = [_shifted(cell, quality.label) for quality in card.classes]
            line = {}
            for kind, frames in kinds.items():
                errors, inside = [], []
                for quality, frame in zip(card.classes, frames):
                    for entropy, dice in frame.dropna().itertuples(index=False):
                        predicted, low, high = quality.dice(entropy)
                        errors.append(abs(predicted - dice))
                        inside.append(low <= dice <= high)
                line |= {f"error, {kind}": pd.Series(errors).mean(), f"within, {kind}": pd.Series(inside).mean()}
            seeds.append(line)
        if seeds:
            lines.append({"row": row, "seeds": str(len(seeds)), **pd.DataFrame(seeds).mean()})
    return pd.DataFrame(lines)


def detection_lines(run):
    """One line for each row and shift: Dice, AUROC and share flagged."""
    lines = []
    for row, cells in run.by_row.items():
        seeds = [line for cell in cells for line in _detected(cell)]
        if seeds:
            means = pd.DataFrame(seeds).groupby("shift", sort=False).mean()
            lines += [
                {"row": row, "seeds": str(len(cells)), "shift": shift, **mean} for shift, mean in means.iterrows()
            ]
    return pd.DataFrame(lines)


def _detected(cell):
    """One line for each shift of a cell."""
    cases, values = cell.cases(), _segments(cell)
    card = card_of(cell.frame("cases.csv"))
    test_entropy = np.stack([cases[f"entropy_segment{value}"] for value in values], axis=1)
    flagged = _flagged(card, test_entropy)
    for shift, shifted in cell.frame("shifted.csv").groupby("shift", sort=False):
        entropy = shifted.pivot(index="case", columns="class", values="entropy").to_numpy()
        both = [np.nan_to_num(part, nan=ABSENT).mean(axis=1) for part in (test_entropy, entropy)]
        positive = np.repeat([False, True], [len(part) for part in both])
        yield {
            "shift": shift,
            "Dice": shifted["dice"].mean(),
            "AUROC": metrics.error_detection_auroc(np.concatenate(both), positive),
            "flagged": _flagged(card, entropy),
            "flagged, test": flagged,
        }


def regression_points(cell):
    """`{segment: (entropy, Dice, entropy of corrupted, Dice of corrupted)}` of a cell."""
    return {
        value: (*_pairs(cell.cases(), value).to_numpy().T, *_shifted(cell, value).to_numpy().T)
        for value in _segments(cell)
    }


def _flagged(card, entropies):
    """Share of cases with a segment above its threshold, or none at all."""
    if card is None:
        return math.nan
    above = entropies > np.array([quality.threshold for quality in card.classes])
    return float((above | np.isnan(entropies)).any(axis=1).mean())


def _correlation(pairs):
    defined = pairs.dropna()
    dice = logit_dice(defined["dice"])
    if len(defined) < 3 or defined["entropy"].nunique() < 2 or dice.nunique() < 2:
        return math.nan, math.nan, len(defined)
    return *stats.pearsonr(dice, defined["entropy"]), len(defined)


def _pairs(cases, value):
    names = {f"entropy_segment{value}": "entropy", f"dice_segment{value}": "dice"}
    return cases[list(names)].rename(columns=names)


def _shifted(cell, value):
    shifted = cell.frame("shifted.csv")
    return shifted.loc[shifted["class"] == value, ["entropy", "dice"]]


def _segments(cell):
    names = cell.frame("cases.csv")
    return [int(name.removeprefix("entropy_segment")) for name in names if name.startswith("entropy_segment")]
