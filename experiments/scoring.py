"""What every paper's scoring shares: cases in one order, and what a predicted mask is worth."""

import math

import numpy as np

from experiments.batches import padded
from keras_uq import metrics

# The order decides each case's dropout masks.
SETS = ("test", "validation")


def numbered_cases(data, track=list):
    """`(number, set, case)` of every case to predict, as a tracked list."""
    listed = [(part, case) for part in SETS for case in data.split[part]]
    return ((number, part, case) for number, (part, case) in enumerate(track(listed)))


def predict_case(predictor, image, number, depth=None, batch_size=8):
    """Maps of a case.

    Args:
        predictor: Has `predict(images, batch_size, case)`.
        image: `(depth, height, width, channels)`.
        number: Of the case.
        depth: Slices of the volumes that the predictor takes whole, `None` if it takes slices.
        batch_size: Slices at a time.
    """
    if depth is None:
        return predictor.predict(image, batch_size=batch_size, case=number)
    maps = predictor.predict(padded(image, depth)[np.newaxis], batch_size=1, case=number)
    return maps[0, : len(image)]


def foreground_probability(mean):
    """Probability of any foreground class, `(*spatial)`, of probabilities `(*spatial, classes)`."""
    return mean[..., 0] if mean.shape[-1] == 1 else 1 - mean[..., 0]


def overlaps(mask, predicted, classes):
    """`{class: {score: value}}` of a mask and a predicted mask, of each foreground class."""
    return {
        value: {
            name: getattr(metrics, name)(mask == value, predicted == value)
            for name in ("dice", "jaccard", "sensitivity", "specificity", "precision")
        }
        for value in range(1, max(classes, 2))
    }


def over_classes(scores):
    """One line of scores by class: those of one class, or their means, and each with its number."""
    if len(scores) == 1:
        return next(iter(scores.values()))
    means = {name: _mean([of_class[name] for of_class in scores.values()]) for name in next(iter(scores.values()))}
    return means | {f"{name}_{value}": score for value, of in scores.items() for name, score in of.items()}


def statistics(name, volume):
    """`metrics.map_statistics` of a map as columns of `cases.csv`."""
    return {f"{name}_{field}": value for field, value in metrics.map_statistics(volume)._asdict().items()}


def _mean(values):
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
