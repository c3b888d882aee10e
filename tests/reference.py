"""Slow twins of the losses, one voxel after the other in float64, and the hand-worked values they are held against."""

import json
import math
from pathlib import Path

import numpy as np

VALUES = json.loads((Path(__file__).parent / "check_values.json").read_text())


def checks(quantity, **params):
    """The hand-worked checks of a quantity whose parameters are among `params` (`{}` for all)."""
    found = [
        check
        for check in VALUES["checks"]
        if check["quantity"] == quantity and all(check["params"].get(name) == value for name, value in params.items())
    ]
    assert found, f"no check value of {quantity}"
    return found


def tensors(check, dtype="float32"):
    """Labels and probabilities of a check, each `(batch, height, width, 1)`."""
    names = [check["input"]] if check["input"] in VALUES["inputs"] and "y" in VALUES["inputs"][check["input"]] else None
    parts = [VALUES["inputs"][name] for name in names or list(check["input"])]
    return tuple(np.array([part[key] for part in parts], dtype=dtype)[..., np.newaxis] for key in ("y", "p"))


def counts(g, p, penalty_gamma=1):
    """Soft true positives, false positives, false negatives of two flat lists, added one by one."""
    tp = fp = fn = 0.0
    for label, probability in zip(g, p):
        tp += label * probability
        fp += ((1 - label) * probability) ** penalty_gamma
        fn += (label * (1 - probability)) ** penalty_gamma
    return tp, fp, fn


def dice(g, p, smooth=1e-6, penalty_gamma=1):
    tp, fp, fn = counts(g, p, penalty_gamma)
    return 1 - (2 * tp + smooth) / (2 * tp + fp + fn + smooth)


def dice_squared(g, p, smooth=1e-6):
    sizes = sum(a * a + b * b for a, b in zip(g, p))
    return 1 - (2 * sum(a * b for a, b in zip(g, p)) + smooth) / (sizes + smooth)


def dice_plus_plus(g, p):
    return dice(g, p, smooth=1e-7, penalty_gamma=2)


def log_dice(g, p, smooth=1e-6, penalty_gamma=1):
    return -math.log(1 - dice(g, p, smooth, penalty_gamma))


def jaccard(g, p, smooth=1e-6, penalty_gamma=1):
    tp, fp, fn = counts(g, p, penalty_gamma)
    return 1 - (tp + smooth) / (tp + fp + fn + smooth)


def tversky(g, p, alpha=0.3, beta=0.7, smooth=1e-6, penalty_gamma=1):
    tp, fp, fn = counts(g, p, penalty_gamma)
    return 1 - (tp + smooth) / (tp + alpha * fp + beta * fn + smooth)


def focal_tversky(g, p, alpha=0.3, beta=0.7, exponent=0.75, penalty_gamma=1):
    return max(tversky(g, p, alpha, beta, penalty_gamma=penalty_gamma), 1e-7) ** exponent


def log_cosh(g, p):
    return sum(math.log(math.cosh(b - a)) for a, b in zip(g, p)) / len(g)


def log_cosh_dice(g, p, penalty_gamma=1):
    return math.log(math.cosh(dice(g, p, penalty_gamma=penalty_gamma)))


def binary_crossentropy(g, p):
    total = 0.0
    for label, probability in zip(g, p):
        probability = min(max(probability, 1e-7), 1 - 1e-7)
        total -= label * math.log(probability) + (1 - label) * math.log(1 - probability)
    return total / len(g)


def ssim(image, other, window=11, sigma=1.5):
    """1 - SSIM of two arrays of any rank: a Gaussian window around every position where it fits."""
    sides = [min(window, side - 1 + side % 2) for side in image.shape]
    taps = [np.exp(-((np.arange(side) - (side - 1) / 2) ** 2) / (2 * sigma**2)) for side in sides]
    weights = taps[0]
    for tap in taps[1:]:
        weights = np.multiply.outer(weights, tap)
    weights = weights / weights.sum()
    values = []
    for corner in np.ndindex(*[side - width + 1 for side, width in zip(image.shape, sides)]):
        box = tuple(slice(at, at + width) for at, width in zip(corner, sides))
        x, y = image[box], other[box]
        mx, my = (weights * x).sum(), (weights * y).sum()
        vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
        cov = (weights * (x - mx) * (y - my)).sum()
        c1, c2 = 0.01**2, 0.03**2
        values.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return 1 - float(np.mean(values))


