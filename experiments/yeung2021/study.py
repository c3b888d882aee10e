"""What the tables of Yeung et al. (2021) measure: calibration of the softmax, and overlap."""

import math

import numpy as np
import pandas as pd

from data_prep.pictures import COLLECTIONS
from experiments.augmentation import AUGMENTATIONS
from experiments.measures import PUBLISHED, cases_of, cells, pairs, run_of
from experiments.study import Study
from experiments.yeung2021 import figures
from experiments.yeung2021.scoring import as_picture, score
from keras_uq import statistics

MEASURES = {
    "nll": "NLL of the foreground (nat)",
    "brier": "Brier score",
    "dice": "Dice",
    "jaccard": "Jaccard",
}
OURS = {"nll_full": "NLL, full (nat)", "precision": "precision", "sensitivity": "recall"}
FURTHER = {
    "nll_full_seeds": "std over seeds: NLL, full",
    "nll_seeds": "std over seeds: NLL of the foreground",
    "brier_seeds": "std over seeds: Brier",
    "dice_seeds": "std over seeds: Dice",
}
COMPARED = {
    "nll_full": "NLL, full",
    "nll": "NLL of the foreground",
    "brier": "Brier score",
    "dice": "Dice",
}
# -log(1 - q) >= 2.4554 q^2 for every q: two classes cannot have less.
LEAST_NLL_OF_BRIER = 2.4554
AUGMENTED, TIMES = 3, 5
TARGETS = (0.90, 0.95)


class ImpossibleScores(AssertionError):
    """A record whose NLL is below what its Brier score allows: it cannot come from probabilities of two classes."""


def illustrate(data, settings, folder):
    """Keep some training pictures, each followed by what a training sees of it."""
    pictures = {}
    augment = settings.augmentation and AUGMENTATIONS[settings.augmentation]
    for number, case in enumerate(data.split["train"][:AUGMENTED]):
        pair = tuple(np.asarray(opened(case)[0]) for opened in (data.image, data.mask))
        for time in range(TIMES + 1 if augment else 1):
            image, mask = augment(*pair, [0, time, number]) if time else pair
            pictures[f"{case}|{time}|image"] = as_picture(image)
            pictures[f"{case}|{time}|mask"] = mask[..., 0] > 0
    np.savez_compressed(folder / "example.npz", **pictures)


def published(run):
    """The paper's table as printed, by row: of the run's dataset if it is there, else of DRIVE."""
    printed = pd.read_csv(PUBLISHED / f"{run['paper']}_{run['table']}.csv", dtype=str, keep_default_na=False)
    if "dataset" not in printed:
        printed["dataset"] = "DRIVE"
    collection = COLLECTIONS.get(run["dataset"])
    wanted = collection.name if collection and (printed["dataset"] == collection.name).any() else "DRIVE"
    printed = printed[printed["dataset"] == wanted].copy()
    for name in MEASURES:
        printed[name] = printed[name] + " [" + printed[f"{name}_low"] + ", " + printed[f"{name}_high"] + "]"
    return printed.set_index("gamma" if "gamma" in printed else "loss")


def measure(run, frames):
    """Mean over pictures, each the mean of its seeds, with `1.96 s / sqrt(n)`.

    Raises:
        ImpossibleScores: If a picture's NLL is below 2.4554 times its Brier score.
    """
    for cases in frames:
        below = cases[cases["nll_full"] < LEAST_NLL_OF_BRIER * cases["brier"] - 1e-9]
        if len(below):
            raise ImpossibleScores(f"{below['case'].iloc[0]}: NLL {below['nll_full'].iloc[0]} for its Brier score.")
    names = [*MEASURES, *OURS]
    of_pictures = pd.concat(frames).groupby("case")[names].mean()
    found = {name: statistics.mean_interval(of_pictures[name], normal=True) for name in names}
    of_seeds = pd.DataFrame([cases[names].mean() for cases in frames])
    for name in COMPARED:
        spread = of_seeds[name].std(ddof=1) if len(frames) > 1 else math.nan
        found[f"{name}_seeds"] = statistics.Interval(float(spread), math.nan, math.nan)
    return found


def departures(data, run):
    """Other numbers of pictures than printed, and frames of one video on both sides of the split."""
    collection = COLLECTIONS.get(run["dataset"])
    if collection is None:
        return []
    said, counts = [], tuple(run["cases"][part] for part in ("train", "validation", "test"))
    if counts != collection.counts:
        said.append(f"{_counted(counts)} for {_counted(collection.counts)}")
    if collection.key == "cvc" and "sequences" not in run["changes"]:
        said.append("frames of one video lie in several sets, as in the paper (split by sequences: they do not)")
    return said


def _counted(counts):
    return f"{sum(counts)} pictures ({' / '.join(map(str, counts))})"


def against(run, row):
    """The ++ form is held against the plain one, other rows against the reference."""
    plain = row.removesuffix("++")
    return plain if plain != row and plain in run["rows"] else run["reference"]


def build_tests(folder):
    """Rank-sum test, as in the paper, and signed-rank test, since the pictures are the same, of each pair of rows."""
    lines = []
    for row, other, values, others in pairs(folder):
        for column, label in COMPARED.items():
            for name, test in (("rank-sum", statistics.rank_sum), ("signed-rank", statistics.signed_rank)):
                found = test(values[column].to_numpy(), others[column].to_numpy())
                lines.append({"row": row, "against": other, "measure": label, "test": name, **found._asdict()})
    return pd.DataFrame(lines, columns=["row", "against", "measure", "test", *statistics.PairTest._fields])


