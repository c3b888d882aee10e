"""What a network's probabilities are worth, picture by picture: calibration in its own size, overlap in the file's."""

import cv2
import numpy as np

from experiments import scoring
from experiments.scoring import foreground_probability, over_classes, overlaps
from keras_uq import metrics
from keras_uq.inference import softmax_threshold
from keras_uq.inference.threshold import THRESHOLDS

BINS = np.linspace(0, 1, 21)
AT_THRESHOLDS = ("precision", "sensitivity", "dice")


class Scorer(scoring.Scorer):
    """Adds `thresholds.csv` (per threshold and set: means and standard deviations over pictures) and `histogram.csv`
    (test pixels by probability).

    NLL and Brier score are those of the network's output. Masks are brought to the size of the picture's file (nearest
    neighbour), where the prepared data hold the true one.

    Reference:
        Yeung et al. (2021), Section III-C; the sizes as in the code that they used.
    """

    batch_size = 1

    def __init__(self, *args):
        super().__init__(*args)
        self.swept = {"test": [], "validation": []}
        self.counts = np.zeros((2, len(BINS) - 1), dtype=int)

    def score(self, number, part, case, image, mask, maps):
        full = np.asarray(self.data.full_mask(case))[0, ..., 0]
        calibration = metrics.Calibration()
        calibration.add(mask, maps.mean)
        self.swept[part].append([_at_threshold(maps.mean[0], full, threshold) for threshold in THRESHOLDS])
        if part == "test":
            probability = foreground_probability(maps.mean)[0]
            for value in (0, 1):
                self.counts[value] += np.histogram(np.clip(probability[(mask[0] > 0) == value], 0, 1), BINS)[0]
            self.panels |= {
                f"{case}|image": as_picture(image[0]),
                f"{case}|probability": probability.astype("float16"),
                f"{case}|mask": mask[0] > 0,
                f"{case}|predicted": maps.mask[0] > 0,
            }
        return {
            "nll": calibration.nll("foreground"),
            "nll_full": calibration.nll(),
            "brier": calibration.brier(),
            **over_classes(overlaps(full, _in_size(maps.mask[0], full), maps.mean.shape[-1])),
        }

    def tables(self, track):
        histogram = [
            {"low": f"{low:.2f}", "high": f"{high:.2f}", "background": int(background), "foreground": int(foreground)}
            for low, high, background, foreground in zip(BINS, BINS[1:], *self.counts)
        ]
        return {"thresholds.csv": _over_pictures(self.swept), "histogram.csv": histogram}


def _at_threshold(probabilities, full, threshold):
    predicted = _in_size(softmax_threshold(probabilities, threshold).astype("uint8"), full)
    return [getattr(metrics, name)(full > 0, predicted > 0) for name in AT_THRESHOLDS]


def as_picture(image):
    """A standardised image as it looked, uint8: its range is stretched over 0 to 255."""
    low, span = image.min(), max(float(np.ptp(image)), 1e-6)
    return np.rint((image - low) / span * 255).astype("uint8")


def _in_size(mask, full):
    return cv2.resize(mask, full.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def _over_pictures(swept):
    lines = []
    for part, pictures in swept.items():
        for threshold, values in zip(THRESHOLDS, np.array(pictures, dtype="float64").transpose(1, 2, 0)):
            line = {"set": part, "threshold": threshold}
            for name, scores in zip(AT_THRESHOLDS, values):
                defined = scores[~np.isnan(scores)]
                line[name] = f"{defined.mean():.6g}" if len(defined) else ""
                line[f"{name}_std"] = f"{defined.std(ddof=1):.6g}" if len(defined) > 1 else ""
                line[f"{name}_n"] = len(defined)
            lines.append(line)
    return lines
