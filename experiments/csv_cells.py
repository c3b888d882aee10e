"""CSV files that spreadsheets can open: text that begins like a formula is written with an apostrophe before it."""

import csv
import io
from pathlib import Path

from keras_uq.files import write_text

# Spreadsheets run a cell that begins with one of the first six. The apostrophe is shielded too, so that reading gives
# back any text.
SHIELDED = ("=", "+", "-", "@", "\t", "\r", "'")


def shielded(value):
    """A value as it stands in a CSV file. Numbers, and text that is a number, stay as they are."""
    if not isinstance(value, str) or not value.startswith(SHIELDED):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def unshielded(text):
    """The text that `shielded` was given."""
    return text[1:] if text.startswith("'") else text


def write_csv(path, rows):
    """Write dictionaries of one set of keys as CSV; of no dictionaries, an empty file."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: shielded(value) for key, value in row.items()} for row in rows)
    write_text(Path(path), text.getvalue())
