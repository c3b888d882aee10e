"""Tables, figures and pages from records.

python -m experiments.report              every table and page of results/runs again, and the README's table
python -m experiments.report --figures    the figures too
"""

import argparse
import json
import sys
from pathlib import Path

from experiments.figures import choose_panels
from experiments.pages import html, markdown
from experiments.records import write_json
from experiments.run import Run
from keras_uq.files import write_text

RUNS = Path("results/runs")
DPI = 220
DIGITS = {"table": "%.6g", "comparison": "%.4g", "tests": "%.4g"}


def main(arguments=None):
    """Write tables and pages from records. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.report", description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="*", type=Path, help="run folders (all of results/runs)")
    parser.add_argument("--figures", action="store_true", help="draw the figures too")
    options = parser.parse_args(arguments)
    folders = options.run or sorted(path.parent for path in RUNS.glob("*/*/run.json"))
    runs = [run for run in map(Run, folders) if run.cells]
    for run in runs:
        print(write(run, options.figures))
    if not options.run:
        markdown.write_readme(runs)
    return 0


def write(run, figures=False):
    """Write `table.csv`, `comparison.csv`, `tests.csv`, `table.md` and `report.html` of a run; return the Markdown.

    With `figures`, draw them first. Those whose pictures are not on this machine stay as they are.
    """
    for name, digits in DIGITS.items():
        text = getattr(run, name).to_csv(index=False, float_format=digits, lineterminator="\n")
        write_text(run.folder / f"{name}.csv", text)
    text = markdown.table(run)
    write_text(run.folder / "table.md", text)
    if figures:
        draw(run)
    write_text(run.folder / "report.html", html.page(run, read_captions(run)))
    return text


def draw(run):
    """Draw the figures of a run and write their captions beside them."""
    choose_panels(run)
    folder, captions = run.folder / "figures", {}
    folder.mkdir(exist_ok=True)
    before = read_captions(run)
    for name, drawn in run.study.draw(run).items():
        if drawn is not None:
            figure, captions[name] = drawn
            figure.savefig(folder / f"{name}.png", dpi=DPI)
        elif name in before:
            captions[name] = before[name]
    write_json(folder / "captions.json", captions)


def read_captions(run):
    """`{name: caption}` of the figures of a run, in the order of the page."""
    path = run.folder / "figures" / "captions.json"
    return json.loads(path.read_text()) if path.exists() else {}


if __name__ == "__main__":
    sys.exit(main())
