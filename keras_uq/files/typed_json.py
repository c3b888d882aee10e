"""Read JSON that we or strangers wrote: every error names the file, the field, what was expected and received."""

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from keras_uq._kinds import Kind, Mismatch, shown

# Larger JSON than this is none of ours.
MAX_BYTES = 64 * 2**20


class BadFile(ValueError):
    """Raised for a file whose content is not what it should be."""


def parse(text: str | bytes, source: str | os.PathLike, once: bool = False) -> Any:
    """Return the value of JSON text.

    Args:
        text: The text.
        source: File that errors name.
        once: Whether no field may stand twice in an object; otherwise the last one counts, as in Python.

    Raises:
        BadFile: If it is no JSON.
    """
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        return json.loads(text, object_pairs_hook=_fields if once else None)
    except json.JSONDecodeError as error:
        reason = f"{error.msg[:1].lower()}{error.msg[1:]}"
        raise BadFile(f"{source} is not JSON: {reason} in line {error.lineno}, column {error.colno}.") from None
    except UnicodeDecodeError:
        raise BadFile(f"{source} is not JSON: it is not text in UTF-8.") from None
    except RecursionError:
        raise BadFile(f"{source} is not JSON of ours: it is nested too deeply.") from None
    except ValueError as error:  # An integer of more digits than Python converts.
        raise BadFile(f"{source} cannot be read: {error}.") from None


def _fields(pairs):
    fields = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError(f"the field {shown(name)} stands twice")
        fields[name] = value
    return fields


def read(path: str | os.PathLike, max_bytes: int = MAX_BYTES) -> Any:
    """Return the value of a JSON file.

    Raises:
        BadFile: If it is no regular file (reading a pipe would never end), no JSON, or larger than `max_bytes`.
        OSError: If it cannot be read.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise BadFile(f"{path} is not JSON: it is no regular file.")
    with open(path, "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise BadFile(f"{path} has more than {max_bytes} bytes, which no JSON of ours has.")
    return parse(content, path)


def check(
    value: Any, table: dict[str, Kind], source: str | os.PathLike, optional: Collection[str] = (), others: bool = False
) -> dict[str, Any]:
    """Return the fields of a JSON object, each in its plain type.

    Args:
        value: What `read` or `parse` returned.
        table: `{field: its kind}`.
        source: File that errors name.
        optional: Fields that may be absent; they are then absent from the result.
        others: Whether further fields are allowed. They are left out of the result.

    Raises:
        BadFile: If the value is no object, lacks a field, has an unknown one, or one of another kind.
    """
    if not isinstance(value, dict):
        raise BadFile(f"{source}: expected an object with {', '.join(table)}. Received: {shown(value)}.")
    missing = [name for name in table if name not in value and name not in optional]
    if missing:
        raise BadFile(f"{source} lacks {', '.join(missing)}. Received: {shown(sorted(value))}.")
    unknown = sorted(set(value) - set(table))
    if unknown and not others:
        raise BadFile(f"{source} holds unknown fields {shown(unknown)}. Expected: {', '.join(table)}.")
    fields = {}
    for name, kind in table.items():
        if name in value:
            try:
                fields[name] = kind.read(value[name])
            except Mismatch:
                raise BadFile(f"{source}: expected `{name}` to be {kind}. Received: {shown(value[name])}.") from None
    return fields
