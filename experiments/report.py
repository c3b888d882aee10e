"""Tables, figures and pages from records.

python -m experiments.report              every table and page of results/runs again, and the README's table
python -m experiments.report --figures    the figures too
"""

import argparse
import sys
from pathlib import Path

from experiments import failures
from experiments.csv_cells import shielded
from experiments.fields import FOLDER, DamagedRecord
from experiments.figures import choose_panels
from experiments.pages import html, markdown
from experiments.records import write_json
from experiments.run import Run
from keras_uq._kinds import Mapping, Mismatch, Text, option
from keras_uq.files import BadFile, read, replacing, sweep, write_text

RUNS = Path("results/runs")
DPI = 220
DIGITS = {"table": "%.6g", "comparison": "%.4g", "tests": "%.4g"}
# Columns with names of rows, which may be a user's.
NAMES = ("row", "against")


def main(arguments=None):
    """Write tables and pages from records.

    A run with a damaged cell gets no table, which would lack the cell; the other runs get theirs.

    Returns:
        The exit status: 0; 1 if a run has no table; 2 for arguments that cannot be used; 130 if interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="python -m experiments.report", description=__doc__.splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("run", nargs="*", type=option(FOLDER), help="run folders (all of results/runs)")
    parser.add_argument("--figures", action="store_true", help="draw the figures too")
    options = parser.parse_args(arguments)
    for folder in map(Path, options.run):
        if not (folder / "run.json").is_file():
            parser.error(
                f"{folder} is no run: it has no run.json. Expected folders such as "
                f"{RUNS}/<paper>_<table>/<profile>-<dataset>."
            )
    marks = ("*/*/run.json", "*/*/*/provenance.json")
    found = {path.parents[mark.count("/") - 2] for mark in marks for path in RUNS.glob(mark)}
    folders = list(map(Path, options.run)) or sorted(found)
    if not folders:
        parser.error(f"there is no run below {RUNS.absolute()}. Name run folders, or go to the folder of the project.")
    try:
        return _write_all(folders, options.figures, readme=not options.run)
    except KeyboardInterrupt:
        return 130


def _write_all(folders, figures, readme):
    runs, failed = [], []
    for folder in folders:
        try:
            run = Run(folder)
            reasons = run.damaged
            if not reasons and run.cells:
                print(write(run, figures))
                runs.append(run)
            elif not reasons and not readme:
                reasons = [f"{folder} holds no finished cell."]
        except Exception as error:
            reasons = [failures.explained(error, folder, Path(folder).absolute().parents[1])]
        for reason in reasons:
            failed.append(f"No table: {reason}" if str(folder) in reason else f"No table of {folder}: {reason}")
    if readme and failed:
        failed.append("README.md was left as it is.")
    elif readme:
        markdown.write_readme(runs)
    for reason in failed:
        print(reason, file=sys.stderr)
    return 1 if failed else 0


def write(run, figures=False):
    """Write `table.csv`, `comparison.csv`, `tests.csv`, `table.md` and `report.html` of a run; return the Markdown.

    With `figures`, draw them first. Those whose pictures are not on this machine stay as they are.
    """
    sweep(run.folder)
    for name, digits in DIGITS.items():
        frame = getattr(run, name)
        frame = frame.assign(**{column: frame[column].map(shielded) for column in NAMES if column in frame})
        write_text(run.folder / f"{name}.csv", frame.to_csv(index=False, float_format=digits, lineterminator="\n"))
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
    sweep(folder)
    before = read_captions(run)
    for name, drawn in run.study.draw(run).items():
        if drawn is not None:
            figure, captions[name] = drawn
            with replacing(folder / f"{name}.png") as temporary:
                figure.savefig(temporary, dpi=DPI)
        elif name in before:
            captions[name] = before[name]
    write_json(folder / "captions.json", captions)


def read_captions(run):
    """`{name: caption}` of the figures of a run, in the order of the page.

    Raises:
        DamagedRecord: If the file with them is damaged.
    """
    path = run.folder / "figures" / "captions.json"
    if not path.exists():
        return {}
    try:
        return Mapping(Text()).read(read(path))
    except (BadFile, Mismatch):
        raise DamagedRecord(
            f"{path} is damaged: expected a caption for each figure. Restore it, or remove it and draw the figures "
            f"again: python -m experiments.report --figures {run.folder}"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
