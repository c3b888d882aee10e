"""Run the type checker on `calls.py` and the stub, and compare its report with the marks in `calls.py`.

    python -m tests.types

Exits with 1 and prints the lines that differ, if any.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CALLS = Path(__file__).with_name("calls.py")
MARK = re.compile(r"# wrong: (\w+)$")


def marks(text):
    """The rule of each line that is marked as wrong, by line number."""
    found = {number: MARK.search(line) for number, line in enumerate(text.splitlines(), start=1)}
    return {number: match[1] for number, match in found.items() if match}


def report():
    """The errors of the type checker: a list of `(file, line number, rule, message)`."""
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise SystemExit(done.stderr)
    return [
        (
            Path(error["file"]),
            error["range"]["start"]["line"] + 1,
            error.get("rule", ""),
            error["message"].splitlines()[0],
        )
        for error in json.loads(done.stdout)["generalDiagnostics"]
        if error["severity"] == "error"
    ]


def differences(marked, errors):
    """What the type checker reports and is not marked, and what is marked and not reported, as lines of text.

    Args:
        marked: The rule of each wrong line of `calls.py`, by line number.
        errors: As from `report`. An error beside the expected one, on a marked line, is none of the differences.
    """
    unexpected = [
        f"{file.name}:{line}: reported, but not marked: {message} ({rule})"
        for file, line, rule, message in errors
        if file != CALLS or line not in marked
    ]
    reported = {(line, rule) for file, line, rule, _ in errors if file == CALLS}
    missed = [
        f"{CALLS.name}:{line}: marked, but not reported: {rule}"
        for line, rule in marked.items()
        if (line, rule) not in reported
    ]
    return unexpected + missed


def main():
    """Compare, print, and return the exit status."""
    marked = marks(CALLS.read_text())
    different = differences(marked, report())
    print("\n".join(different) or f"The type checker reports the {len(marked)} wrong calls and no others.")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
