"""What a predictor is worth, volume by volume."""

import numpy as np

from experiments.scoring import numbered_cases
from keras_uq import metrics

SCORES = ("dice", "f2", "sensitivity", "specificity", "precision")
# Voxels around what is kept for the surfaces.
RIM = 2


def score(predictor, data, settings, track=list, folder=None):
    """Predict every test and validation case.

    Args:
        predictor: A `SlidingWindow`.
        data: `Prepared`.
        settings: Not used.
        track: Wraps the list of cases, for a progress bar.
        folder: Not used.

    Returns:
        Lines for `cases.csv`, one a case: scores of the arg-max mask on the grid the network saw. Arrays for
        `panels.npz`, of each test case: the slice with most foreground, and both masks around their foreground.
    """
    lines, panels = [], {}
    for number, part, case in numbered_cases(data, track):
        image, mask = np.asarray(data.image(case)), np.asarray(data.mask(case))[..., 0] > 0
        maps = predictor.predict(image[np.newaxis], batch_size=8, case=number)[0]
        predicted = maps.mask > 0
        lines.append({"set": part, "case": case, **_scores(mask, predicted), "voxels": int(np.count_nonzero(mask))})
        if part == "test":
            at = int(np.argmax(mask.sum(axis=(1, 2))))
            around = metrics.bounding_box(mask | predicted, (1, 1, 1), RIM)
            panels |= {
                f"{case}|image": image[at, :, :, 0].astype("float16"),
                f"{case}|probability": maps.mean[at, :, :, 1].astype("float16"),
                f"{case}|mask": mask[at],
                f"{case}|predicted": predicted[at],
                f"{case}|mask_volume": mask[around],
                f"{case}|predicted_volume": predicted[around],
                f"{case}|spacing": np.array(data.spacing(case)),
            }
    return {"cases.csv": lines}, panels


def _scores(mask, predicted):
    pair = (mask, predicted)
    found = {name: getattr(metrics, name)(*pair) for name in SCORES if name != "f2"} | {
        "f2": metrics.f_beta(*pair, beta=2)
    }
    return {name: round(found[name], 6) for name in SCORES}
