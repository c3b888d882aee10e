"""Tables, figures and an HTML page from records. Nothing is typed in: without records there is no number.

python -m experiments.report              every table of results/runs again, and that of the README
python -m experiments.report --figures    figures and pages too
"""

import argparse
import html
import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from data_prep.prepared import write_text
from keras_uq import metrics, plots, statistics

PUBLISHED = Path("results/published")
RUNS = Path("results/runs")
README_START, README_END = "<!-- measured -->", "<!-- /measured -->"
# Column of the published table -> our measure of one cell.
MEASURES = {
    "dice": "soft Dice, pooled",
    "uncertainty_mean": "uncertainty mean (nat)",
    "uncertainty_std": "uncertainty std (nat)",
}
# Columns of cases.csv, and the soft Dice, that are compared case by case.
COMPARED = {
    "dice": "Dice at 0.5 of a case",
    "soft_dice": "soft Dice of a case",
    "uncertainty_mean": "uncertainty mean of a case (nat)",
}
# Ours alone, with an interval.
OURS = {"dice_hard": "Dice at 0.5, mean of cases"}
# Ours alone, on the page and in table.csv.
FURTHER = {
    "uncertainty_std_slice": "uncertainty std over slices",
    "uncertainty_std_pixel": "uncertainty std over pixels",
    "sensitivity": "sensitivity",
    "precision": "precision",
}


def main(arguments=None):
    """Regenerate tables from records. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.report", description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="*", type=Path, help="run folders (all of results/runs)")
    parser.add_argument("--figures", action="store_true", help="draw figures and write the page too")
    options = parser.parse_args(arguments)
    folders = options.run or sorted(path.parent for path in RUNS.glob("*/*/run.json"))
    for folder in folders:
        if not cells(folder).empty:
            print(write_report(folder) if options.figures else write_tables(folder))
    if not options.run:
        write_readme(folders)
    return 0


def cells(folder):
    """One line a recorded cell: row, seed, measures."""
    lines = []
    for provenance in sorted(Path(folder).glob("*/provenance.json")):
        config = json.loads((provenance.parent / "config.json").read_text())
        about = json.loads(provenance.read_text())
        cases = pd.read_csv(provenance.parent / "cases.csv")
        lines.append(
            {
                "row": config["row"],
                "seed": config["seed"],
                "folder": provenance.parent,
                "seconds": about["seconds"],
                "commit": about["commit"],
                **cell_measures(cases),
            }
        )
    return pd.DataFrame(lines)


def cell_measures(cases):
    """The measures of one cell from its test cases: sums are pooled, scores of cases averaged."""
    uncertainty = metrics.pool_statistics(
        metrics.MapStatistics(*(line[f"uncertainty_{field}"] for field in metrics.MapStatistics._fields))
        for line in cases.to_dict("records")
    )
    return {
        "dice": 2 * cases["soft_overlap"].sum() / (cases["soft_predicted"].sum() + cases["soft_labelled"].sum()),
        "uncertainty_mean": uncertainty.mean,
        "uncertainty_std_slice": uncertainty.std_slice,
        "uncertainty_std_pixel": uncertainty.std_pixel,
        "dice_hard": cases["dice"].mean(),
        "sensitivity": cases["sensitivity"].mean(),
        "precision": cases["precision"].mean(),
    }


def build_table(folder):
    """The table of a run: published beside measured, in the order of the paper."""
    run = json.loads((Path(folder) / "run.json").read_text())
    published = pd.read_csv(PUBLISHED / f"{run['paper']}_{run['table']}.csv", dtype=str).set_index("loss")
    measured = cells(folder)
    measured["uncertainty_std"] = measured[f"uncertainty_std_{run['spread']}"]
    lines = []
    for row in run["rows"]:
        of_row = measured[measured["row"] == row]
        line = {"row": row, "seeds": len(of_row)}
        for measure in [*MEASURES, *OURS]:
            if measure in MEASURES:
                line[f"{measure}_published"] = published[measure].get(row, "") if measure in published else ""
            interval = statistics.mean_interval(of_row[measure] if len(of_row) else [])
            line[measure], line[f"{measure}_low"], line[f"{measure}_high"] = interval
        for measure in FURTHER:
            line[measure] = of_row[measure].mean() if len(of_row) else math.nan
        flag = published["flag"].get(row) if "flag" in published else None
        line["flag"] = flag if isinstance(flag, str) else ""
        lines.append(line)
    return run, pd.DataFrame(lines)


def build_comparison(folder):
    """Difference of each row to the reference row over test cases (means of seeds), with bootstrap interval."""
    run = json.loads((Path(folder) / "run.json").read_text())
    measured = cells(folder)
    scores = {}
    for row in run["rows"]:
        frames = [pd.read_csv(path / "cases.csv") for path in measured.loc[measured["row"] == row, "folder"]]
        if frames:
            both = pd.concat(frames)
            both["soft_dice"] = 2 * both["soft_overlap"] / (both["soft_predicted"] + both["soft_labelled"])
            scores[row] = both.groupby("case")[list(COMPARED)].mean()
    lines = []
    for row, values in scores.items():
        if run["reference"] not in scores or row == run["reference"]:
            continue
        for measure in COMPARED:
            difference = statistics.paired_bootstrap(values[measure], scores[run["reference"]][measure])
            lines.append({"row": row, "measure": COMPARED[measure], **difference._asdict()})
    return pd.DataFrame(lines, columns=["row", "measure", "mean", "low", "high"])


def write_tables(folder):
    """Write `table.csv`, `table.md` and `comparison.csv` of a run. Returns the Markdown."""
    run, table = build_table(folder)
    comparison = build_comparison(folder)
    write_text(
        Path(folder) / "comparison.csv", comparison.to_csv(index=False, float_format="%.4g", lineterminator="\n")
    )
    write_text(Path(folder) / "table.csv", table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    text = _markdown(run, table)
    write_text(Path(folder) / "table.md", text)
    return text


def write_report(folder):
    """Write tables, figures and `report.html` of a run. Returns the Markdown table."""
    folder = Path(folder)
    text = write_tables(folder)
    run, table = build_table(folder)
    figures = _figures(folder, run)
    (folder / "figures").mkdir(exist_ok=True)
    for name, (figure, _) in figures.items():
        figure.savefig(folder / "figures" / f"{name}.png", dpi=110)
    write_text(folder / "report.html", _page(folder, run, table, figures))
    return text


def terminal_table(folder):
    """The table of a run for a terminal of 80 columns, a `rich.table.Table`."""
    from rich import box
    from rich.table import Table

    run, table = build_table(folder)
    caption = f"U: predictive entropy in nat. {_caption(run, sorted(set(table['seeds'])))}"
    shown = Table(title=_title(run), caption=caption, caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    shown.add_column("loss", no_wrap=True)
    for label in ("Dice", "U mean", "U std"):
        shown.add_column(f"{label}\npaper", justify="right", style="dim", no_wrap=True)
        shown.add_column(f"{label}\nhere", justify="right", no_wrap=True)
    shown.add_column("Dice\nat 0.5", justify="right", no_wrap=True)
    for line in table.to_dict("records"):
        cells_shown = []
        for measure in [*MEASURES, *OURS]:
            reach = line[f"{measure}_high"] - line[measure]
            here = "not run" if math.isnan(line[measure]) else _number(line[measure])
            here += "" if math.isnan(reach) else f"\n±{reach:.2g}"
            cells_shown += [line[f"{measure}_published"], here] if measure in MEASURES else [here]
        flag = f"\n{line['flag']}" if line["flag"] else ""
        shown.add_row(line["row"].removesuffix(" Loss") + flag, *cells_shown)
    return shown


def write_readme(folders):
    """Put the tables of real runs between the README's markers."""
    readme = Path("README.md")
    if not readme.exists() or README_START not in readme.read_text():
        return
    text = readme.read_text()
    start = text.index(README_START) + len(README_START)
    end = text.index(README_END)
    tables = []
    for folder in folders:
        run = json.loads((folder / "run.json").read_text())
        if run["profile"] != "demo" and not cells(folder).empty:
            tables.append((folder / "table.md").read_text().strip())
    write_text(readme, text[:start] + "\n" + "\n\n".join(tables) + "\n" + text[end:])


