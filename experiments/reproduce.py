"""What `make reproduce-...` starts: one table, or all tables of a paper, with the settings of the environment.

    TARGET=table4 PAPER=yeung2021 SPLIT=sequences python -m experiments.reproduce

make hands the settings over through the environment, since text in a recipe would be run by the shell.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent
PAPER = "kethavath2025"
# Each is an option of the same name of a table's command line.
SETTINGS = "PROFILE DATA DATASET SEEDS ROW SEED EPOCHS FILTERS LOSS FOREGROUND SPLIT".split()


def main(environment=os.environ):
    """Run the table or the paper that `TARGET` names, each table in its own process: one that fails stops no other.

    Args:
        environment: `TARGET` is a paper, or a table of `PAPER`; each of `SETTINGS` that is not empty becomes an option.

    Returns:
        The exit status: the highest of the tables; 2 if there is no such paper or table; 130 if interrupted.
    """
    try:
        modules = find_tables(environment.get("TARGET", ""), environment.get("PAPER") or PAPER)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    options = [f"--{name.lower()}={environment[name]}" for name in SETTINGS if environment.get(name)]
    statuses = []
    for paper, table in modules:
        if len(modules) > 1:
            print(f"{paper}, {table}", flush=True)
        try:
            status = subprocess.run([sys.executable, "-m", f"experiments.{paper}.{table}", *options]).returncode
        except KeyboardInterrupt:
            return 130
        statuses.append(status if status >= 0 else 128 - status)  # As a shell counts those ended by a signal.
    return max(statuses)


def find_tables(target, paper):
    """The tables that are meant, as `[(paper, table), ...]`: those of a paper, or one of `paper`.

    Raises:
        ValueError: If there is no such paper or table; the message lists those that there are.
    """
    tables = {}
    for path in sorted(ROOT.glob("*/table*.py")):
        tables.setdefault(path.parent.name, []).append(path.stem)
    if target in tables:
        return [(target, table) for table in tables[target]]
    if target in tables.get(paper, ()):
        return [(paper, target)]
    listed = "\n".join(f"  {name}: {', '.join(names)}" for name, names in tables.items())
    wrong = f"{paper!r} has no table {target!r}" if paper in tables else f"There is no paper {paper!r}"
    raise ValueError(
        f"{wrong}. Expected `make reproduce-<table> PAPER=<paper>`, or `make reproduce-<paper>` for all its tables:\n"
        f"{listed}"
    )


if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="make reproduce-<table>", description=__doc__.splitlines()[0], epilog=f"Settings: {', '.join(SETTINGS)}."
    ).parse_args()
    # Without this, the table would run on. As it is, `subprocess.run` ends it.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(main())
