"""What Monte Carlo maps say about volumes, slice by slice, and what that makes of a cell."""

import numpy as np

from experiments import scoring
from experiments.scoring import foreground_probability, fullest_slice, over_classes, overlaps, statistics
from keras_uq import metrics

# Scores of cases that are averaged over the cases of a cell.
AVERAGED = (
    "dice",
    "sensitivity",
    "precision",
    "error_detection_auroc",
    "uncertainty_error_overlap",
    "risk_coverage_area",
    "risk_coverage_excess_area",
    "error_rate",
)


class Scorer(scoring.Scorer):
    """Adds `slices.csv`, one line per slice; panels show the slice of each test case with most foreground."""

    def __init__(self, *args):
        super().__init__(*args)
        self.slices = []

    def score(self, number, part, case, image, mask, maps):
        probability = foreground_probability(maps.mean)
        for at in range(len(image)):
            self.slices.append(
                {
                    **{"set": part, "case": case, "slice": at, "labelled": int(np.count_nonzero(mask[at]))},
                    "uncertainty": f"{maps.entropy[at].mean():.5g}",
                    "prediction": f"{probability[at].mean():.5g}",
                }
            )
        if part == "test":
            at = fullest_slice(mask)
            pictures = {"image": image[at, :, :, 0], "probability": probability[at], "entropy": maps.entropy[at]}
            self.panels |= {f"{case}|{name}": picture.astype("float16") for name, picture in pictures.items()}
            self.panels |= {f"{case}|mask": mask[at] > 0, f"{case}|predicted": maps.mask[at] > 0}
            self.panels[f"{case}|slice"] = np.array(at)
        return {**_overlaps(mask, maps), **_spread(maps, probability, mask)}

    def tables(self, track):
        return {"slices.csv": self.slices}


def cell_measures(cases):
    """The measures of one cell from its cases: sums are pooled, scores of cases averaged."""
    uncertainty, prediction = (_pooled(cases, name) for name in ("uncertainty", "prediction"))
    means = {name: cases[name].mean() for name in AVERAGED}
    return {
        **means,
        "dice": _soft_dice(cases),
        "dice_hard": means["dice"],
        "uncertainty_mean": uncertainty.mean,
        "uncertainty_std_slice": uncertainty.std_slice,
        "uncertainty_std_pixel": uncertainty.std_pixel,
        "mean_prediction": prediction.mean,
        "mean_prediction_std_slice": prediction.std_slice,
        "mean_prediction_std_pixel": prediction.std_pixel,
        "mutual_information": _pooled(cases, "mutual_information").mean,
        "foreground": cases["soft_labelled"].sum() / cases["uncertainty_pixels"].sum(),
    }


def _overlaps(mask, maps):
    """Overlap of each foreground class; with several, their mean without a suffix and each with its number."""
    classes = maps.mean.shape[-1]
    by_class = overlaps(mask, maps.mask, classes)
    for value, scores in by_class.items():
        names = ("soft_overlap", "soft_predicted", "soft_labelled")
        scores |= dict(zip(names, metrics.soft_counts(mask == value, maps.mean[..., value % classes])))
    return over_classes(by_class)


def _spread(maps, probability, mask):
    """Statistics of the maps, and how well the entropy points at the errors."""
    error = maps.mask != mask
    risk = metrics.risk_coverage(maps.entropy, error)
    return {
        **statistics("uncertainty", maps.entropy),
        **statistics("prediction", probability),
        **statistics("mutual_information", maps.mutual_information),
        "error_detection_auroc": metrics.error_detection_auroc(maps.entropy, error),
        "uncertainty_error_overlap": metrics.uncertainty_error_overlap(maps.entropy, error),
        "risk_coverage_area": risk.area,
        "risk_coverage_excess_area": risk.excess_area,
        "error_rate": float(error.mean()),
    }


def _pooled(cases, name):
    return metrics.pool_statistics(
        metrics.MapStatistics(*(line[f"{name}_{field}"] for field in metrics.MapStatistics._fields))
        for line in cases.to_dict("records")
    )


def _soft_dice(cases):
    """Pooled over cases; of several classes, the mean."""
    suffixes = [name.removeprefix("soft_overlap") for name in cases if name.startswith("soft_overlap_")] or [""]
    sums = cases.sum(numeric_only=True)
    dice = [
        2 * sums[f"soft_overlap{end}"] / (sums[f"soft_predicted{end}"] + sums[f"soft_labelled{end}"])
        for end in suffixes
    ]
    return float(np.mean(dice))
