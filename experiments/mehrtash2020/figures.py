"""The figures of a run of Mehrtash et al. (2020), from its records."""

import pandas as pd

from experiments import measures
from experiments.figures import RULE, learning_curves, panel_rows
from experiments.mehrtash2020.scoring import BINS, HISTOGRAM
from experiments.mehrtash2020.segments import regression_points, segment_lines
from keras_uq import metrics, plots
from keras_uq.inference import logit_dice


def draw(folder, title):
    """`{name: (figure, caption)}` of a run, in the order of the page."""
    found = {"learning_curves": learning_curves(folder, title, label="validation Dice (of predicted classes, pooled)")}
    cells = measures.cells(folder)
    first = cells.sort_values("seed").drop_duplicates("row").set_index("row")["folder"]
    first = {row: first[row] for row in measures.run_of(folder)["rows"] if row in first}
    if any(sizes := _by_size(first)):
        found["members"] = (
            plots.nll_vs_members(sizes, title),
            "Ensembles of M members drawn from all that were trained (Fig. 2 and S4): mean over draws, and the range "
            "from the 2.5th to the 97.5th percentile.",
        )
    found |= _regressions(folder, first, title)
    for region, name in (("box", "the bounding box"), ("whole", "the whole volume")):
        curves = {row: _curve(path, region) for row, path in first.items()}
        found[f"reliability_{region}"] = (
            plots.reliability_diagram(curves, title=f"{title}\nin {name}"),
            f"Reliability in {name}, all test cases together, each row's first seed: probability of the predicted "
            f"class against how often it is right. {BINS} bins; those of fewer than 1000 voxels are not drawn.",
        )
    for which in ("best", "worst"):
        if (chosen := panel_rows(folder, which)) is not None:
            case, rows = chosen
            for row, maps in rows.items():
                maps["reliability"] = metrics.Reliability(*maps["reliability"])
                maps["scores"] = _scores(first[row], case)
            least = min(plots.LEAST, int(next(iter(rows.values()))["reliability"].counts.sum()) // 1000)
            found[f"calibration_{which}"] = (
                plots.calibration_panel(rows, HISTOGRAM, least, f"{title}\n{which} case: {case}"),
                f"The {which} test case, {case} (Fig. 1, 3, S1 to S3): foreground probability over the slice with most "
                "foreground; reliability of the whole volume; probabilities of what was segmented. ECE, NLL and Brier "
                f"score of the whole volume. Bins of fewer than {least} voxels are not drawn. Rule: {RULE}.",
            )
            found |= _members(which, case, rows, title)
    return found


def _members(which, case, rows, title):
    shown = {}
    for row, maps in rows.items():
        sizes = {int(name.removeprefix("probability_")): maps[name] for name in maps if name.startswith("probability_")}
        if sizes:
            shown[row] = {**maps, "sizes": dict(sorted(sizes.items()))}
    if not shown:
        return {}
    figure = plots.members_panel(shown, f"{title}\n{which} case: {case}")
    return {f"members_{which}": (figure, f"The {which} test case, {case}, by the first M members (Fig. S5 and S6).")}


def _by_size(first):
    labels = {"nll": "NLL, box", "nll_whole": "NLL, whole volume", "dice": "Dice"}
    found = {}
    for row, path in first.items():
        if not (path / "subsets.csv").exists():
            continue
        drawn = pd.read_csv(path / "subsets.csv").groupby("members")
        for name, label in labels.items():
            low, high = (drawn[name].quantile(share).to_numpy() for share in (0.025, 0.975))
            mean = drawn[name].mean()
            found.setdefault(label, {})[row] = (mean.index.to_numpy(), mean.to_numpy(), low, high)
    return found


def _regressions(folder, first, title):
    """Figure 3 and S8: of the ensembles, or of the plain rows where there are none."""
    lines = segment_lines(folder).set_index(["row", "segment"])
    labels = measures.run_of(folder)["labels"]
    rows = {}
    for row in [row for row in first if row.endswith("ensemble")] or [row for row in first if "," not in row]:
        points, said = {}, []
        for value, (entropy, dice, spoilt_entropy, spoilt_dice) in regression_points(first[row]).items():
            name = labels.get(str(value), f"segment {value}")
            points[name] = (entropy, logit_dice(dice), spoilt_entropy, logit_dice(spoilt_dice))
            line = lines.loc[(row, str(value))]
            said.append(f"{name}: r = {line['r']:.2f}, p = {line['p']:.1g}")
        rows[row] = {"points": points, "text": "\n".join(said)}
    figure = plots.segment_regression(rows, title)
    return {
        "segment_entropy": (
            figure,
            "Dice, logit-transformed, against the entropy of what was segmented (Fig. 3 and S8). Dots and line: test "
            "cases, with Pearson's r; crosses: the same scans spoilt.",
        )
    }


def _curve(path, region):
    lines = pd.read_csv(path / "reliability.csv")
    lines = lines[(lines["region"] == region) & (lines["kind"] == "confidence")]
    return metrics.Reliability(*(lines[name].to_numpy() for name in ("count", "confidence", "accuracy")))


def _scores(path, case):
    line = measures.cases_of(path).set_index("case").loc[case]
    return f"ECE {100 * line['ece_whole']:.2f} %\nNLL {line['nll_whole']:.3f}\nBrier {line['brier_whole']:.3f}"
