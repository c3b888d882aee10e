"""What the tables of Yeung et al. (2021) measure: calibration of the softmax, and overlap."""

import numpy as np
import pandas as pd

from data_prep.pictures import COLLECTIONS
from experiments import study
from experiments.run import check_possible, read_published, spread_over_seeds
from experiments.yeung2021 import figures
from experiments.yeung2021.scoring import as_picture
from keras_uq import statistics
from keras_uq.files import replacing

AUGMENTED, TIMES = 3, 5
TARGETS = (0.90, 0.95)


class Study(study.Study):
    """Calibration of the softmax and overlap, picture by picture."""

    measures = {
        "nll": "NLL of the foreground (nat)",
        "brier": "Brier score",
        "dice": "Dice",
        "jaccard": "Jaccard",
    }
    ours = {"nll_full": "NLL, full (nat)", "precision": "precision", "sensitivity": "recall"}
    further = {
        "nll_full_seeds": "std over seeds: NLL, full",
        "nll_seeds": "std over seeds: NLL of the foreground",
        "brier_seeds": "std over seeds: Brier",
        "dice_seeds": "std over seeds: Dice",
    }
    compared = {
        "nll_full": "NLL, full",
        "nll": "NLL of the foreground",
        "brier": "Brier score",
        "dice": "Dice",
    }
    headline = {"nll": "NLL fg", "brier": "Brier", "dice": "Dice", "nll_full": "NLL\nfull"}
    interval = "95 % interval over test pictures, 1.96 s / sqrt(n), of each picture's mean over seeds"
    overview = "{nll:.3f} / {nll_full:.3f} / {brier:.3f} / {dice:.3f}"
    overview_note = (
        "Published foreground NLL → ours, means over pictures: foreground NLL / full NLL / Brier score / Dice. Ours "
        "are measured on {dataset}, published ones on the dataset in round brackets; departures from the protocol are "
        "in the linked tables."
    )
    beyond = (
        "The full NLL charges every pixel for the probability of its own class; the foreground NLL does not penalise "
        "uncertain background and rewards predicting foreground. For two classes the full NLL is at least "
        "2.4554 times the Brier score, which was checked for every picture here and does not hold for 18 of the 33 "
        "printed rows."
    )

    tests_note = (
        "The rank-sum test, as in the paper, treats the pictures of two networks as different ones; the "
        "signed-rank test uses that they are the same. Each picture's value is the mean of its seeds; n: values in "
        "all, or pairs."
    )
    draw = staticmethod(figures.draw)

    def illustrate(self, data, settings, folder):
        pictures, augment = {}, settings.augmentation
        for number, case in enumerate(data.split["train"][:AUGMENTED]):
            pair = tuple(np.asarray(opened(case)[0]) for opened in (data.image, data.mask))
            for time in range(TIMES + 1 if augment else 1):
                image, mask = augment(*pair, [0, time, number]) if time else pair
                pictures[f"{case}|{time}|image"] = as_picture(image)
                pictures[f"{case}|{time}|mask"] = mask[..., 0] > 0
        with replacing(folder / "example.npz") as temporary:
            np.savez_compressed(temporary, **pictures)

    def departures(self, data, about):
        collection = COLLECTIONS.get(about["dataset"])
        if collection is None:
            return []
        sentences, counts = [], tuple(about["cases"][part] for part in ("train", "validation", "test"))
        if counts != collection.counts:
            sentences.append(f"{_counted(counts)} for {_counted(collection.counts)}")
        if collection.key == "cvc" and "sequences" not in about["changes"]:
            sentences.append("frames of one video lie in several sets, as in the paper; --split sequences avoids that")
        return sentences

    def published(self, run):
        printed = read_published(f"{run['paper']}_{run['table']}")
        if "dataset" not in printed:
            printed["dataset"] = "DRIVE"
        collection = COLLECTIONS.get(run["dataset"])
        wanted = collection.name if collection and (printed["dataset"] == collection.name).any() else "DRIVE"
        printed = printed[printed["dataset"] == wanted].copy()
        for name in self.measures:
            printed[name] = printed[name] + " [" + printed[f"{name}_low"] + ", " + printed[f"{name}_high"] + "]"
        return printed.set_index("gamma" if "gamma" in printed else "loss")

    def measure(self, run, frames):
        for cases in frames:
            check_possible(cases, nll="nll_full")
        names = [*self.measures, *self.ours]
        pictures = pd.concat(frames).groupby("case")[names].mean()
        measured = {name: statistics.mean_interval(pictures[name], normal=True) for name in names}
        return measured | spread_over_seeds(frames, [*self.compared])

    def against(self, run, row):
        base = row.removesuffix("++")
        return base if base != row and base in run["rows"] else run["reference"]

    def tests(self, run):
        lines = []
        for row, other, label, values, others in run.pairs:
            for name, test in (("rank-sum", statistics.rank_sum), ("signed-rank", statistics.signed_rank)):
                result = test(values.to_numpy(), others.to_numpy())
                lines.append({"row": row, "against": other, "measure": label, "test": name, **result._asdict()})
        return pd.DataFrame(lines, columns=["row", "against", "measure", "test", *statistics.PairTest._fields])

    def notes(self, run):
        return [
            "The printed NLL counts foreground pixels alone and averages over all; ours is given that way beside the "
            "published, and in full. NLL and Brier score in the network's size, the others in the picture's own."
        ]

    def sections(self, run):
        return [
            (
                "A threshold for a recall",
                "For each target: the highest threshold from 0.05 to 0.95 whose mean recall reaches it on validation "
                "pictures, and what it gives on the test pictures. Without a line, no threshold reaches the target. "
                "Means of seeds.",
                chosen_thresholds(run).rename(columns={"row": "loss"}),
            ),
            (
                "Seed by seed",
                "Each training: epochs until it stopped, the epoch that is tested (lowest validation loss), its "
                "scores, and their difference to the same seed of another row, with bootstrap intervals over pictures. "
                "A training that got stuck shows here and hides in a mean.",
                by_seed(run).rename(columns={"row": "loss"}),
            ),
        ]