def hybrid(image, other):
    g, p = image.ravel(), other.ravel()
    return jaccard(g, p) + binary_crossentropy(g, p) + ssim(image, other)


def distributions(g, p):
    """Each voxel's label and probabilities, background first; one channel is made two."""
    for labels, probabilities in zip(g, p):
        if len(labels) == 1:
            labels, probabilities = (1 - labels[0], labels[0]), (1 - probabilities[0], probabilities[0])
        yield labels, probabilities


def categorical_crossentropy(g, p, foreground=1.0, background=1.0, focus=0.0):
    total = 0.0
    for labels, probabilities in distributions(g, p):
        for value, (label, probability) in enumerate(zip(labels, probabilities)):
            factor = foreground if value else background * max(1 - probability, 1e-7) ** focus
            total -= factor * label * math.log(min(max(probability, 1e-7), 1 - 1e-7))
    return total / len(g)


def asymmetric_focal(g, p, delta, gamma):
    return categorical_crossentropy(g, p, delta, 1 - delta, gamma)


def asymmetric_focal_tversky(g, p, delta, gamma, penalty_gamma=1):
    """Mean over the channels that are there; of one channel, that is the foreground."""
    channels = range(g.shape[1])
    each = [max(tversky(g[:, c], p[:, c], 1 - delta, delta, 1e-7, penalty_gamma), 1e-7) for c in channels]
    return sum(loss if c == 0 and len(each) > 1 else loss ** (1 - gamma) for c, loss in enumerate(each)) / len(each)


def unified_focal(g, p, weight, delta, gamma, penalty_gamma=1):
    parts = asymmetric_focal(g, p, delta, gamma), asymmetric_focal_tversky(g, p, delta, gamma, penalty_gamma)
    return weight * parts[0] + (1 - weight) * parts[1]


def combo(g, p, alpha, beta, penalty_gamma=1):
    index = sum(1 - tversky(g[:, c], p[:, c], 0.5, 0.5, 1e-6, penalty_gamma) for c in range(g.shape[1])) / g.shape[1]
    return alpha * categorical_crossentropy(g, p, beta, 1 - beta) - (1 - alpha) * index


def tversky_ce(g, p, alpha, beta, tversky_weight):
    overlap = sum(tversky(g[:, c], p[:, c], alpha, beta) for c in range(g.shape[1])) / g.shape[1]
    return tversky_weight * overlap + (1 - tversky_weight) * categorical_crossentropy(g, p)


def dice_ce(g, p, dice_weight):
    overlap = sum(dice(g[:, c], p[:, c]) for c in range(g.shape[1])) / g.shape[1]
    return dice_weight * overlap + (1 - dice_weight) * categorical_crossentropy(g, p)


def poly_dice(g, p, epsilon=0.2, order=1, smooth=1e-6):
    """By the plain arc cosine."""
    inner = sum(a * b for a, b in zip(g, p))
    norms = math.sqrt(sum(a * a for a in g)) * math.sqrt(sum(b * b for b in p) + 1e-12)
    scale = (2 * norms + smooth) / (sum(a * a for a in g) + sum(b * b for b in p) + smooth)
    cosine = (inner + smooth) / (norms + smooth)
    square = math.acos(min(cosine, 1.0)) ** 2
    if order is None:
        return 1 - scale * cosine + scale * epsilon * square
    terms = sum((-1) ** (k - 1) / math.factorial(2 * k) * square**k for k in range(2, order + 1))
    return (1 - scale) + scale * ((0.5 + epsilon) * square + terms)
