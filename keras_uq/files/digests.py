"""What a file contains, as its sha256, taken again only when the file may have changed."""

import hashlib
import os
from pathlib import Path
from typing import Any

# What else is noted of a file beside its sha256: name here -> field of `os.stat_result`.
NOTED = {"size": "st_size", "modified_ns": "st_mtime_ns", "changed_ns": "st_ctime_ns", "inode": "st_ino"}


def sha256(path: str | os.PathLike) -> str:
    """Return the hexadecimal sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp(path: str | os.PathLike, noted: Any = None) -> dict[str, Any]:
    """Return what identifies the content of a file.

    Args:
        path: File.
        noted: An earlier stamp of this path. Its sha256 is believed if size, modification time, change time and inode
            are still those; otherwise the file is read again. Anything that is no stamp is ignored.

    Returns:
        JSON types: `sha256`, `size` in bytes, `modified_ns`, `changed_ns` and `inode`. Two stamps are of the same
        content if their `sha256` is the same, whatever the rest.

    Raises:
        OSError: If the file cannot be read.
    """
    status = os.stat(path)
    facts = {name: getattr(status, field) for name, field in NOTED.items()}
    if isinstance(noted, dict) and isinstance(noted.get("sha256"), str):
        if all(noted.get(name) == value for name, value in facts.items()):
            return {"sha256": noted["sha256"], **facts}
    return {"sha256": sha256(path), **facts}


def stamps(folder: str | os.PathLike, noted: Any = None) -> dict[str, dict[str, Any]]:
    """Return the stamp of every file of a folder, `{path below the folder: stamp}`, sorted, without hidden files.

    Args:
        folder: Folder. Links are followed, a folder with several names under one of them.
        noted: Earlier stamps of this folder.
    """
    folder, noted = Path(folder), noted if isinstance(noted, dict) else {}
    found, walked = {}, {_identity(folder)}
    for root, folders, names in os.walk(folder, followlinks=True):
        # A link may lead to a folder above it, or to one that was walked already.
        inside = [(name, _identity(Path(root) / name)) for name in sorted(folders) if not name.startswith(".")]
        folders[:] = [name for name, identity in inside if identity not in walked]
        walked.update(identity for _, identity in inside)
        for name in names:
            path = Path(root) / name
            if not name.startswith(".") and path.is_file():
                below = path.relative_to(folder).as_posix()
                found[below] = stamp(path, noted.get(below))
    return dict(sorted(found.items()))


def _identity(folder):
    status = os.stat(folder)
    return status.st_dev, status.st_ino
