"""What each seed says, what the refreshes cost, and which training images gained: tables of the page."""

import numpy as np
import pandas as pd
from scipy import stats

from experiments.hiroike2026.controls import RECORD
from experiments.hiroike2026.protocol import ADAPTIVE, DICE, REPLAYED, SHUFFLED, fixed
from keras_uq import statistics


def by_seed(run, questions, compared):
    """Mean difference over test cases for each question, one column per seed, and Student's interval over the seeds."""
    lines = []
    for question, (first, second) in questions.items():
        differences = {}
        for seed in _shared_seeds(run, first, second):
            cases = [run.study.derive(run.by_seed[row, seed].cases()).set_index("case") for row in (first, second)]
            scores, others = (frame[list(compared)] for frame in cases)
            differences[f"seed {seed}"] = (scores - others).mean().rename(compared)
        for measure, seeds in pd.DataFrame(differences).iterrows():
            interval = statistics.mean_interval(seeds)._asdict()
            lines.append({"question": question, "measure": measure, **seeds, **interval})
    return pd.DataFrame(lines)


def cost(run):
    """What the refreshes cost, means over seeds: their share of the training's time, and what the subset saves.

    Without a subset a refresh would take longer in proportion to the images that it samples.
    """
    lines = []
    for row, cells in _refreshed(run):
        costs = []
        for cell in cells:
            record = cell.json(RECORD)
            if not record["refreshes"]:
                continue
            spent = cell.frame("history.csv")["refresh_seconds"].sum()
            seconds = cell.training["seconds"]
            images, sampled = len(record["difficulty"]), record["refreshes"][0]["sampled"]
            more = spent * (images / sampled - 1)
            costs.append(
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
        if costs:
            means = pd.DataFrame(costs).mean()
            counts = {name: int(means.pop(name)) for name in ("refreshes", "images of a refresh", "of all")}
            lines.append({"row": row, **counts, **means})
    return pd.DataFrame(lines)


def gains(run):
    """Which training images gain: soft Dice of adaptive less that of a row, in thirds of their difficulty.

    Means over images with foreground, then over seeds. An image's difficulty is the last that the adaptive networks of
    the *other* seeds measured: a network's own would be high for the images that it happened to learn badly. With one
    seed there is no other.
    """
    lines = []
    adaptive_cells = run.by_row.get(ADAPTIVE, [])
    for other in (DICE, fixed(0.0), SHUFFLED, REPLAYED):
        thirds = []
        for seed in _shared_seeds(run, ADAPTIVE, other):
            adaptive, against = (_images(run.by_seed[row, seed]) for row in (ADAPTIVE, other))
            cells = [cell for cell in adaptive_cells if cell.seed != seed] or [run.by_seed[ADAPTIVE, seed]]
            difficulty = pd.concat([_images(cell)["difficulty"] for cell in cells], axis=1)
            gain = (adaptive["soft_dice"] - against["soft_dice"])[difficulty.notna().all(axis=1)].dropna()
            if len(gain) < 3:
                continue
            ranks = difficulty.loc[gain.index].mean(axis=1).rank(method="first")
            third = pd.qcut(ranks, 3, labels=["easy", "middle", "difficult"])
            thirds.append(gain.groupby(third, observed=True).mean())
        if thirds:
            lines.append({"gain of adaptive over": other, **pd.DataFrame(thirds).mean().to_dict()})
    return pd.DataFrame(lines)


def correlations(run):
    """Spearman's correlation of the last difficulty and the soft Dice of training images; mean over seeds."""
    lines = []
    for row, cells in _refreshed(run):
        coefficients = []
        for cell in cells:
            images = cell.frame("training_images.csv").dropna(subset=["difficulty", "soft_dice"])
            if len(images) > 2:
                coefficients.append(stats.spearmanr(images["difficulty"], images["soft_dice"]).statistic)
        if coefficients:
            lines.append({"row": row, "seeds": len(coefficients), "Spearman's r": np.mean(coefficients)})
    return pd.DataFrame(lines)


def _refreshed(run):
    """Rows with refreshes and their cells."""
    return [(row, run.by_row[row]) for row in (ADAPTIVE, SHUFFLED) if row in run.by_row]


def _shared_seeds(run, first, second):
    return sorted(seed for row, seed in run.by_seed if row == first and (second, seed) in run.by_seed)


def _images(cell):
    return cell.frame("training_images.csv").set_index("image")
