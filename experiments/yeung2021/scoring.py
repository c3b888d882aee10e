"""What a network's probabilities are worth, picture by picture: calibration in its own size, overlap in the file's."""

import cv2
import numpy as np

from experiments.scoring import foreground_probability, numbered_cases, over_classes, overlaps
from keras_uq import metrics
from keras_uq.inference import softmax_threshold
from keras_uq.inference.threshold import THRESHOLDS

BINS = np.linspace(0, 1, 21)
AT_THRESHOLDS = ("precision", "sensitivity", "dice")


def score(predictor, data, settings, track=list, folder=None):
    """Predict every test and validation picture.

    NLL and Brier score are those of the network's output. Masks are brought to the size of the picture's file (nearest
    neighbour), where the prepared data hold the true one.

    Args:
        predictor: Has `predict(images, batch_size, case)`.
        data: `Prepared`, of pictures.
        settings: `Settings`, not used.
        track: Wraps the list of cases, for a progress bar.
        folder: Not used.

    Returns:
        Lines for `cases.csv` (one a picture), `thresholds.csv` (one a threshold and set: means and standard deviations
        over pictures) and `histogram.csv` (test pixels by probability), and arrays for `panels.npz`.

    Reference:
        Yeung et al. (2021), Section III-C; the sizes as in the code that they used.
    """
    lines, panels, swept = [], {}, {"test": [], "validation": []}
    counts = np.zeros((2, len(BINS) - 1), dtype=int)
    for number, part, case in numbered_cases(data, track):
        image, mask = np.asarray(data.image(case)), np.asarray(data.mask(case))[..., 0]
        full = np.asarray(data.full_mask(case))[0, ..., 0]
        maps = predictor.predict(image, batch_size=1, case=number)
        calibration = metrics.Calibration()
        calibration.add(mask, maps.mean)
        predicted = _in_size(maps.mask[0], full)
        lines.append(
            {
                **{"set": part, "case": case},
                "nll": calibration.nll("foreground"),
                "nll_full": calibration.nll(),
                "brier": calibration.brier(),
                **over_classes(overlaps(full, predicted, maps.mean.shape[-1])),
            }
        )
        swept[part].append(
            [
                [getattr(metrics, name)(full > 0, _in_size(each.astype("uint8"), full) > 0) for name in AT_THRESHOLDS]
                for each in (softmax_threshold(maps.mean[0], threshold) for threshold in THRESHOLDS)
            ]
        )
        if part == "test":
            probability = foreground_probability(maps.mean)[0]
            for value in (0, 1):
                counts[value] += np.histogram(np.clip(probability[(mask[0] > 0) == value], 0, 1), BINS)[0]
            panels[f"{case}|image"] = as_picture(image[0])
            panels[f"{case}|probability"] = probability.astype("float16")
            panels[f"{case}|mask"] = mask[0] > 0
            panels[f"{case}|predicted"] = maps.mask[0] > 0
    histogram = [
        {"low": f"{low:.2f}", "high": f"{high:.2f}", "background": int(background), "foreground": int(foreground)}
        for low, high, background, foreground in zip(BINS, BINS[1:], *counts)
    ]
    return {"cases.csv": lines, "thresholds.csv": _over_pictures(swept), "histogram.csv": histogram}, panels


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
            for name, of_pictures in zip(AT_THRESHOLDS, values):
                known = of_pictures[~np.isnan(of_pictures)]
                line[name] = f"{known.mean():.6g}" if len(known) else ""
                line[f"{name}_std"] = f"{known.std(ddof=1):.6g}" if len(known) > 1 else ""
                line[f"{name}_n"] = len(known)
            lines.append(line)
    return lines
