"""What a predictor is worth, scan by scan: calibration in the box and the whole volume, overlap, distance, entropy."""

import math

import numpy as np
import pandas as pd

from experiments import scoring
from experiments.mehrtash2020.ensembles import pictures_by_size, subset_lines
from experiments.mehrtash2020.predictors import Stored, keep
from experiments.mehrtash2020.shifts import shifted_cases
from experiments.scoring import PROBABILITIES, foreground_probability, fullest_slice
from keras_uq import metrics
from keras_uq.inference import QualityCard

REGIONS = ("box", "whole")
BINS = 10
HISTOGRAM = np.linspace(0, 1, 21)


class Scorer(scoring.Scorer):
    """Adds `shifted.csv` (one line per corrupted case and class), `reliability.csv` (one per region, kind and bin,
    pooled over test cases) and, of an ensemble, `subsets.csv` (one per drawn ensemble).

    A trained cell keeps its probabilities of all these cases, for ensembles and temperatures.
    """

    batch_size = 32

    def __init__(self, *args):
        super().__init__(*args)
        self.stored = isinstance(self.predictor, Stored)
        if self.stored:
            self.depth = None  # Stored probabilities have no padding.
        self.ensemble = self.stored and len(self.predictor.folders) > 1
        self.pooled = {region: metrics.Calibration() for region in REGIONS}

    def score(self, number, part, case, image, mask, maps):
        mean, spacing = self._kept(number, maps), self.data.spacing(case)
        box = metrics.bounding_box(mask, spacing, self.settings.extra.margin)
        scores = {}
        for region, where in (("box", box), ("whole", ...)):
            calibration = metrics.Calibration()
            calibration.add(mask[where], mean[where])
            scores |= _calibration(calibration, "" if region == "box" else "_whole")
            if part == "test":
                self.pooled[region] += calibration
        if part == "test":
            self.panels |= _pictures(case, image, mask, mean, calibration)
            if self.ensemble:
                self.panels |= pictures_by_size(case, mask, self.predictor.members(number))
        temperature = {"temperature": self.predictor.temperature} if self.stored and not self.ensemble else {}
        return _rounded(scores | _segments(mask, mean, spacing) | temperature)

    def tables(self, track):
        tables = {
            "shifted.csv": [line for entry in track(shifted_cases(self.data)) for line in self._shifted(*entry)],
            "reliability.csv": [line for region in REGIONS for line in _reliability(region, self.pooled[region])],
        }
        if self.ensemble:
            tables["subsets.csv"] = subset_lines(self.predictor, self.data, self.settings.extra.margin, track)
        return tables

    def quality(self, tables):
        return card_of(pd.DataFrame(tables["cases.csv"]))

    def _kept(self, number, maps):
        """The probabilities of a case, which a trained cell keeps."""
        if not self.stored:
            keep(self.work / PROBABILITIES, number, maps.mean)
        return maps.mean

    def _shifted(self, number, shift, case, load):
        image, mask = load()
        mean = self._kept(number, self.predict(image, number))
        entropy, predicted = metrics.segment_entropy(mean), mean.argmax(axis=-1)
        for value in range(1, mean.shape[-1]):
            dice = metrics.dice(mask == value, predicted == value)
            line = {"shift": shift, "case": case, "class": value, "dice": dice, "entropy": float(entropy[value - 1])}
            yield _rounded(line)


def card_of(cases):
    """The `QualityCard` of a cell's validation cases, or `None` if they do not make one."""
    validation = cases[cases["set"] == "validation"]
    names = [name for name in cases if name.startswith("entropy_segment")]
    try:
        return QualityCard.fit(
            validation[names].to_numpy(), validation[[name.replace("entropy", "dice") for name in names]].to_numpy()
        )
    except ValueError:  # Too few cases, as in a demonstration.
        return None


def _calibration(calibration, suffix):
    """Columns of a region."""
    return {
        f"nll{suffix}": calibration.nll(),
        f"brier{suffix}": calibration.brier(normalize=False),
        f"brier_normalised{suffix}": calibration.brier(),
        f"ece{suffix}": calibration.ece(BINS),
        f"ece_15{suffix}": calibration.ece(15),
        f"ece_foreground{suffix}": calibration.ece(BINS, "foreground"),
    }


def _segments(mask, mean, spacing):
    """Overlap, distance and entropy of each foreground class; `dice` is the mean of the classes that have one."""
    predicted, entropy, line = mean.argmax(axis=-1), metrics.segment_entropy(mean), {}
    for value in range(1, mean.shape[-1]):
        pair = (mask == value, predicted == value)
        line |= {
            f"dice_segment{value}": metrics.dice(*pair),
            f"hd95_mm_segment{value}": metrics.hausdorff95(*pair, spacing),
            f"asd_mm_segment{value}": metrics.average_surface_distance(*pair, spacing),
            f"entropy_segment{value}": float(entropy[value - 1]),
            f"voxels_segment{value}": int(np.count_nonzero(pair[1])),
        }
    defined = [line[name] for name in line if name.startswith("dice_") and not math.isnan(line[name])]
    return {"dice": float(np.mean(defined)) if defined else math.nan, **line}


def _rounded(line):
    """Seven digits: what float32 probabilities are good for."""
    return {name: float(f"{value:.7g}") if isinstance(value, float) else value for name, value in line.items()}


def _reliability(region, pooled):
    """Lines of the reliability curves of a region."""
    lines = []
    for kind in ("confidence", "foreground"):
        for index, (count, confidence, accuracy) in enumerate(zip(*pooled.reliability(BINS, kind))):
            edges = {"low": f"{index / BINS:.1f}", "high": f"{(index + 1) / BINS:.1f}"}
            bin_of = {"count": int(count), "confidence": f"{confidence:.6g}", "accuracy": f"{accuracy:.6g}"}
            lines.append({"region": region, "kind": kind, **edges, **bin_of})
    return lines


def _pictures(case, image, mask, mean, whole):
    """The slice with most foreground, the case's reliability, and the histogram over the segmented voxels."""
    at = fullest_slice(mask)
    probability, predicted = foreground_probability(mean), mean.argmax(axis=-1) > 0
    inside = np.clip(probability[predicted], 0, 1)
    return {
        f"{case}|image": image[at, :, :, 0].astype("float16"),
        f"{case}|probability": probability[at].astype("float16"),
        f"{case}|mask": mask[at] > 0,
        f"{case}|predicted": predicted[at],
        f"{case}|slice": np.array(at),
        f"{case}|reliability": np.stack(whole.reliability(BINS, "foreground")),
        f"{case}|histogram": np.histogram(inside, HISTOGRAM)[0],
    }
