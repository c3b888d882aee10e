"""The figures of a run of Mehrtash et al. (2020), from its records."""

from experiments.figures import RULE, learning_curves, panel_figures
from experiments.mehrtash2020.scoring import BINS, HISTOGRAM
from experiments.mehrtash2020.segments import regression_points, segment_lines
from keras_uq import metrics, plots
from keras_uq.inference import logit_dice

REGIONS = {"box": "the bounding box", "whole": "the whole volume"}


def draw(run):
    """`{name: (figure, caption)}` of a run, in the order of the page."""
    title = run.title
    figures = {"learning_curves": learning_curves(run, label="validation Dice (of predicted classes, pooled)")}
    if any(sizes := _by_size(run)):
        figures["members"] = (
            plots.nll_vs_members(sizes, title),
            "Ensembles of M members drawn from all that were trained (Fig. 2 and S4): mean over draws, and the range "
            "from the 2.5th to the 97.5th percentile.",
        )
    figures["segment_entropy"] = _regressions(run)
    for region, name in REGIONS.items():
        curves = {row: _curve(cell, region) for row, cell in run.first.items()}
        figures[f"reliability_{region}"] = (
            plots.reliability_diagram(curves, title=f"{title}\nin {name}"),
            f"Reliability in {name}, all test cases together, each row's first seed: probability of the predicted "
            f"class against how often it is right. {BINS} bins; those of fewer than 1000 voxels are not drawn.",
        )
    drawings = {"calibration": _calibration, "members": _members} if sizes else {"calibration": _calibration}
    return figures | panel_figures(run, **drawings)


def _calibration(run, which, case, rows):
    title, least = f"{run.title}\n{which} case: {case}", _least(rows)
    return plots.calibration_panel(_with_scores(run, case, rows), HISTOGRAM, least, title), (
        f"The {which} test case, {case} (Fig. 1, 3, S1 to S3): foreground probability over the slice with most "
        "foreground; reliability of the whole volume; probabilities of what was segmented. ECE, NLL and Brier "
        f"score of the whole volume. Bins of fewer than {least} voxels are not drawn. Rule: {RULE}."
    )


def _members(run, which, case, rows):
    caption = f"The {which} test case, {case}, by the first M members (Fig. S5 and S6)."
    return plots.members_panel(_with_sizes(rows), f"{run.title}\n{which} case: {case}"), caption


def _least(rows):
    """Voxels that a bin needs to be drawn."""
    counts = next(iter(rows.values()))["reliability"][0]
    return min(plots.LEAST, int(counts.sum()) // 1000)


def _with_scores(run, case, rows):
    return {
        row: {
            **kinds,
            "reliability": metrics.Reliability(*kinds["reliability"]),
            "scores": _scores(run.first[row], case),
        }
        for row, kinds in rows.items()
    }


def _with_sizes(rows):
    shown = {}
    for row, kinds in rows.items():
        sizes = {
            int(kind.removeprefix("probability_")): kinds[kind] for kind in kinds if kind.startswith("probability_")
        }
        if sizes:
            shown[row] = {**kinds, "sizes": dict(sorted(sizes.items()))}
    return shown


def _by_size(run):
    labels = {"nll": "NLL, box", "nll_whole": "NLL, whole volume", "dice": "Dice"}
    curves = {}
    for row, cell in run.first.items():
        if not cell.has("subsets.csv"):
            continue
        drawn = cell.frame("subsets.csv").groupby("members")
        for name, label in labels.items():
            low, high = (drawn[name].quantile(share).to_numpy() for share in (0.025, 0.975))
            mean = drawn[name].mean()
            curves.setdefault(label, {})[row] = (mean.index.to_numpy(), mean.to_numpy(), low, high)
    return curves


def _regressions(run):
    """Figure 3 and S8: of the ensembles, or of the plain rows where there are none."""
    lines = segment_lines(run).set_index(["row", "segment"])
    rows = {}
    ensembles = [row for row in run.first if row.endswith("ensemble")]
    for row in ensembles or [row for row in run.first if "," not in row]:
        points, texts = {}, []
        for value, (entropy, dice, corrupted_entropy, corrupted_dice) in regression_points(run.first[row]).items():
            name = run["labels"].get(str(value), f"segment {value}")
            points[name] = (entropy, logit_dice(dice), corrupted_entropy, logit_dice(corrupted_dice))
            line = lines.loc[(row, str(value))]
            texts.append(f"{name}: r = {line['r']:.2f}, p = {line['p']:.1g}")
        rows[row] = {"points": points, "text": "\n".join(texts)}
    return (
        plots.segment_regression(rows, run.title),
        "Dice, logit-transformed, against the entropy of each segment (Fig. 3 and S8). Dots and line: test cases, with "
        "Pearson's r; crosses: the same scans, corrupted.",
    )


def _curve(cell, region):
    lines = cell.frame("reliability.csv")
    lines = lines[(lines["region"] == region) & (lines["kind"] == "confidence")]
    return metrics.Reliability(*(lines[name].to_numpy() for name in ("count", "confidence", "accuracy")))


def _scores(cell, case):
    line = cell.cases().set_index("case").loc[case]
    return f"ECE {100 * line['ece_whole']:.2f} %\nNLL {line['nll_whole']:.3f}\nBrier {line['brier_whole']:.3f}"
