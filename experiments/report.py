"""Tables and an HTML page from records.

python -m experiments.report              every table of results/runs again, and that of the README
python -m experiments.report --figures    figures and pages too
"""

import argparse
import html
import json
import math
import sys
from pathlib import Path

import pandas as pd

from data_prep.prepared import write_text
from experiments import measures, study
from experiments.measures import build_table, cells

RUNS = Path("results/runs")
README_START, README_END = "<!-- measured -->", "<!-- /measured -->"
DPI = 220


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


def write_tables(folder):
    """Write `table.csv`, `table.md`, `comparison.csv` and `tests.csv` of a run. Returns the Markdown."""
    run, table = build_table(folder)
    for name, frame, digits in (
        ("table", table, "%.6g"),
        ("comparison", measures.build_comparison(folder), "%.4g"),
        ("tests", study.of(run["paper"]).tests(folder), "%.4g"),
    ):
        write_text(Path(folder) / f"{name}.csv", frame.to_csv(index=False, float_format=digits, lineterminator="\n"))
    text = _markdown(run, table)
    write_text(Path(folder) / "table.md", text)
    return text


def write_report(folder):
    """Write tables, figures and `report.html` of a run. Returns the Markdown table."""
    folder = Path(folder)
    text = write_tables(folder)
    run, table = build_table(folder)
    drawn = study.of(run["paper"]).figures(folder, _title(run))
    (folder / "figures").mkdir(exist_ok=True)
    for name, (figure, _) in drawn.items():
        figure.savefig(folder / "figures" / f"{name}.png", dpi=DPI)
    write_text(folder / "report.html", _page(folder, run, table, drawn))
    return text


