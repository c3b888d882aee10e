"""Ensembles of each size, drawn from the trained members."""

import math
from itertools import combinations

import numpy as np

from experiments.scoring import foreground_probability, fullest_slice, numbered_cases
from keras_uq import metrics

# Sizes of ensembles (Section VI-D, and some between), and how many are drawn of each.
SIZES = (1, 2, 3, 4, 5, 7, 10, 25, 50)
DRAWS = 50
# Ensembles whose pictures are kept (Figures S5 and S6 show 2, 20 and 50).
SHOWN_SIZES = (2, 5, 10, 20, 50)


def drawn(members, sizes=SIZES, draws=DRAWS, seed=0):
    """`(size, members of one ensemble)`: all ensembles of a size, or `draws` of them, drawn without a repeat."""
    rng = np.random.default_rng(seed)
    ensembles = []
    for size in sizes:
        if size > members:
            continue
        if math.comb(members, size) <= draws:
            chosen = list(combinations(range(members), size))
        else:
            chosen = []
            while len(chosen) < draws:
                ensemble = tuple(sorted(int(number) for number in rng.permutation(members)[:size]))
                chosen += [ensemble] if ensemble not in chosen else []
        ensembles += [(size, ensemble) for ensemble in chosen]
    return ensembles


def subset_lines(predictor, data, margin, track):
    """Means over test cases of the ensembles that one could have had: lines of `subsets.csv`."""
    ensembles = drawn(len(predictor.folders))
    by_case = []
    cases = [(number, case) for number, part, case in numbered_cases(data) if part == "test"]
    for number, case in track(cases):
        mask = np.asarray(data.mask(case))[..., 0]
        box = metrics.bounding_box(mask, data.spacing(case), margin)
        members = np.stack(predictor.members(number))
        # Probability of the true class: all that the likelihood needs.
        of_class = np.take_along_axis(members, mask[np.newaxis, ..., np.newaxis], axis=-1)[..., 0]
        lines = []
        for _, chosen in ensembles:
            loss = -np.log(np.maximum(of_class[list(chosen)].mean(axis=0, dtype="float64"), 1e-7))
            predicted = sum(members[index] for index in chosen).argmax(axis=-1)
            overlaps = [metrics.dice(mask == value, predicted == value) for value in range(1, members.shape[-1])]
            dice = metrics.average_cases(overlaps).mean
            lines.append((loss[box].mean() if loss[box].size else math.nan, loss.mean(), dice))
        by_case.append(lines)
    names = ("nll", "nll_whole", "dice")
    means = [[metrics.average_cases(values).mean for values in zip(*scores)] for scores in zip(*by_case)]
    return [
        {"members": size, "draw": "+".join(map(str, chosen)), **dict(zip(names, (f"{value:.6g}" for value in line)))}
        for (size, chosen), line in zip(ensembles, means)
    ]


def pictures_by_size(case, mask, members):
    """Foreground probability of the first members together, over the slice with most foreground."""
    at = fullest_slice(mask)
    return {
        f"{case}|probability_{size}": foreground_probability(
            np.mean([member[at] for member in members[:size]], axis=0)
        ).astype("float16")
        for size in SHOWN_SIZES
        if size <= len(members)
    }
