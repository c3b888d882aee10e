"""What the entropy of segments knows: of the Dice, of spoilt scans; and what the size of an ensemble does."""

import math

import numpy as np
import pandas as pd
from scipy import stats

from experiments.measures import cases_of, cells, run_of
from keras_uq import metrics
from keras_uq.inference import QualityCard, logit_dice

NOTHING = math.log(2)  # Entropy that a segment which is not there counts as.


def subset_lines(folder):
    """One line a row and size of ensembles: means, ranges and the change against one member."""
    lines = []
    for row, paths in _by_row(folder).items():
        if not (paths[0] / "subsets.csv").exists():
            continue
        drawn = pd.read_csv(paths[0] / "subsets.csv")
        alone = drawn.loc[drawn["members"] == 1, "nll"].mean()
        for size, of_size in drawn.groupby("members"):
            line = {"row": row, "members": str(size), "ensembles": str(len(of_size))}
            for name, label in (("nll", "NLL"), ("nll_whole", "NLL, whole volume"), ("dice", "Dice")):
                low, high = np.percentile(of_size[name], (2.5, 97.5))
                line[label] = f"{of_size[name].mean():.4f} [{low:.4f}, {high:.4f}]"
            lines.append(line | {"change": f"{100 * (of_size['nll'].mean() / alone - 1):+.0f} %"})
    return pd.DataFrame(lines)


def segment_lines(folder):
    """One line a row and segment: correlation of logit(Dice) and entropy."""
    lines = []
    for row, paths in _by_row(folder).items():
        for value in _segments(paths[0]):
            found = []
            for path in paths:
                tests, shifted = _pairs(cases_of(path), value), _shifted(path, value)
                found.append((*_correlation(tests), _correlation(pd.concat([tests, shifted]))[0]))
            line = {"row": row, "segment": str(value), "seeds": str(len(paths)), "cases": str(int(found[0][2]))}
            means = pd.DataFrame(found, columns=["r", "p", "n", "spoilt"]).mean()
            lines.append(line | {"r": means["r"], "p": found[0][1], "r, spoilt as well": means["spoilt"]})
    return pd.DataFrame(lines)


def prediction_lines(folder):
    """One line a row: how far the Dice that a quality card predicts is from the true one."""
    lines = []
    for row, paths in _by_row(folder).items():
        found = []
        for path in paths:
            card = card_of_cases(pd.read_csv(path / "cases.csv"))
            if card is None:
                continue
            kinds = {"test": [_pairs(cases_of(path), quality.label) for quality in card.classes]}
            kinds["spoilt"] = [_shifted(path, quality.label) for quality in card.classes]
            line = {}
            for kind, frames in kinds.items():
                errors, inside = [], []
                for quality, frame in zip(card.classes, frames):
                    for entropy, dice in frame.dropna().itertuples(index=False):
                        predicted, low, high = quality.dice(entropy)
                        errors.append(abs(predicted - dice))
                        inside.append(low <= dice <= high)
                line |= {f"error, {kind}": pd.Series(errors).mean(), f"within, {kind}": pd.Series(inside).mean()}
            found.append(line)
        if found:
            lines.append({"row": row, "seeds": str(len(found)), **pd.DataFrame(found).mean()})
    return pd.DataFrame(lines)


def detection_lines(folder):
    """One line a row and shift: Dice, AUROC and share flagged."""
    lines = []
    for row, paths in _by_row(folder).items():
        found = []
        for path in paths:
            cases = cases_of(path)
            card, values = card_of_cases(pd.read_csv(path / "cases.csv")), _segments(path)
            of_test = np.stack([cases[f"entropy_segment{value}"] for value in values], axis=1)
            false = _flagged(card, of_test)
            spoilt = pd.read_csv(path / "shifted.csv")
            for shift, of_shift in spoilt.groupby("shift", sort=False):
                entropy = of_shift.pivot(index="case", columns="class", values="entropy").to_numpy()
                both = [np.nan_to_num(part, nan=NOTHING).mean(axis=1) for part in (of_test, entropy)]
                positive = np.repeat([False, True], [len(part) for part in both])
                found.append(
                    {
                        "shift": shift,
                        "Dice": of_shift["dice"].mean(),
                        "AUROC": metrics.error_detection_auroc(np.concatenate(both), positive),
                        "flagged": _flagged(card, entropy),
                        "flagged, test": false,
                    }
                )
        if found:
            means = pd.DataFrame(found).groupby("shift", sort=False).mean()
            lines += [{"row": row, "seeds": str(len(paths)), "shift": shift, **of} for shift, of in means.iterrows()]
    return pd.DataFrame(lines)


def card_of(tables):
    """The `QualityCard` of a cell from its tables, or `None` if its validation cases do not make one."""
    return card_of_cases(pd.DataFrame(tables["cases.csv"]))


def card_of_cases(cases):
    """The `QualityCard` of a cell's validation cases, or `None` if they do not make one."""
    validation = cases[cases["set"] == "validation"]
    names = [name for name in cases if name.startswith("entropy_segment")]
    try:
        return QualityCard.fit(
            validation[names].to_numpy(), validation[[name.replace("entropy", "dice") for name in names]].to_numpy()
        )
    except ValueError:  # Too few cases, as in a demonstration.
        return None


def regression_points(path):
    """`{segment: (entropy, Dice, entropy of spoilt, Dice of spoilt)}` of a cell."""
    return {
        value: (*_pairs(cases_of(path), value).to_numpy().T, *_shifted(path, value).to_numpy().T)
        for value in _segments(path)
    }


def _flagged(card, entropies):
    """Share of cases with a segment above its threshold, or none at all."""
    if card is None:
        return math.nan
    above = entropies > np.array([quality.threshold for quality in card.classes])
    return float((above | np.isnan(entropies)).any(axis=1).mean())


def _correlation(pairs):
    known = pairs.dropna()
    dice = logit_dice(known["dice"])
    if len(known) < 3 or known["entropy"].nunique() < 2 or dice.nunique() < 2:
        return math.nan, math.nan, len(known)
    return *stats.pearsonr(dice, known["entropy"]), len(known)


def _pairs(cases, value):
    names = {f"entropy_segment{value}": "entropy", f"dice_segment{value}": "dice"}
    return cases[list(names)].rename(columns=names)


def _shifted(path, value):
    spoilt = pd.read_csv(path / "shifted.csv")
    return spoilt.loc[spoilt["class"] == value, ["entropy", "dice"]]


def _segments(path):
    names = pd.read_csv(path / "cases.csv", nrows=0)
    return [int(name.removeprefix("entropy_segment")) for name in names if name.startswith("entropy_segment")]


def _by_row(folder):
    measured = cells(folder)
    found = {row: list(measured.loc[measured["row"] == row, "folder"]) for row in run_of(folder)["rows"]}
    return {row: paths for row, paths in found.items() if paths}
