"""Unpack an archive from a stranger: whole and as it is, or not at all."""

import contextlib
import errno
import os
import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable
from lzma import LZMAError
from pathlib import Path

from data_prep import tar_reader
from data_prep.tar_reader import FILE, FOLDER, Member
from keras_uq.files import gibibytes, naming

MAX_MEMBER = 4 * 2**30
MAX_TOTAL = 200 * 2**30
MAX_MEMBERS = 100_000
# What an archive unpacks to, as a multiple of its size. Images and masks shrink by less; small archives may by more.
MAX_RATIO = 200
ANY_RATIO = 2**30
# Bytes of the list of contents of a zip file, about 160 a member.
MAX_DIRECTORY = 16 * 2**20
CHUNK = 2**20
# What the readers of damaged archives raise.
UNREADABLE = (
    tar_reader.DamagedTar,
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    MemoryError,
)
# Files that people take for tar or zip archives, by their first bytes.
OTHERS = {
    b"Rar!": "a RAR archive. Unpack it with unar or 7z, and give the folder",
    b"7z\xbc\xaf": "a 7z archive. Unpack it with 7z, and give the folder",
    b"<": "a web page. Log in where it comes from, and download the archive itself",
}
# Names that Windows keeps for devices, and characters that it has in no name.
DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f<>"|?*]')
LONGEST_PART, LONGEST_NAME = 255, 1000


class HostileArchive(ValueError):
    """Raised for an archive that is unsafe to unpack: it contains links, devices, outside paths, or is too large."""