def _title(run):
    data = f"{run['dataset']}, profile {run['profile']}"
    return f"{run['paper']}, {run['table']} protocol on {data}"


def _markdown(run, table):
    paper = pd.read_csv(PUBLISHED / f"{run['paper']}_{run['table']}.csv", dtype=str)["dataset"].iloc[0]
    seeds = sorted(set(table["seeds"]))
    lines = [
        f"**{_title(run)}**",
        "",
        f"| loss | seeds | {' | '.join(f'{label}: published ({paper}) | here' for label in MEASURES.values())} |"
        f" {' | '.join(OURS.values())} | flags |",
        f"| --- | --- |{' --- | --- |' * len(MEASURES)}{' --- |' * len(OURS)} --- |",
    ]
    for line in table.to_dict("records"):
        entries = [line["row"], str(line["seeds"])]
        for measure in MEASURES:
            entries += [line[f"{measure}_published"], _interval(line, measure)]
        entries += [_interval(line, measure) for measure in OURS]
        lines.append(f"| {' | '.join([*entries, line['flag']])} |")
    lines += ["", _caption(run, seeds)]
    codes = {code for flag in table["flag"] for code in flag.split(";") if code}
    if codes:
        flags = pd.read_csv(PUBLISHED / "flags.csv").set_index("code")
        lines += ["", *[f"{code}: {flags['what'].get(code, 'unknown code')}" for code in sorted(codes)]]
    return "\n".join(lines) + "\n"


