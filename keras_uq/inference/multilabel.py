"""From independent sigmoids to one probability a class."""

import numpy as np


def exclusive(probabilities):
    """Probabilities of exclusive classes, background first, from independent ones of the foreground classes.

    The background is where no class is, `prod(1 - p_k)`; then all are divided by their sum. One channel gives
    `[1 - p, p]`.

    Args:
        probabilities: `(*spatial, foreground classes)`, each in [0, 1] by itself.

    Returns:
        Same type, `(*spatial, foreground classes + 1)`; sums to 1.

    Reference:
        Mehrtash et al. (2020), Section VI-A, train Dice with sigmoids and do not say how they measure them; without
        this, several of their scores cannot come from probabilities.
    """
    probabilities = np.asarray(probabilities)
    background = np.prod(1 - probabilities, axis=-1, keepdims=True)
    together = np.concatenate([background, probabilities], axis=-1)
    return together / together.sum(axis=-1, keepdims=True)
