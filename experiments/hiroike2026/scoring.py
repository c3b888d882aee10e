"""What a predictor is worth, case by case, and how well each training image was learnt."""

import json

import numpy as np

from experiments.batches import Batches
from experiments.controls import RECORD
from experiments.scoring import numbered_cases, overlaps, predict_case
from keras_uq import metrics

BINS = 10
IMAGES = 600


def score(predictor, data, settings, track=list, folder=None):
    """Predict every test and validation case, and the training images once without dropout.

    Args:
        predictor: `MCDropout`.
        data: `Prepared`.
        settings: `Settings`.
        track: Wraps the list of cases, for a progress bar.
        folder: Of the cell, whose training may have recorded difficulties.

    Returns:
        Lines for `cases.csv` (one a case: Dice, HD95 in millimetres, of pictures in pixels, ECE, NLL and Brier score)
        and `training_images.csv` (one a training image, of at most 600 that are the same in every cell: soft Dice
        without dropout, `2 <p, g> / (|p|^2 + |g|^2)`, if it has foreground; labelled share; last difficulty and epsilon
        if it has them), and arrays for `panels.npz`.
    """
    lines, panels = [], {}
    for number, part, case in numbered_cases(data, track):
        image, mask = np.asarray(data.image(case)), np.asarray(data.mask(case))[..., 0] > 0
        maps = predict_case(predictor, image, number)
        calibration = metrics.Calibration()
        calibration.add(mask.astype("uint8"), maps.mean)
        predicted = maps.mask > 0
        lines.append(
            {
                **{"set": part, "case": case},
                **{name: overlaps(mask, predicted, 1)[1][name] for name in ("dice", "sensitivity", "precision")},
                "hd95": metrics.hausdorff95(mask, predicted, spacing_of(data, case)),
                "ece": calibration.ece(BINS),
                "nll": calibration.nll(),
                "brier": calibration.brier(),
                "mutual_information": float(maps.mutual_information.mean()),
            }
        )
        if part == "test":
            at = int(np.argmax(mask.sum(axis=(1, 2))))
            panels |= {
                f"{case}|image": image[at, :, :, 0].astype("float16"),
                f"{case}|entropy": maps.entropy[at].astype("float16"),
                f"{case}|mask": mask[at],
                f"{case}|predicted": predicted[at],
            }
    images = _training_images(predictor.model, data, folder / "training" / RECORD)
    return {"cases.csv": lines, "training_images.csv": images}, panels


def spacing_of(data, case):
    """Voxel sizes in millimetres; pixels for pictures, which have none."""
    try:
        return data.spacing(case)
    except KeyError:
        return (1.0, 1.0, 1.0)


def _training_images(model, data, record):
    """Soft Dice of some training images, drawn once for all cells, beside what the refreshes found of them."""
    images = Batches(data, "train", 1)
    chosen = np.random.default_rng(0).permutation(len(images.cases))[:IMAGES]
    found = json.loads(record.read_text()) if record.exists() else {}
    lines = []
    for start in range(0, len(chosen), 32):
        some = np.sort(chosen)[start : start + 32]
        pictures, masks = images.plain(some)
        p = np.asarray(model.predict_on_batch(pictures), dtype="float64")
        axes = tuple(range(1, p.ndim))
        inner, sizes = (p * masks).sum(axis=axes), (p**2 + masks**2).sum(axis=axes)
        for at, overlap, size, share in zip(some, inner, sizes, masks.mean(axis=axes)):
            soft = f"{2 * overlap / size:.6f}" if share else None  # Of nothing there is no overlap.
            line = {"image": int(at), "soft_dice": soft, "labelled": f"{share:.6f}"}
            known = {name: found[name][at] for name in ("difficulty", "epsilon") if name in found}
            lines.append({**line, "difficulty": known.get("difficulty"), "epsilon": known.get("epsilon")})
    return lines
