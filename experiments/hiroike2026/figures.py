"""The figures of a run of Hiroike (2026), from its records."""

import numpy as np

from experiments.figures import RULE, learning_curves, panel_figures
from experiments.hiroike2026.controls import RECORD
from experiments.hiroike2026.protocol import ADAPTIVE, FIXED, SHUFFLED
from keras_uq import plots


def draw(run):
    """`{name: (figure, caption)}` of a run, in the order of the page."""
    title = run.title
    figures = {
        "poly_dice": (
            plots.poly_dice_curves(FIXED, title="PolyDice-1 at s = 0.1"),
            "The loss against the angle between prediction and truth, s = 0.1 (Figure 2 of the thesis). Dotted: the "
            "Dice loss.",
        ),
        "learning_curves": learning_curves(run, label="validation Dice (of predicted classes, pooled)"),
    }
    if records := refreshes(run):
        figures["epsilon"] = (
            plots.quantile_bands(_bands(records, "epsilon"), "epoch", "epsilon", title),
            "Epsilon of the training images by epoch of the refresh: median, middle half and middle 90 %, first seed. "
            "Before the first refresh it is 0.",
        )
        figures["difficulty"] = (
            plots.quantile_bands(_bands(records, "difficulty"), "epoch", "difficulty (nat)", title),
            "Difficulty of the training images by epoch of the refresh, likewise.",
        )
    if pairs := difficulty_and_dice(run):
        figures["difficulty_dice"] = (
            plots.scatter(pairs, "last difficulty (nat)", "soft Dice at the end", title),
            "Training images with foreground: soft Dice without dropout at the end against the last difficulty. First "
            "seed; a dot is an image.",
        )
    return figures | panel_figures(run, panel=_panel)


def _panel(run, which, case, rows):
    caption = f"The {which} test case, {case}: the slice with most foreground. Rule: {RULE}."
    return plots.qualitative_panel(rows, f"{run.title}\n{which} case: {case}"), caption


def refreshes(run):
    """`{row: what its first seed's refreshes measured}` of the rows that have any."""
    records = {}
    for row, cell in _refreshed_cells(run):
        record = cell.json(RECORD) if cell.has(RECORD) else {}
        if record.get("refreshes"):
            records.setdefault(row, record)
    return records


def difficulty_and_dice(run):
    """`{row: (difficulty, soft Dice)}` of training images, first seed, for rows that know difficulties."""
    pairs = {}
    for row, cell in _refreshed_cells(run):
        images = cell.frame("training_images.csv").dropna()
        if len(images):
            pairs.setdefault(row, (images["difficulty"].to_numpy(), images["soft_dice"].to_numpy()))
    return pairs


def _refreshed_cells(run):
    return [(row, cell) for row in (ADAPTIVE, SHUFFLED) for cell in run.by_row.get(row, [])]


def _bands(records, name):
    return {
        row: (
            np.array([refresh["epoch"] for refresh in record["refreshes"]]),
            np.array([refresh[name] for refresh in record["refreshes"]]),
        )
        for row, record in records.items()
    }