def extract(
    archive: str | os.PathLike,
    folder: str | os.PathLike,
    max_member: int = MAX_MEMBER,
    max_total: int = MAX_TOTAL,
    max_members: int = MAX_MEMBERS,
) -> None:
    """Unpack a tar or zip archive into a new folder.

    All members are listed and checked before the first byte is written. Only files and folders below `folder` are
    allowed, with names that every system can write. The hidden files of macOS (`._*` and `__MACOSX`) are skipped. The
    checksums of zip members and of packed tar archives are verified, and a tar archive must have its end.

    Args:
        archive: Path of the `.tar`, `.tar.gz` or `.zip` file.
        folder: Folder for the content. It appears only when it is complete.
        max_member: Largest allowed file, in bytes.
        max_total: Largest allowed sum of all files, in bytes. Over 1 GiB, 200 times the archive is the limit too.
        max_members: Largest allowed number of members.

    Raises:
        HostileArchive: For links, devices, absolute or parent paths, names that stand for one file, and sizes over a
            limit.
        ValueError: If the file is not an archive, or is damaged.
        OSError: If the folder cannot be written, or the disk has no room; nothing is left there.
    """
    archive, folder = Path(archive), Path(folder)
    partial = folder.with_name(folder.name + ".partial")
    with contextlib.ExitStack() as stack:
        with _reading(archive):
            members, content = stack.enter_context(_opened(archive))
            listed = _checked(members, archive, max_member, max_total, max_members)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            _check_room(partial, archive, listed)
            for member in listed:
                _write(member, content, partial, archive)
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(partial, folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


@contextlib.contextmanager
def _opened(archive):
    """Yield the members, and a function that opens the content of one; those of a tar archive from front to back."""
    if _is_zip(archive):
        with open(archive, "rb") as file:
            zipped = zipfile.ZipFile(_SmallReads(file))
            yield map(_zip_member, zipped.infolist()), lambda member: zipped.open(member.place)
    else:
        with tar_reader.opened(archive) as stream:

            def content(member):
                stream.seek(member.place)
                return contextlib.nullcontext(stream)

            yield tar_reader.members(stream), content


def _zip_member(entry):
    # The upper 16 bits contain the Unix mode, if there is one.
    mode = stat.S_IFMT(entry.external_attr >> 16)
    kind = FOLDER if entry.is_dir() else FILE if mode in (0, stat.S_IFREG) else "a link or a device"
    if entry.flag_bits & 1:
        kind = "encrypted"
    return Member(entry.orig_filename, entry.file_size, kind, entry)


class _SmallReads:
    """A file that gives no more than `MAX_DIRECTORY` bytes at once: `zipfile` reads the list of contents whole."""

    def __init__(self, file):
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self.seek, self.tell, self.close, self.seekable = file.seek, file.tell, file.close, file.seekable

    def read(self, size=-1):
        if (self._size if size is None or size < 0 else size) > MAX_DIRECTORY:
            size = self._size - self._file.tell()
            if size > MAX_DIRECTORY:
                raise HostileArchive(f"its list of contents is longer than {gibibytes(MAX_DIRECTORY)}")
        return self._file.read(size)


def _is_zip(archive):
    """Judged by the first bytes: the end of a tar archive may be the zip file that is its last member."""
    with open(archive, "rb") as file:
        beginning = file.read(4)
    if beginning in (b"PK\3\4", b"PK\5\6"):
        return True
    if tar_reader.is_tar(archive):
        return False
    if zipfile.is_zipfile(archive):  # One that unpacks itself begins with a program.
        return True
    for magic, what in OTHERS.items():
        if beginning.lstrip().startswith(magic):
            raise ValueError(f"it is {what}")
    raise ValueError("it is no tar or zip archive" if beginning else "it is empty")


@contextlib.contextmanager
def _reading(archive):
    """What goes wrong while an archive is read is said in one way."""
    try:
        yield
    except HostileArchive as error:
        raise HostileArchive(f"{archive.name} is refused: {error}.") from error
    except FileNotFoundError:
        raise
    except UNREADABLE as error:
        reason = str(error) or type(error).__name__
        advice = "" if "give the folder" in reason or "Log in" in reason else " Download it again."
        raise ValueError(f"{archive.name} cannot be unpacked: {reason.rstrip('.')}.{advice}") from error


def _checked(entries: Iterable[Member], archive, max_member, max_total, max_members):
    """The members to write. All are judged before one is written, each before the next is looked for."""
    listed, paths, total = [], _Paths(), 0
    packed = archive.stat().st_size
    for count, member in enumerate(entries, start=1):
        name, parts = member.name, _parts(member.name)
        if count > max_members:
            raise HostileArchive(f"it has more than {max_members} members")
        if member.kind not in (FILE, FOLDER):
            raise HostileArchive(f"it holds {name!r}, which is {member.kind}; expected files and folders")
        if name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
            raise HostileArchive(f"it holds the path {name!r}, which leads out of its folder")
        total += member.size
        if member.size > max_member or total > max_total:
            raise HostileArchive(f"it unpacks to more than the limit at {name!r} ({member.size} bytes)")
        if total > max(MAX_RATIO * packed, ANY_RATIO):
            raise HostileArchive(
                f"it unpacks to more than {MAX_RATIO} times its size at {name!r} ({member.size} bytes); pack it anew, "
                "its files compressed, if that is right"
            )
        if any(part.startswith("._") or part == "__MACOSX" for part in parts):
            continue
        if not parts and member.kind == FOLDER:
            continue  # The archive's own folder.
        _check_name(name, parts)
        paths.add(name, parts, member.kind)
        listed.append(member)
    if not any(member.kind == FILE for member in listed):
        raise ValueError("it holds no files")
    return listed


def _parts(name):
    return tuple(part for part in name.split("/") if part not in ("", "."))


def _check_name(name, parts):
    """Refuse what is no file name on Linux, macOS and Windows alike."""
    try:
        longest = max((len(part.encode()) for part in parts), default=0)
    except UnicodeEncodeError:
        raise HostileArchive(f"it holds the name {name!r}, which is not in UTF-8") from None
    if not parts:
        raise HostileArchive(f"it holds a file with the name {name!r}")
    if longest > LONGEST_PART or len(name) > LONGEST_NAME:
        raise HostileArchive(f"it holds the name {name[:60]!r}..., which is longer than file names are")
    if NOT_IN_NAMES.search(name):
        raise HostileArchive(f"it holds the name {name!r}, which has a character that not all systems have in names")
    if any(DEVICE.fullmatch(part) or part[-1] in ". " for part in parts):
        raise HostileArchive(f"it holds the name {name!r}, which Windows cannot write")


class _Paths:
    """All paths of an archive: no two of them may be one file, also where capitals do not count."""

    def __init__(self):
        self._known = {}

    def add(self, name, parts, kind):
        """Take a member's path and the folders above it. Raises `HostileArchive` for one that is taken."""
        key = ""
        for depth, part in enumerate(parts, start=1):
            key += "/" + (part.lower() if part.isascii() else unicodedata.normalize("NFC", part).casefold())
            entry = parts[:depth], kind if depth == len(parts) else FOLDER
            known = self._known.setdefault(key, entry)
            if known[0] != entry[0]:
                raise HostileArchive(
                    f"it holds {name!r} and {'/'.join(known[0])!r}, which are one name on some systems"
                )
            if known[1] != entry[1]:
                raise HostileArchive(f"it holds {'/'.join(known[0])!r} as a file and as a folder")
            if known is not entry and depth == len(parts) and kind == FILE:
                raise HostileArchive(f"it holds {name!r} twice")


def _check_room(folder, archive, listed):
    """Whether all files fit on the disk, each in whole blocks of 4 KiB."""
    total = sum(-(-member.size // 4096) * 4096 for member in listed)
    if total > shutil.disk_usage(folder).free:
        reason = f"{os.strerror(errno.ENOSPC)}: {archive.name} unpacks to {gibibytes(total)}"
        raise OSError(errno.ENOSPC, reason, str(folder))


def _write(member, content, folder, archive):
    target = folder.joinpath(*_parts(member.name))
    if member.kind == FOLDER:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with _reading(archive):
            source = stack.enter_context(content(member))
        with naming(target), open(target, "xb") as output:
            left = member.size
            while left:
                with _reading(archive):  # With its last byte, the checksum of a zip member is compared.
                    chunk = source.read(min(left, CHUNK))
                    if not chunk:
                        raise ValueError(f"it ends within {member.name!r}")
                output.write(chunk)
                left -= len(chunk)
