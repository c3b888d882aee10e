"""Unpack an archive that nobody has vouched for."""

import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath

MAX_MEMBER = 4 * 2**30
MAX_TOTAL = 200 * 2**30
MAX_MEMBERS = 100_000


class HostileArchive(ValueError):
    """An archive that tries something no dataset needs."""


def extract_tar(archive, folder, max_member=MAX_MEMBER, max_total=MAX_TOTAL, max_members=MAX_MEMBERS):
    """Unpack a tar archive into a new folder.

    Every member is looked at before the first byte is written. Only files and folders below `folder` are allowed.
    Hidden files (`._*`, companions that macOS leaves) are skipped.

    Args:
        archive: Path of the `.tar`, `.tar.gz`, ...
        folder: Folder that will hold the content. It appears whole or not at all.
        max_member: Largest file, in bytes.
        max_total: Sum of all files, in bytes.
        max_members: Number of members.

    Raises:
        HostileArchive: For links, devices, absolute or parent paths, and sizes over a limit.
        ValueError: If the file is no tar archive or ends early.
    """
    archive, folder = Path(archive), Path(folder)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with tarfile.open(archive) as tar:
            members = _checked(tar, archive.name, max_member, max_total, max_members)
            for member in members:
                target = partial.joinpath(*PurePosixPath(member.name).parts)
                if member.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with tar.extractfile(member) as source, open(target, "wb") as output:
                    shutil.copyfileobj(source, output, 2**20)
                if target.stat().st_size != member.size:
                    raise ValueError(f"{archive.name} ends within {member.name}.")
    except (tarfile.TarError, EOFError, OSError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ValueError(f"{archive.name} cannot be unpacked ({error}). Download it again.") from error
    except ValueError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(partial, folder)


def _checked(tar, name, max_member, max_total, max_members):
    members, total = [], 0
    for count, member in enumerate(tar, start=1):
        path = PurePosixPath(member.name)
        if count > max_members:
            raise HostileArchive(f"{name} has more than {max_members} members.")
        if not (member.isfile() or member.isdir()):
            raise HostileArchive(
                f"{name} holds {member.name!r}, which is a link or a device; expected files and folders."
            )
        if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name:
            raise HostileArchive(f"{name} holds the path {member.name!r}, which leads out of its folder.")
        total += member.size
        if member.size > max_member or total > max_total:
            raise HostileArchive(f"{name} unpacks to more than the limit at {member.name!r} ({member.size} bytes).")
        if not any(part.startswith("._") for part in path.parts):
            members.append(member)
    return members
