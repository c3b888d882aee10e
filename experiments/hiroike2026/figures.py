"""The figures of a run of Hiroike (2026), from its records."""

import json

import numpy as np
import pandas as pd

from experiments import measures
from experiments.controls import RECORD
from experiments.figures import RULE, learning_curves, panel_rows
from experiments.hiroike2026.protocol import ADAPTIVE, FIXED, SHUFFLED
from keras_uq import plots


def draw(folder, title):
    """`{name: (figure, caption)}` of a run, in the order of the page."""
    found = {
        "poly_dice": (
            plots.poly_dice_curves(FIXED, title="PolyDice-1 at s = 0.1"),
            "The loss against the angle between prediction and truth, s = 0.1 (Figure 2 of the thesis). Dotted: the "
            "Dice loss.",
        ),
        "learning_curves": learning_curves(folder, title, label="validation Dice (of predicted classes, pooled)"),
    }
    if records := refreshes(folder):
        found["epsilon"] = (
            plots.quantile_bands(_bands(records, "epsilon"), "epoch", "epsilon", title),
            "Epsilon of the training images by epoch of the refresh: median, middle half and middle 90 %, first seed. "
            "Before the first refresh it is 0.",
        )
        found["difficulty"] = (
            plots.quantile_bands(_bands(records, "difficulty"), "epoch", "difficulty (nat)", title),
            "Difficulty of the training images by epoch of the refresh, likewise.",
        )
    if pairs := difficulty_and_dice(folder):
        found["difficulty_dice"] = (
            plots.scatter(pairs, "last difficulty (nat)", "soft Dice at the end", title),
            "Training images with foreground: soft Dice without dropout at the end against the last difficulty. First "
            "seed; a dot is an image.",
        )
    for which in ("best", "worst"):
        if (chosen := panel_rows(folder, which)) is not None:
            case, rows = chosen
            found[f"panel_{which}"] = (
                plots.qualitative_panel(rows, f"{title}\n{which} case: {case}"),
                f"The {which} test case, {case}: the slice with most foreground. Rule: {RULE}.",
            )
    return found


def refreshes(folder):
    """`{row: what its first seed's refreshes found}` of the rows that have any."""
    measured = measures.cells(folder).sort_values("seed")
    found = {}
    for row in (ADAPTIVE, SHUFFLED):
        for path in measured.loc[measured["row"] == row, "folder"]:
            record = json.loads((path / RECORD).read_text()) if (path / RECORD).exists() else {}
            if record.get("refreshes"):
                found.setdefault(row, record)
    return found


def difficulty_and_dice(folder):
    """`{row: (difficulty, soft Dice)}` of training images, first seed, for rows that know difficulties."""
    measured = measures.cells(folder).sort_values("seed")
    found = {}
    for row in (ADAPTIVE, SHUFFLED):
        for path in measured.loc[measured["row"] == row, "folder"]:
            images = pd.read_csv(path / "training_images.csv").dropna()
            if row not in found and len(images):
                found[row] = (images["difficulty"].to_numpy(), images["soft_dice"].to_numpy())
    return found


def _bands(records, name):
    return {
        row: (
            np.array([refresh["epoch"] for refresh in record["refreshes"]]),
            np.array([refresh[name] for refresh in record["refreshes"]]),
        )
        for row, record in records.items()
    }
