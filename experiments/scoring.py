"""What every paper's scoring shares: cases in one order, and what a predicted mask is worth."""

import importlib
import math

import numpy as np

from experiments.choices import Volumes
from experiments.inputs.batches import padded, volume_depth
from keras_uq import metrics

# The order decides each case's dropout masks.
SETS = ("test", "validation")
# Folder of the probabilities that a cell keeps, if its paper asks for them.
PROBABILITIES = "probabilities"


class Scorer:
    """Predicts every test and validation case of a cell and says what the predictions are worth.

    Args:
        job: The `Job`.
        predictor: Has `predict(images, batch_size, case)`.
        work: Folder of what the training has left; what is too large for a record goes there.

    Attributes:
        lines: Of `cases.csv`, one per case, with the columns `set`, `case` and `dice`.
        panels: Arrays of `panels.npz`, named `<case>|<kind>`.
    """

    batch_size = 8

    def __init__(self, job, predictor, work):
        self.job, self.data, self.settings = job, job.data, job.settings
        self.predictor = predictor
        self.work = work
        self.depth = volume_depth(job.data) if isinstance(job.settings.input, Volumes) else None
        self.lines, self.panels = [], {}

    def run(self, track=list):
        """Predict and score all cases. Returns `{file name: lines}` of the cell's tables, and the panels."""
        for number, part, case in numbered_cases(self.data, track):
            image, mask = np.asarray(self.data.image(case)), np.asarray(self.data.mask(case))[..., 0]
            scores = self.score(number, part, case, image, mask, self.predict(image, number))
            self.lines.append({"set": part, "case": case, **scores})
        return {"cases.csv": self.lines, **self.tables(track)}, self.panels

    def predict(self, image, number):
        """`UncertaintyMaps` of a case, `(depth, height, width, channels)`, by its number."""
        if self.depth is None:
            return self.predictor.predict(image, batch_size=self.batch_size, case=number)
        maps = self.predictor.predict(padded(image, self.depth)[np.newaxis], batch_size=1, case=number)
        return maps[0, : len(image)]

    def score(self, number, part, case, image, mask, maps):
        """`{column: value}` of one case; `part` is its set, `mask` has no channel axis."""
        raise NotImplementedError

    def tables(self, track):
        """Further tables, `{file name: lines}`, once all cases are scored."""
        return {}

    def quality(self, tables):
        """`QualityCard` for the cell's model file, or `None`."""
        return None


def scorer_of(paper):
    """The `Scorer` of a paper, by its key."""
    return importlib.import_module(f"experiments.{paper}.scoring").Scorer


def numbered_cases(data, track=list):
    """`(number, set, case)` of every case to predict, as a tracked list."""
    cases = [(part, case) for part in SETS for case in data.split[part]]
    return ((number, part, case) for number, (part, case) in enumerate(track(cases)))


def fullest_slice(mask):
    """Number of the slice with most foreground."""
    return int(np.argmax((mask > 0).sum(axis=(1, 2))))


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
    """Columns of scores by class: those of the one class, or means over classes, then each class with its number."""
    if len(scores) == 1:
        return next(iter(scores.values()))
    means = {name: _mean([by_name[name] for by_name in scores.values()]) for name in next(iter(scores.values()))}
    return means | {f"{name}_{value}": score for value, by_name in scores.items() for name, score in by_name.items()}


def statistics(name, volume):
    """`metrics.map_statistics` of a map as columns of `cases.csv`."""
    return {f"{name}_{field}": value for field, value in metrics.map_statistics(volume)._asdict().items()}


def _mean(values):
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
