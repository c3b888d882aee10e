"""What a predictor is worth, case by case, and how well each training image was learnt."""

import json

import numpy as np

from experiments import scoring
from experiments.hiroike2026.controls import RECORD
from experiments.inputs.batches import Batches
from experiments.scoring import fullest_slice, overlaps
from keras_uq import metrics

BINS = 10
IMAGES = 600


class Scorer(scoring.Scorer):
    """Dice, HD95 (millimetres; pixels for pictures), ECE, NLL and Brier score of each case.

    Adds `training_images.csv`, one line for each of at most 600 training images that are the same in every cell: soft
    Dice without dropout, `2 <p, g> / (|p|^2 + |g|^2)`, if it has foreground; labelled share; last difficulty and
    epsilon if the training recorded them.
    """

    def score(self, number, part, case, image, mask, maps):
        mask, predicted = mask > 0, maps.mask > 0
        calibration = metrics.Calibration()
        calibration.add(mask.astype("uint8"), maps.mean)
        if part == "test":
            at = fullest_slice(mask)
            self.panels |= {
                f"{case}|image": image[at, :, :, 0].astype("float16"),
                f"{case}|entropy": maps.entropy[at].astype("float16"),
                f"{case}|mask": mask[at],
                f"{case}|predicted": predicted[at],
            }
        scores = overlaps(mask, predicted, 1)[1]
        return {
            **{name: scores[name] for name in ("dice", "sensitivity", "precision")},
            "hd95": metrics.hausdorff95(mask, predicted, self.data.spacing(case)),
            "ece": calibration.ece(BINS),
            "nll": calibration.nll(),
            "brier": calibration.brier(),
            "mutual_information": float(maps.mutual_information.mean()),
        }

    def tables(self, track):
        return {"training_images.csv": _training_images(self.predictor.model, self.data, self.work / RECORD)}


def _training_images(model, data, record):
    """Soft Dice of some training images, drawn once for all cells, beside what the refreshes recorded of them."""
    images = Batches(data, "train", 1)
    drawn = np.random.default_rng(0).permutation(len(images.cases))[:IMAGES]
    recorded = json.loads(record.read_text()) if record.exists() else {}
    lines = []
    for start in range(0, len(drawn), 32):
        numbers = np.sort(drawn)[start : start + 32]
        pictures, masks = images.plain(numbers)
        p = np.asarray(model.predict_on_batch(pictures), dtype="float64")
        axes = tuple(range(1, p.ndim))
        inner, sizes = (p * masks).sum(axis=axes), (p**2 + masks**2).sum(axis=axes)
        for at, overlap, size, share in zip(numbers, inner, sizes, masks.mean(axis=axes)):
            soft = f"{2 * overlap / size:.6f}" if share else None  # Without foreground there is no overlap.
            line = {"image": int(at), "soft_dice": soft, "labelled": f"{share:.6f}"}
            values = {name: recorded[name][at] for name in ("difficulty", "epsilon") if name in recorded}
            lines.append({**line, "difficulty": values.get("difficulty"), "epsilon": values.get("epsilon")})
    return lines