def _counted(counts):
    return f"{sum(counts)} pictures ({' / '.join(map(str, counts))})"


def chosen_thresholds(run):
    """The highest threshold whose mean recall on validation pictures reaches a target, and what it gives on test ones.

    One line for each row and target, means of seeds; the threshold is chosen for each seed by itself.
    """
    lines = []
    for row, cells in run.by_row.items():
        for target in TARGETS:
            points = [_operating(cell.frame("thresholds.csv"), target) for cell in cells]
            points = [point for point in points if point is not None]
            if points:
                means = pd.DataFrame(points).mean()
                lines.append({"row": row, "target": target, "seeds": len(points), **means})
    columns = ["row", "target", "seeds", "threshold", "validation recall", "test recall", "test precision", "test Dice"]
    return pd.DataFrame(lines, columns=columns)


def _operating(swept, target):
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


def by_seed(run):
    """Each training by itself: how long it was, what it gave, and the difference to the other row's same seed.

    One line for each row and seed; differences are means over test pictures with their bootstrap interval.
    """
    lines = []
    for row, cells in run.by_row.items():
        for cell in cells:
            cases, other = cell.cases(), run.study.against(run, row)
            line = {"row": row, "seed": str(cell.seed), **_epochs(cell.frame("history.csv"))}
            line |= {label: cases[column].mean() for column, label in run.study.compared.items()}
            partner = run.by_seed.get((other, cell.seed)) if other != row else None
            for column, label in run.study.compared.items():
                text = ""
                if partner is not None:
                    difference = statistics.paired_bootstrap(cases[column], partner.cases()[column])
                    text = f"{difference.mean:+.4g}\n[{difference.low:.4g}, {difference.high:.4g}]"
                line[f"{label}: difference"] = text
            lines.append(line | {"to": other if partner is not None else ""})
    return pd.DataFrame(lines)


def _epochs(history):
    return {"epochs": str(len(history)), "tested epoch": str(int(history["val_loss"].idxmin()) + 1)}


STUDY = Study()
