"""What a network is worth, volume by volume."""

import numpy as np

from experiments import scoring
from experiments.scoring import fullest_slice
from keras_uq import metrics

SCORES = ("dice", "f2", "sensitivity", "specificity", "precision")
# Voxels around what is kept for the surfaces.
RIM = 2


class Scorer(scoring.Scorer):
    """Scores the arg-max mask on the grid that the network saw. Panels hold, of each test case, the slice with most
    foreground and both masks around their foreground."""

    def predict(self, image, number):
        return self.predictor.predict(image[np.newaxis], batch_size=self.batch_size, case=number)[0]

    def score(self, number, part, case, image, mask, maps):
        mask, predicted = mask > 0, maps.mask > 0
        if part == "test":
            at = fullest_slice(mask)
            around = metrics.bounding_box(mask | predicted, (1, 1, 1), RIM)
            self.panels |= {
                f"{case}|image": image[at, :, :, 0].astype("float16"),
                f"{case}|probability": maps.mean[at, :, :, 1].astype("float16"),
                f"{case}|mask": mask[at],
                f"{case}|predicted": predicted[at],
                f"{case}|mask_volume": mask[around],
                f"{case}|predicted_volume": predicted[around],
                f"{case}|spacing": np.array(self.data.spacing(case)),
            }
        return {**_scores(mask, predicted), "voxels": int(np.count_nonzero(mask))}


def _scores(mask, predicted):
    pair = (mask, predicted)
    scores = {name: getattr(metrics, name)(*pair) for name in SCORES if name != "f2"}
    scores["f2"] = metrics.f_beta(*pair, beta=2)
    return {name: round(scores[name], 6) for name in SCORES}
