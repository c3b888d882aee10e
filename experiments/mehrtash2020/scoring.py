"""What a predictor is worth, scan by scan: calibration in the box and the whole volume, overlap, distance, entropy."""

import math
from itertools import combinations

import numpy as np

from experiments.batches import volume_depth
from experiments.mehrtash2020.predictors import STORED, Stored, keep
from experiments.mehrtash2020.shifts import SHIFTS
from experiments.scoring import foreground_probability, numbered_cases, predict_case
from keras_uq import metrics

REGIONS = ("box", "whole")
BINS = 10
# Sizes of ensembles (Section VI-D, and some between), and how many are drawn of each.
SIZES = (1, 2, 3, 4, 5, 7, 10, 25, 50)
DRAWS = 50
# Ensembles whose pictures are kept (Figures S5 and S6 show 2, 20 and 50).
SHOWN_SIZES = (2, 5, 10, 20, 50)
HISTOGRAM = np.linspace(0, 1, 21)


def score(predictor, data, settings, track=list, folder=None):
    """Predict every test and validation case, and the test cases spoilt in each way.

    Args:
        predictor: Has `predict(images, batch_size, case)`.
        data: `Prepared`.
        settings: `Settings`; with `volumes`, the predictor takes whole volumes.
        track: Wraps the list of cases, for a progress bar.
        folder: Of the cell; a trained one keeps its probabilities there, for ensembles and temperatures.

    Returns:
        Lines for `cases.csv` (one a case), `shifted.csv` (one a spoilt case and class), `reliability.csv` (one a
        region, kind and bin, pooled over test cases) and `subsets.csv` (one a drawn ensemble, of an ensemble alone),
        and arrays for `panels.npz`.
    """
    made = isinstance(predictor, Stored)
    # What was stored is unpadded.
    depth = volume_depth(data) if settings.volumes and not made else None
    pooled = {region: metrics.Calibration() for region in REGIONS}
    lines, panels = [], {}
    temperature = {"temperature": predictor.temperature} if made and len(predictor.folders) == 1 else {}
    for number, part, case in numbered_cases(data, track):
        image, mask = np.asarray(data.image(case)), np.asarray(data.mask(case))[..., 0]
        mean = predict_case(predictor, image, number, depth, batch_size=32).mean
        if not made:
            keep(folder / STORED, number, mean)
        spacing = data.spacing(case)
        box = metrics.bounding_box(mask, spacing, settings.margin)
        line, found = {"set": part, "case": case}, {}
        for region, where in (("box", box), ("whole", ...)):
            found[region] = metrics.Calibration()
            found[region].add(mask[where], mean[where])
            suffix = "" if region == "box" else "_whole"
            line |= {
                f"nll{suffix}": found[region].nll(),
                f"brier{suffix}": found[region].brier(normalize=False),
                f"brier_normalised{suffix}": found[region].brier(),
                f"ece{suffix}": found[region].ece(BINS),
                f"ece_15{suffix}": found[region].ece(15),
                f"ece_foreground{suffix}": found[region].ece(BINS, "foreground"),
            }
        lines.append(_rounded(line | _segments(mask, mean, spacing) | temperature))
        if part == "test":
            for region in REGIONS:
                pooled[region] += found[region]
            panels |= _pictures(case, image, mask, mean, found["whole"])
            if made and len(predictor.folders) > 1:
                panels |= _pictures_of_sizes(case, mask, predictor.members(number))
    tables = {"cases.csv": lines, "shifted.csv": _shifted(predictor, data, depth, folder, track)}
    tables["reliability.csv"] = [line for region in REGIONS for line in _reliability(region, pooled[region])]
    if made and len(predictor.folders) > 1:
        tables["subsets.csv"] = _subsets(predictor, data, settings, track)
    return tables, panels


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
    known = [line[name] for name in line if name.startswith("dice_") and not math.isnan(line[name])]
    return {"dice": float(np.mean(known)) if known else math.nan, **line}


