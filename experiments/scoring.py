"""What a predictor's maps say about the cases of a prepared folder."""

import dataclasses
import math

import numpy as np

from experiments.batches import padded, volume_depth
from keras_uq import metrics

# The order decides each case's dropout masks.
SETS = ("test", "validation")


def score(predictor, data, volumes=False, track=list):
    """Predict every test and validation case.

    Args:
        predictor: Has `predict(images, batch_size, case)`.
        data: `Prepared`.
        volumes: Whether it takes whole volumes.
        track: Wraps the list of cases, for a progress bar.

    Returns:
        Lines for `cases.csv` (one a case), lines for `slices.csv` (one a slice), and arrays for `panels.npz`: of each
        test case the slice with most foreground.
    """
    depth = volume_depth(data) if volumes else None
    lines, slices, panels = [], [], {}
    listed = [(part, case) for part in SETS for case in data.split[part]]
    for number, (part, case) in enumerate(track(listed)):
        image, mask = np.asarray(data.image(case)), np.asarray(data.mask(case))[..., 0]
        maps = _predict(predictor, image, number, depth)
        probability = foreground_probability(maps.mean)
        lines.append({"set": part, "case": case, **_overlaps(mask, maps), **_spread(maps, probability, mask)})
        for at in range(len(image)):
            slices.append(
                {
                    **{"set": part, "case": case, "slice": at, "labelled": int(np.count_nonzero(mask[at]))},
                    "uncertainty": f"{maps.entropy[at].mean():.5g}",
                    "prediction": f"{probability[at].mean():.5g}",
                }
            )
        if part == "test":
            at = int(np.argmax((mask > 0).sum(axis=(1, 2))))
            pictures = {"image": image[at, :, :, 0], "probability": probability[at], "entropy": maps.entropy[at]}
            panels.update({f"{case}|{name}": picture.astype("float16") for name, picture in pictures.items()})
            panels[f"{case}|mask"] = mask[at] > 0
            panels[f"{case}|predicted"] = maps.mask[at] > 0
            panels[f"{case}|slice"] = np.array(at)
    return lines, slices, panels


def foreground_probability(mean):
    """Probability of any foreground class, `(*spatial)`, of probabilities `(*spatial, classes)`."""
    return mean[..., 0] if mean.shape[-1] == 1 else 1 - mean[..., 0]


def _predict(predictor, image, number, depth):
    if depth is None:
        return predictor.predict(image, batch_size=8, case=number)
    maps = predictor.predict(padded(image, depth)[np.newaxis], batch_size=1, case=number)
    arrays = {
        entry.name: getattr(maps, entry.name)[0, : len(image)]
        for entry in dataclasses.fields(maps)
        if entry.name != "samples"
    }
    return dataclasses.replace(maps, **arrays)


def _overlaps(mask, maps):
    """Overlap of each foreground class; with several, their mean without a suffix and each with its number."""
    classes = range(1, max(maps.mean.shape[-1], 2))
    each = {}
    for value in classes:
        label, predicted = mask == value, maps.mask == value
        overlap, predicted_sum, labelled = metrics.soft_counts(label, maps.mean[..., value % maps.mean.shape[-1]])
        each[value] = {
            "dice": metrics.dice(label, predicted),
            "jaccard": metrics.jaccard(label, predicted),
            "sensitivity": metrics.sensitivity(label, predicted),
            "specificity": metrics.specificity(label, predicted),
            "precision": metrics.precision(label, predicted),
            "soft_overlap": overlap,
            "soft_predicted": predicted_sum,
            "soft_labelled": labelled,
        }
    if len(each) == 1:
        return each[1]
    means = {name: _mean([scores[name] for scores in each.values()]) for name in each[1]}
    return means | {f"{name}_{value}": score for value, scores in each.items() for name, score in scores.items()}


def _spread(maps, probability, mask):
    """Statistics of the maps, and how well the entropy points at the errors."""
    error = maps.mask != mask
    risk = metrics.risk_coverage(maps.entropy, error)
    return {
        **_statistics("uncertainty", maps.entropy),
        **_statistics("prediction", probability),
        **_statistics("mutual_information", maps.mutual_information),
        "error_detection_auroc": metrics.error_detection_auroc(maps.entropy, error),
        "uncertainty_error_overlap": metrics.uncertainty_error_overlap(maps.entropy, error),
        "risk_coverage_area": risk.area,
        "risk_coverage_excess_area": risk.excess_area,
        "error_rate": float(error.mean()),
    }


def _statistics(name, volume):
    return {f"{name}_{field}": value for field, value in metrics.map_statistics(volume)._asdict().items()}


def _mean(values):
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