def _caption(run, seeds):
    cases = run["cases"]
    said = [
        f"Test cases: {cases['test']}; training {cases['train']}, validation {cases['validation']}.",
        "Square brackets: 95 % interval of the mean over seeds (Student's t)."
        if max(seeds) > 1
        else "One seed: no interval.",
        f"The uncertainty's std is taken over {run['spread']}s, which is what the printed column fits.",
    ]
    if run["dataset"] == "synthetic CT":
        said.append("SYNTHETIC PHANTOM: generated images, no patients; the published column is on other data.")
    elif any(departure.startswith("data:") for departure in run["departures"]):
        said.append("Other data than the paper's: the published column is for orientation, this is no reproduction.")
    said.append("Departures: " + "; ".join(run["departures"]) + ".")
    return " ".join(said)


def _interval(line, measure):
    low, high = line[f"{measure}_low"], line[f"{measure}_high"]
    if math.isnan(line[measure]):
        return "not run"
    if math.isnan(low):
        return _number(line[measure])
    return f"{_number(line[measure])} [{_number(low)}, {_number(high)}]"


def _number(value):
    if isinstance(value, float) and math.isnan(value):
        return ""
    return f"{value:.4f}" if abs(value) >= 0.01 else f"{value:.3g}"


def _figures(folder, run):
    """`{name: (figure, caption)}` of a run."""
    measured = cells(folder)
    histories, scores, panels = {}, {}, {}
    for row in run["rows"]:
        of_row = measured[measured["row"] == row]
        if of_row.empty:
            continue
        records = [path / "history.csv" for path in of_row["folder"]]
        if all(path.exists() for path in records):  # A row made of other cells has none.
            histories[row] = [pd.read_csv(path)["val_dice"].to_numpy() for path in records]
        cases = pd.concat(pd.read_csv(path / "cases.csv") for path in of_row["folder"])
        scores[row] = (cases["dice"].to_numpy(), cases["uncertainty_mean"].to_numpy())
        with np.load(of_row["folder"].iloc[0] / "panel.npz", allow_pickle=False) as panel:
            panels[row] = {name: panel[name] for name in panel.files}
    first = next(iter(panels.values()))
    return {
        "learning_curves": (
            plots.learning_curves(histories, "Validation Dice (soft, pooled)", _title(run)),
            "Validation Dice by epoch. Bold: mean over seeds.",
        ),
        "case_scores": (
            plots.case_scores(scores, ("Dice at 0.5 of a test case", "mean entropy of a test case (nat)"), _title(run)),
            "Each dot is a test case of one seed; the bar is the median.",
        ),
        "qualitative": (
            plots.qualitative_panel(panels, f"{_title(run)}\n{first['case']}, slice {first['slice']}"),
            "First test case in the order of the list, slice with most foreground, lowest seed.",
        ),
    }


def _page(folder, run, table, figures):
    measured = cells(folder)
    shown = table.copy()
    for measure in [*MEASURES, *OURS]:
        shown[measure] = [_interval(line, measure) for line in table.to_dict("records")]
        shown = shown.drop(columns=[f"{measure}_low", f"{measure}_high"])
    for measure in FURTHER:
        shown[measure] = [_number(value) for value in table[measure]]
    provenance = json.loads((measured["folder"].iloc[0] / "provenance.json").read_text())
    pictures = "\n".join(
        f'<figure><img src="figures/{name}.png" alt="{html.escape(caption)}"><figcaption>{html.escape(caption)}'
        f"</figcaption></figure>"
        for name, (_, caption) in figures.items()
    )
    facts = {
        "profile": run["profile"],
        "dataset": run["dataset"],
        "data fingerprint": run["data"],
        "commit": ", ".join(sorted({str(commit) for commit in measured["commit"]})),
        "hardware": json.dumps(provenance["hardware"]),
        "packages": json.dumps(provenance["packages"]),
        "backend": provenance["backend"],
        "seconds of all cells": f"{measured['seconds'].sum():.0f}",
    }
    listed = "\n".join(f"<dt>{name}</dt><dd>{html.escape(str(value))}</dd>" for name, value in facts.items())
    comparison = build_comparison(folder).to_html(index=False, border=0, float_format=lambda value: f"{value:.4g}")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(_title(run))}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; font-size: 13px }} th, td {{ border: 1px solid #ccc; padding: .3rem .5rem }}
td {{ text-align: right }} td:first-child {{ text-align: left }} th {{ background: #f4f4f4 }}
img {{ max-width: 100% }} figure {{ margin: 2rem 0 }} dt {{ font-weight: 600 }} dd {{ margin: 0 0 .4rem 0 }}
</style></head><body>
<h1>{html.escape(_title(run))}</h1>
<p>{html.escape(run["title"])}. {html.escape(_caption(run, sorted(set(table["seeds"]))))}</p>
<div style="overflow-x:auto">{shown.to_html(index=False, border=0, na_rep="")}</div>
<h2>Case by case against {html.escape(run["reference"])}</h2>
<p>Mean difference over the test cases (each the mean of its seeds) and its 95 % bootstrap interval over cases.</p>
{comparison}
{pictures}
<h2>Where the numbers came from</h2>
<dl>{listed}</dl>
<p>For research. Not a medical device.</p>
</body></html>
"""


if __name__ == "__main__":
    sys.exit(main())