def terminal_table(folder):
    """The table of a run for a terminal of 80 columns, a `rich.table.Table`."""
    from rich import box
    from rich.table import Table

    run, table = build_table(folder)
    own, paper = study.of(run["paper"]), _origin(run)
    shown_too = measures.shown_measures(run)
    caption = _caption(run, sorted(set(table["seeds"]))).replace("Square brackets", "±")
    shown = Table(title=_title(run), caption=caption, caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    shown.add_column("row", no_wrap=True)
    for measure, label in own.headline.items():
        if measure in shown_too and paper:
            shown.add_column(f"{label}\npaper", justify="right", style="dim", no_wrap=True)
            label = f"{label}\nhere"
        shown.add_column(label, justify="right", no_wrap=True)
    for line in table.to_dict("records"):
        entries = []
        for measure in own.headline:
            reach = line[f"{measure}_high"] - line[measure]
            here = _interval({**line, f"{measure}_low": math.nan}, measure)
            here += "" if math.isnan(reach) else f"\n±{reach:.2g}"
            printed = line.get(f"{measure}_published", "").partition(" ")[0]
            entries += [printed, here] if measure in shown_too and paper else [here]
        flag = f"\n{line['flag']}" if line["flag"] else ""
        shown.add_row(line["row"].removesuffix(" Loss") + flag, *entries)
    return shown


def write_readme(folders):
    """Put one table a paper and dataset of real runs between the README's markers."""
    readme = Path("README.md")
    if not readme.exists() or README_START not in readme.read_text():
        return
    groups = {}
    for folder in folders:
        run = measures.run_of(folder)
        if run["profile"] != "demo" and not cells(folder).empty:
            groups.setdefault((run["paper"], run["dataset"], run["profile"]), []).append(folder)
    text = readme.read_text()
    start = text.index(README_START) + len(README_START)
    tables = [_overview(name, of_group) for name, of_group in groups.items()]
    write_text(readme, text[:start] + "\n" + "\n".join(tables) + text[text.index(README_END) :])


def _overview(name, folders):
    """All tables of a paper on one dataset side by side."""
    paper, dataset, profile = name
    own = study.of(paper)
    columns, rows = {}, {}
    for folder in folders:
        run, table = build_table(folder)
        data, first = _origin(run), measures.shown_measures(run)[0]
        label = f"[{run['table']}]({Path(folder).as_posix()}/table.md) {run['changes']}".strip()
        label += f" ({data})" if data else ""
        seeds = sorted(set(table["seeds"]) - {0})
        columns[label] = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"
        for line in table.to_dict("records"):
            shown = own.overview(line) if line["seeds"] else "not run"
            published = line[f"{first}_published"].partition(" ")[0]
            published = f"{published} → " if published else ""
            rows.setdefault(line["row"].removesuffix(" Loss"), {})[label] = published + shown
    lines = [
        f"**{paper}: the protocols of its tables on {dataset}, profile {profile}**",
        "",
        f"| loss | {' | '.join(columns)} |",
        f"| --- |{' --- |' * len(columns)}",
        *[f"| {row} | {' | '.join(of_row.get(label, '') for label in columns)} |" for row, of_row in rows.items()],
        f"| seeds | {' | '.join(map(str, columns.values()))} |",
        "",
        own.overview_note.format(dataset=dataset),
        "",
    ]
    return "\n".join(lines)


def _title(run):
    changes = f", {run['changes']}" if run["changes"] else ""
    return f"{run['paper']}, {run['table']} protocol on {run['dataset']}, profile {run['profile']}{changes}"


def _origin(run):
    """What the printed numbers were measured on; empty if the paper prints none."""
    return study.of(run["paper"]).published(run)["dataset"].iloc[0]


def _markdown(run, table):
    own, paper = study.of(run["paper"]), _origin(run)
    lines = [f"**{_title(run)}**", ""]
    parts = _parts(run)
    if len(parts) == 1:
        lines += _markdown_part(table, own, next(iter(parts.values())), own.ours, paper)
    else:
        for title, shown in parts.items():
            lines += [f"*{title}*", "", *_markdown_part(table, own, shown, {}, paper), ""]
        lines += ["*Beyond the paper*", "", *_markdown_part(table, own, [], own.ours, paper)]
    lines += ["", _caption(run, sorted(set(table["seeds"])))]
    codes = {code for flag in table["flag"] for code in flag.split(";") if code}
    if codes:
        flags = pd.read_csv(measures.PUBLISHED / "flags.csv").set_index("code")
        lines += ["", *[f"{code}: {flags['what'].get(code, 'unknown code')}" for code in sorted(codes)]]
    return "\n".join(lines) + "\n"


def _parts(run):
    """`{title: measures}` of the tables that the paper prints of these rows; one without a title by default."""
    shown = measures.shown_measures(run)
    parts = study.of(run["paper"]).parts(run) or {"": shown}
    return {title: [measure for measure in of_part if measure in shown] for title, of_part in parts.items()}


def _markdown_part(table, own, shown, ours, paper):
    heads = [own.measures[measure] for measure in shown]
    if paper:
        heads = [head for label in heads for head in (f"{label}: published ({paper})", "here")]
    heads = ["loss", "seeds", *heads, *ours.values(), *(["flags"] if paper else [])]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for line in table.to_dict("records"):
        entries = [line["row"], str(line["seeds"])]
        for measure in shown:
            entries += [line[f"{measure}_published"]] if paper else []
            entries.append(_interval(line, measure))
        entries += [_interval(line, measure) for measure in ours]
        lines.append(f"| {' | '.join([*entries, *([line['flag']] if paper else [])])} |")
    return lines


def _caption(run, seeds):
    cases, own = run["cases"], study.of(run["paper"])
    said = [
        f"Test cases: {cases['test']}; training {cases['train']}, validation {cases['validation']}.",
        "One seed: no interval."
        if own.interval_over_seeds and max(seeds) == 1
        else f"Square brackets: {own.interval}.",
        *own.notes(run),
    ]
    if run["dataset"].startswith("synthetic "):
        said.append("SYNTHETIC PHANTOM: generated images, no patients.")
    if _origin(run) and any(departure.startswith("data:") for departure in run["departures"]):
        said.append("Other data than the paper's: the published column is for orientation, this is no reproduction.")
    said.append("Departures: " + "; ".join(run["departures"]) + ".")
    return " ".join(said)


def _interval(line, measure, between=" "):
    low, high = line[f"{measure}_low"], line[f"{measure}_high"]
    if math.isnan(line[measure]):
        return "undefined" if line["seeds"] else "not run"
    if math.isnan(low):
        return _number(line[measure])
    return f"{_number(line[measure])}{between}[{_number(low)}, {_number(high)}]"


def _number(value):
    if isinstance(value, float) and math.isnan(value):
        return ""
    size = abs(value)
    return (
        f"{value:.0f}"
        if size >= 1000
        else f"{value:.2f}"
        if size >= 10
        else f"{value:.4f}"
        if size >= 0.01
        else f"{value:.3g}"
    )


def _page(folder, run, table, drawn):
    measured, own, paper = cells(folder), study.of(run["paper"]), _origin(run)
    records = table.to_dict("records")
    tables = []
    for title, of_part in _parts(run).items():
        shown = table[["row", "seeds"]].rename(columns={"row": "loss"})
        for measure in of_part:
            label = own.measures[measure]
            if paper:
                shown[f"{label}: published ({paper})"] = table[f"{measure}_published"]
                label = f"{label}: here"
            shown[label] = [_interval(line, measure, "\n") for line in records]
        if paper:
            shown["flags"] = table["flag"]
        tables += [f"<h2>{html.escape(title)}</h2>"] if title else []
        tables.append(_html_table(shown))
    printed = "\n".join(tables)
    further = table[["row"]].rename(columns={"row": "loss"})
    for measure, label in own.ours.items():
        further[label] = [_interval(line, measure, "\n") for line in records]
    own_sections = own.sections(folder, table)
    sections = "\n".join(
        f"<h2>{html.escape(title)}</h2>\n<p>{html.escape(text)}</p>\n{_html_table(_numbers(frame))}"
        for title, text, frame in own_sections
    )
    in_sections = {label for _, _, frame in own_sections for label in frame}
    for measure, label in own.further.items():
        if label not in in_sections and table[measure].notna().any():
            further[label] = [_number(value) for value in table[measure]]
    provenance = json.loads((measured["folder"].iloc[0] / "provenance.json").read_text())
    pictures = "\n".join(
        f'<figure><img src="figures/{name}.png" alt="{html.escape(caption)}"><figcaption>{html.escape(caption)}'
        f"</figcaption></figure>"
        for name, (_, caption) in drawn.items()
    )
    shared = measured["shared"].dropna()
    facts = {
        "profile": run["profile"],
        "dataset": run["dataset"],
        "data fingerprint": run["data"],
        "commit": ", ".join(sorted({str(commit) for commit in measured["commit"]})),
        "hardware": json.dumps(provenance["hardware"]),
        "packages": json.dumps(provenance["packages"]),
        "backend": provenance["backend"],
        "seconds of all cells": f"{measured['seconds'].sum():.0f}",
        "cells shared with": ", ".join(sorted({name.rpartition("/")[0] for name in shared})) or "no other table",
    }
    listed = "\n".join(f"<dt>{name}</dt><dd>{html.escape(str(value))}</dd>" for name, value in facts.items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(_title(run))}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; color: #222;
  overflow-wrap: anywhere }}