def chosen_thresholds(folder):
    """The highest threshold whose mean recall on validation pictures reaches a target, and what it gives on test ones.

    One line a row and target, means of seeds; the threshold is chosen for each seed by itself.
    """
    measured, lines = cells(folder), []
    for row in run_of(folder)["rows"]:
        of_row = measured[measured["row"] == row]
        for target in TARGETS:
            found = [_operating(path / "thresholds.csv", target) for path in of_row["folder"]]
            found = [line for line in found if line is not None]
            if found:
                means = pd.DataFrame(found).mean()
                lines.append({"row": row, "target": target, "seeds": len(found), **means})
    columns = ["row", "target", "seeds", "threshold", "validation recall", "test recall", "test precision", "test Dice"]
    return pd.DataFrame(lines, columns=columns)


def _operating(path, target):
    swept = pd.read_csv(path)
    validation = swept[(swept["set"] == "validation") & (swept["sensitivity"] >= target)]
    if validation.empty:
        return None
    best = validation.loc[validation["threshold"].idxmax()]
    test = swept[(swept["set"] == "test") & np.isclose(swept["threshold"], best["threshold"])].iloc[0]
    return {
        "threshold": best["threshold"],
        "validation recall": best["sensitivity"],
        "test recall": test["sensitivity"],
        "test precision": test["precision"],
        "test Dice": test["dice"],
    }


def by_seed(folder):
    """Each training by itself: how long it was, what it gave, and the difference to the other row's same seed.

    One line a row and seed; differences are means over test pictures with their bootstrap interval.
    """
    run, measured, lines = run_of(folder), cells(folder), []
    found = {(line["row"], line["seed"]): line["folder"] for line in measured.to_dict("records")}
    for row in run["rows"]:
        for seed in sorted(seed for other, seed in found if other == row):
            cases, other = cases_of(found[row, seed]), against(run, row)
            line = {"row": row, "seed": str(seed), **_epochs(found[row, seed])}
            line |= {label: cases[column].mean() for column, label in COMPARED.items()}
            partner = cases_of(found[other, seed]) if other != row and (other, seed) in found else None
            for column, label in COMPARED.items():
                said = ""
                if partner is not None:
                    difference = statistics.paired_bootstrap(cases[column], partner[column])
                    said = f"{difference.mean:+.4g}\n[{difference.low:.4g}, {difference.high:.4g}]"
                line[f"{label}: difference"] = said
            lines.append(line | {"to": other if partner is not None else ""})
    return pd.DataFrame(lines)


def _epochs(cell):
    history = pd.read_csv(cell / "history.csv")
    return {"epochs": str(len(history)), "tested epoch": str(int(history["val_loss"].idxmin()) + 1)}


def _notes(run):
    return [
        "The printed NLL counts foreground pixels alone and averages over all; ours is given that way beside the "
        "published, and in full. NLL and Brier score in the network's size, the others in the picture's own."
    ]


def _sections(folder, table):
    return [
        (
            "A threshold for a recall",
            "For each target: the highest threshold from 0.05 to 0.95 whose mean recall reaches it on validation "
            "pictures, and what it gives on the test pictures. Without a line, no threshold reaches the target. Means "
            "of seeds.",
            chosen_thresholds(folder).rename(columns={"row": "loss"}),
        ),
        (
            "Seed by seed",
            "Each training: epochs until it stopped, the epoch that is tested (lowest validation loss), its scores, "
            "and their difference to the same seed of another row, with bootstrap intervals over pictures. A training "
            "that got stuck shows here and hides in a mean.",
            by_seed(folder).rename(columns={"row": "loss"}),
        ),
    ]


STUDY = Study(
    score=score,
    illustrate=illustrate,
    published=published,
    measures=MEASURES,
    ours=OURS,
    further=FURTHER,
    measure=measure,
    compared=COMPARED,
    derive=lambda cases: cases,
    headline={"nll": "NLL fg", "brier": "Brier", "dice": "Dice", "nll_full": "NLL\nfull"},
    overview=lambda line: f"{line['nll']:.3f} / {line['nll_full']:.3f} / {line['brier']:.3f} / {line['dice']:.3f}",
    overview_note=(
        "Published foreground NLL → ours, means over pictures: foreground NLL / full NLL / Brier score / Dice. Ours "
        "are on {dataset}, published ones on the dataset in round brackets; departures from the protocol are in the "
        "linked tables."
    ),
    interval="95 % interval over test pictures, 1.96 s / sqrt(n), of each picture's mean over seeds",
    notes=_notes,
    beyond=(
        "In full, the NLL charges every pixel for the probability of its own class; of the foreground alone, it asks "
        "nothing of background pixels and rewards predicting foreground. For two classes the full NLL is at least "
        "2.4554 times the Brier score, which was checked for every picture here and does not hold for 18 of the 33 "
        "printed rows."
    ),
    tests=build_tests,
    tests_note=lambda run: (
        "Rank-sum test as in the paper, which treats the pictures of two networks as different ones; signed-rank test, "
        "which knows that they are the same. Each picture's value is the mean of its seeds; n: values in all, or pairs."
    ),
    figures=figures.draw,
    departures=departures,
    sections=_sections,
    against=against,
)
