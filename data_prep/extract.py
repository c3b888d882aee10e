"""Unpack an untrusted archive safely."""

import contextlib
import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

MAX_MEMBER = 4 * 2**30
MAX_TOTAL = 200 * 2**30
MAX_MEMBERS = 100_000


class HostileArchive(ValueError):
    """Raised for an archive that is unsafe to unpack: it contains links, devices, outside paths, or is too large."""


class _Member(NamedTuple):
    name: str
    size: int
    kind: str  # "file", "folder" or "other"
    entry: Any


def extract(
    archive: str | os.PathLike,
    folder: str | os.PathLike,
    max_member: int = MAX_MEMBER,
    max_total: int = MAX_TOTAL,
    max_members: int = MAX_MEMBERS,
) -> None:
    """Unpack a tar or zip archive into a new folder.

    All members are checked before the first byte is written. Only files and folders below `folder` are allowed. The
    hidden files of macOS (`._*` and `__MACOSX`) are skipped.

    Args:
        archive: Path of the `.tar`, `.tar.gz` or `.zip` file.
        folder: Folder for the content. It appears only when it is complete.
        max_member: Largest allowed file, in bytes.
        max_total: Largest allowed sum of all files, in bytes.
        max_members: Largest allowed number of members.

    Raises:
        HostileArchive: For links, devices, absolute or parent paths, and sizes over a limit.
        ValueError: If the file is not an archive or ends early.
    """
    archive, folder = Path(archive), Path(folder)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with _opened(archive) as (members, open_entry):
            for member in _checked(members, archive.name, max_member, max_total, max_members):
                target = partial.joinpath(*PurePosixPath(member.name).parts)
                if member.kind == "folder":
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with open_entry(member.entry) as source, open(target, "wb") as output:
                    shutil.copyfileobj(source, output, 2**20)  # Both libraries stop at the declared size.
                if target.stat().st_size != member.size:
                    raise ValueError(f"{archive.name} ends within {member.name}.")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ValueError(f"{archive.name} cannot be unpacked ({error}). Download it again.") from error
    except ValueError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(partial, folder)


@contextlib.contextmanager
def _opened(archive):
    """Yield the members, and a function that opens one."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield (_zip_member(entry) for entry in file.infolist()), file.open
    else:
        with tarfile.open(archive) as file:
            yield (_tar_member(entry) for entry in file), file.extractfile


def _tar_member(entry):
    kind = "file" if entry.isfile() else "folder" if entry.isdir() else "other"
    return _Member(entry.name, entry.size, kind, entry)


def _zip_member(entry):
    # The upper 16 bits contain the Unix mode, if there is one.
    mode = stat.S_IFMT(entry.external_attr >> 16)
    kind = "folder" if entry.is_dir() else "file" if mode in (0, stat.S_IFREG) else "other"
    return _Member(entry.filename, entry.file_size, kind, entry)


def _checked(entries, name, max_member, max_total, max_members):
    members, total = [], 0
    for count, member in enumerate(entries, start=1):
        path = PurePosixPath(member.name)
        if count > max_members:
            raise HostileArchive(f"{name} has more than {max_members} members.")
        if member.kind == "other":
            raise HostileArchive(
                f"{name} holds {member.name!r}, which is a link or a device; expected files and folders."
            )
        if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name:
            raise HostileArchive(f"{name} holds the path {member.name!r}, which leads out of its folder.")
        total += member.size
        if member.size > max_member or total > max_total:
            raise HostileArchive(f"{name} unpacks to more than the limit at {member.name!r} ({member.size} bytes).")
        if not any(part.startswith("._") or part == "__MACOSX" for part in path.parts):
            members.append(member)
    return members