.table {{ overflow-x: auto; overflow-wrap: normal }}
table {{ border-collapse: collapse; font-size: 12px }} th, td {{ border: 1px solid #ccc; padding: .25rem .3rem }}
td {{ text-align: right; white-space: pre }} td:first-child {{ text-align: left }}
td:first-child, th:first-child {{ position: sticky; left: 0; background: #fff }}
th, th:first-child {{ background: #f4f4f4 }}
.figures {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1rem 2rem }}
figure {{ margin: 1rem 0 }} img {{ width: 100%; max-width: 36rem }} figcaption {{ font-size: 13px }}
dt {{ font-weight: 600 }} dd {{ margin: 0 0 .4rem 0 }}
</style></head><body>
<h1>{html.escape(_title(run))}</h1>
<p>{html.escape(run["title"])}. {html.escape(_caption(run, sorted(set(table["seeds"]))))}</p>
{printed}
<h2>Beyond the paper</h2>
<p>{html.escape(own.beyond)}</p>
{_html_table(further)}
{sections}
<h2>Case by case</h2>
<p>Mean difference to another row over the test cases (each the mean of its seeds) and its 95 % bootstrap interval over
cases.</p>
{_html_table(_side_by_side(measures.build_comparison(folder)))}
<h2>Do the losses differ at all?</h2>
<p>{html.escape(own.tests_note(run))}</p>
{_html_table(own.tests(folder))}
<h2>Figures</h2>
<div class="figures">
{pictures}
</div>
<h2>Where the numbers came from</h2>
<dl>{listed}</dl>
<p>For research. Not a medical device.</p>
</body></html>
"""


def _numbers(frame):
    """A table whose numbers are texts."""
    return frame.map(lambda value: _number(value) if isinstance(value, float) else value)


def _side_by_side(comparison):
    """One line a row, one column a measure."""
    lines = {}
    for line in comparison.to_dict("records"):
        said = f"{line['mean']:+.4g}\n[{line['low']:.4g}, {line['high']:.4g}]"
        lines.setdefault(line["row"], {"loss": line["row"], "against": line["against"]})[line["measure"]] = said
    return pd.DataFrame(list(lines.values()))


def _html_table(frame):
    if frame.empty:
        return "<p>Too few cells or cases.</p>"
    text = frame.to_html(index=False, border=0, na_rep="", float_format=lambda value: f"{value:.4g}")
    text = text.replace("\\n", "\n")  # pandas writes a line break as two characters.
    return f'<div class="table">{text}</div>'


if __name__ == "__main__":
    sys.exit(main())