def shifted_cases(data):
    """`(number, name of the shift, case, load)` of every test case spoilt in each way; `load()` is image and mask.

    With `data.shifted`, another prepared dataset, its scans come last, as they are. Numbers go on from the other cases.
    """
    spoilt = [
        (shift, case, _load(data, case, change)) for shift, change in SHIFTS.items() for case in data.split["test"]
    ]
    other = getattr(data, "shifted", None)
    if other is not None:
        cases = sorted(case for cases in other.split.values() for case in cases)
        spoilt += [(other.description["name"], case, _load(other, case, np.asarray)) for case in cases]
    first = sum(len(data.split[part]) for part in ("test", "validation"))
    return [(number, *entry) for number, entry in enumerate(spoilt, start=first)]


def _load(data, case, change):
    return lambda: (change(np.asarray(data.image(case))), np.asarray(data.mask(case))[..., 0])


def _shifted(predictor, data, depth, folder, track):
    lines = []
    for number, shift, case, load in track(shifted_cases(data)):
        image, mask = load()
        mean = predict_case(predictor, image, number, depth, batch_size=32).mean
        if not isinstance(predictor, Stored):
            keep(folder / STORED, number, mean)
        entropy, predicted = metrics.segment_entropy(mean), mean.argmax(axis=-1)
        for value in range(1, mean.shape[-1]):
            dice = metrics.dice(mask == value, predicted == value)
            about = {"shift": shift, "case": case, "class": value}
            lines.append(_rounded(about | {"dice": dice, "entropy": float(entropy[value - 1])}))
    return lines


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


def drawn(members, sizes=SIZES, draws=DRAWS, seed=0):
    """`(size, members of one ensemble)`: all ensembles of a size, or so many of them, drawn without a repeat."""
    rng = np.random.default_rng(seed)
    found = []
    for size in sizes:
        if size > members:
            continue
        if math.comb(members, size) <= draws:
            chosen = list(combinations(range(members), size))
        else:
            chosen = []
            while len(chosen) < draws:
                one = tuple(sorted(int(number) for number in rng.permutation(members)[:size]))
                chosen += [one] if one not in chosen else []
        found += [(size, of) for of in chosen]
    return found


def _subsets(predictor, data, settings, track):
    """Means over test cases of the ensembles that one could have had."""
    ensembles = drawn(len(predictor.folders))
    found = []
    cases = [(number, case) for number, part, case in numbered_cases(data) if part == "test"]
    for number, case in track(cases):
        mask = np.asarray(data.mask(case))[..., 0]
        box = metrics.bounding_box(mask, data.spacing(case), settings.margin)
        members = np.stack(predictor.members(number))
        # Of the class that is there: all that the likelihood needs.
        of_class = np.take_along_axis(members, mask[np.newaxis, ..., np.newaxis], axis=-1)[..., 0]
        lines = []
        for _, chosen in ensembles:
            loss = -np.log(np.maximum(of_class[list(chosen)].mean(axis=0, dtype="float64"), 1e-7))
            predicted = sum(members[one] for one in chosen).argmax(axis=-1)
            overlaps = [metrics.dice(mask == value, predicted == value) for value in range(1, members.shape[-1])]
            dice = metrics.average_cases(overlaps).mean
            lines.append((loss[box].mean() if loss[box].size else math.nan, loss.mean(), dice))
        found.append(lines)
    names = ("nll", "nll_whole", "dice")
    means = [[metrics.average_cases(values).mean for values in zip(*of_cases)] for of_cases in zip(*found)]
    return [
        {"members": size, "draw": "+".join(map(str, chosen)), **dict(zip(names, (f"{value:.6g}" for value in line)))}
        for (size, chosen), line in zip(ensembles, means)
    ]


def _pictures(case, image, mask, mean, whole):
    """The slice with most foreground, the case's reliability and the histogram over what was segmented."""
    at = int(np.argmax((mask > 0).sum(axis=(1, 2))))
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


def _pictures_of_sizes(case, mask, members):
    at = int(np.argmax((mask > 0).sum(axis=(1, 2))))
    return {
        f"{case}|probability_{size}": foreground_probability(np.mean([of[at] for of in members[:size]], axis=0)).astype(
            "float16"
        )
        for size in SHOWN_SIZES
        if size <= len(members)
    }
