"""From records to frames: the table of a run and its comparisons. Nothing is typed in."""

import json
import math
from pathlib import Path

import pandas as pd

from experiments import study
from keras_uq import statistics

PUBLISHED = Path(__file__).parent.parent / "results" / "published"


def run_of(folder):
    """What a run says about itself."""
    return json.loads((Path(folder) / "run.json").read_text())


def cells(folder):
    """One line a recorded cell: row, seed, folder and where it came from."""
    lines = []
    for provenance in sorted(Path(folder).glob("*/provenance.json")):
        cell = provenance.parent
        config = json.loads((cell / "config.json").read_text())
        about = json.loads(provenance.read_text())
        training = cell / "training.json"
        seconds = json.loads(training.read_text())["seconds"] if training.exists() else 0
        lines.append(
            {
                "row": config["row"],
                "seed": config["seed"],
                "folder": cell,
                "seconds": about["seconds"] + seconds,
                "shared": about.get("shared_with"),
                "commit": about["commit"],
            }
        )
    return pd.DataFrame(lines, columns=["row", "seed", "folder", "seconds", "shared", "commit"])


def cases_of(cell, part="test"):
    """Lines of the cases of one set."""
    cases = pd.read_csv(Path(cell) / "cases.csv")
    return cases[cases["set"] == part].reset_index(drop=True)


def frames_of(folder, part="test"):
    """`{row: frames of its cases, one a seed}` of the rows that have a record, in the order of the table."""
    measured = cells(folder)
    found = {
        row: [cases_of(cell, part) for cell in measured.loc[measured["row"] == row, "folder"]]
        for row in run_of(folder)["rows"]
    }
    return {row: frames for row, frames in found.items() if frames}


def build_table(folder):
    """The table of a run: published beside measured, in the order of the paper, own rows last."""
    run = run_of(folder)
    own = study.of(run["paper"])
    published, of_rows = own.published(run), frames_of(folder)
    nothing = statistics.Interval(math.nan, math.nan, math.nan)
    lines = []
    for row in run["rows"]:
        frames = of_rows.get(row, [])
        values = own.measure(run, frames) if frames else {}
        line = {"row": row, "seeds": len(frames)}
        for measure in [*shown_measures(run), *own.ours]:
            if measure in own.measures:
                line[f"{measure}_published"] = published[measure].get(row, "")
            line[measure], line[f"{measure}_low"], line[f"{measure}_high"] = values.get(measure, nothing)
        for measure in own.further:
            line.setdefault(measure, values.get(measure, nothing).mean)
        flag = published["flag"].get(row)
        line["flag"] = flag if isinstance(flag, str) else ""
        lines.append(line)
    return run, pd.DataFrame(lines)


def mean_over_cases(values):
    """Mean of a score over the cases that have it, with its bootstrap interval; NaN if none has."""
    known = values.dropna()
    if known.empty:
        return statistics.Interval(math.nan, math.nan, math.nan)
    return statistics.paired_bootstrap(known, [0.0] * len(known))


def shown_measures(run):
    """The measures that the published table prints."""
    own = study.of(run["paper"])
    published = own.published(run)
    return [measure for measure in own.measures if measure in published]


def scores(folder, part="test"):
    """`{row: frame of the compared columns by case}`, means over seeds."""
    own = study.of(run_of(folder)["paper"])
    return {
        row: own.derive(pd.concat(frames)).groupby("case")[list(own.compared)].mean()
        for row, frames in frames_of(folder, part).items()
    }


def build_comparison(folder):
    """Difference of each row to another, over test cases (means of seeds), with bootstrap interval."""
    compared = study.of(run_of(folder)["paper"]).compared
    lines = []
    for row, against, values, others in pairs(folder):
        for measure, label in compared.items():
            if (values[measure] - others[measure]).isna().all():
                continue  # No case has the measure in both rows.
            difference = statistics.paired_bootstrap(values[measure], others[measure])
            lines.append({"row": row, "against": against, "measure": label, **difference._asdict()})
    return pd.DataFrame(lines, columns=["row", "against", "measure", "mean", "low", "high"])


def pairs(folder, part="test"):
    """`(row, against, scores of the row, scores of the other)` of all rows that have something to be held against."""
    run, of_rows = run_of(folder), scores(folder, part)
    own = study.of(run["paper"])
    for row, values in of_rows.items():
        against = own.against(run, row)
        if against in of_rows and against != row:
            yield row, against, values, of_rows[against]


def chosen_cases(folder):
    """The best and the worst test case: highest and lowest Dice at 0.5, median over rows, each row's first seed.

    Returns:
        `{"best": case, "worst": case}` and `{row: folder of its cell}`.
    """
    measured = cells(folder).sort_values("seed").drop_duplicates("row").set_index("row")["folder"]
    ordered = {row: measured[row] for row in run_of(folder)["rows"] if row in measured}
    dice = pd.DataFrame({row: cases_of(cell).set_index("case")["dice"] for row, cell in ordered.items()})
    median = dice.median(axis=1).dropna()
    if median.empty:
        return {}, ordered
    return {"best": median.idxmax(), "worst": median.idxmin()}, ordered
