"""Convert independent sigmoid channels to probabilities of mutually exclusive classes."""

import numpy as np
import numpy.typing as npt

from keras_uq.inference._checks import check_probabilities


def exclusive(probabilities: npt.ArrayLike) -> np.ndarray:
    """Convert independent foreground probabilities to probabilities of exclusive classes, background first.

    The probability of background is `prod(1 - p_k)`, the probability that no class is present. All probabilities are
    then divided by their sum. One channel gives `[1 - p, p]`.

    Args:
        probabilities: `(*spatial, foreground classes)`, each in [0, 1], not normalised over classes.

    Returns:
        Array `(*spatial, foreground classes + 1)`, float32 or wider; it sums to 1 over the last axis.

    Raises:
        ValueError: If a value is NaN or lies outside [0, 1], or if there is no channel.

    Reference:
        Mehrtash et al. (2020), Section VI-A, train Dice with sigmoid outputs and do not say how they score them.
        Without a conversion such as this one, several of their scores are impossible for probabilities.
    """
    probabilities = check_probabilities("exclusive", probabilities, exclusive=False)
    background = np.prod(1 - probabilities, axis=-1, keepdims=True)
    together = np.concatenate([background, probabilities], axis=-1)
    return together / together.sum(axis=-1, keepdims=True)
