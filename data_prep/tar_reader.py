"""List and open the members of a tar archive from a stranger, also of one packed with gzip, bzip2 or xz.

`tarfile` reads headers of any size into memory, follows headers of headers without end, fills the holes of sparse
members, and takes a damaged header for the end of the archive. Here headers are small, and an archive has an end.
"""

import bz2
import contextlib
import gzip
import lzma
import os
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

BLOCK = 512
# Bytes of one header of a header (a long name, or pax attributes), and how many may precede one member.
MAX_EXTENSION = 64 * 2**10
MAX_EXTENSIONS = 8
# Bytes of all headers of an archive.
MAX_HEADERS = 256 * 2**20
# Bytes of zeros behind the end.
MAX_PADDING = 64 * 2**20
CHUNK = 2**20
PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
FILE, FOLDER = "file", "folder"
KINDS = {
    b"0": FILE,
    b"\0": FILE,
    b"7": FILE,
    b"5": FOLDER,
    b"1": "a link",
    b"2": "a link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a named pipe",
    b"S": "a sparse file",
}
EXTENSIONS = b"xXgLK"


class DamagedTar(ValueError):
    """Raised for a tar archive that is damaged, or larger in its headers than any real one."""


class Member(NamedTuple):
    """One member. `kind` is `FILE`, `FOLDER`, or says what else it is; `place` is where its content begins."""

    name: str
    size: int
    kind: str
    place: Any


def is_tar(path: str | os.PathLike) -> bool:
    """Whether a file begins like a tar archive, or like a packed file, which may be one."""
    with open(path, "rb") as file:
        block = file.read(BLOCK)
    return _opener(block) is not None or (len(block) == BLOCK and _checksum_is_right(block))


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Yield the unpacked stream of a tar archive."""
    with open(path, "rb") as file:
        opener = _opener(file.read(BLOCK))
        file.seek(0)
        if opener is None:
            yield file
        else:
            with opener(file) as stream:
                yield stream


def members(stream: BinaryIO) -> Iterator[Member]:
    """Yield the members of a tar archive in their order, then verify its end.

    The content of a member is skipped when the next one is asked for, so that a caller may stop at a size.

    Args:
        stream: From `opened`, at its beginning.

    Raises:
        DamagedTar: If a header is damaged or too large, or the archive has no end.
        OSError, EOFError, zlib.error, lzma.LZMAError: If the packed stream is damaged.
    """
    place, headers, extensions, known = 0, 0, 0, {}
    while True:
        stream.seek(place)
        block = stream.read(BLOCK)
        if len(block) < BLOCK:
            raise DamagedTar("it ends early")
        if not any(block):
            if known:
                raise DamagedTar("it ends within a header")
            _check_end(stream)
            return
        if not _checksum_is_right(block):
            raise DamagedTar(f"the header at byte {place} is damaged")
        size, kind = _number(block[124:136], place), block[156:157]
        place += BLOCK
        headers += BLOCK
        if kind in EXTENSIONS:
            extensions += 1
            headers += size
            if not 0 <= size <= MAX_EXTENSION:
                raise DamagedTar(f"the header at byte {place - BLOCK} has {size} bytes; expected a name and attributes")
            if extensions > MAX_EXTENSIONS:
                raise DamagedTar(f"more than {MAX_EXTENSIONS} headers before byte {place} are about one member")
            body = stream.read(size)
            if len(body) < size:
                raise DamagedTar("it ends within a header")
            known |= _extension(kind, body, place)
            place += _padded(size)
            continue
        if headers > MAX_HEADERS:
            raise DamagedTar("its headers are too large")
        name = known.get("path") or _name(block)
        if "size" in known:
            size = _decimal(known["size"], place)
        kind = KINDS.get(kind, "of an unknown kind")
        if kind == FILE and name.endswith("/"):
            kind = FOLDER
        if any(key.startswith("GNU.sparse") for key in known):
            kind = KINDS[b"S"]
        if size < 0:
            raise DamagedTar(f"it gives {name!r} a size of {size} bytes")
        size = size if kind == FILE else 0
        yield Member(name, size, kind, place)
        place += _padded(size)
        extensions, known = 0, {}


def _opener(beginning):
    return next((opener for magic, opener in PACKED.items() if beginning.startswith(magic)), None)


def _checksum_is_right(block):
    """Some old programs sum signed bytes."""
    try:
        expected = int(block[148:156].split(b"\0")[0] or b"0", 8)
    except ValueError:
        return False
    rest = block[:148] + b" " * 8 + block[156:]
    return expected in (sum(rest), sum(struct.unpack("512b", rest)))


def _check_end(stream):
    padding = 0
    while chunk := stream.read(CHUNK):  # To the last byte, since the checksum of a packed stream stands there.
        padding += len(chunk)
        if any(chunk):
            raise DamagedTar(
                "something stands behind its end; archives that were joined have to be unpacked one by one"
            )
        if padding > MAX_PADDING:
            raise DamagedTar("too many zeros stand behind its end")


def _padded(size):
    return -(-size // BLOCK) * BLOCK


def _name(block):
    """The name of a plain header; in the ustar format its beginning may stand in a field of its own."""
    name, prefix = (field.split(b"\0")[0] for field in (block[:100], block[345:500]))
    if prefix and block[257:263] == b"ustar\0":
        name = prefix + b"/" + name
    return _text(name)


def _text(name):
    return name.decode("utf-8", "surrogateescape")


def _number(field, place):
    """A size: octal digits, or a number of 11 bytes behind a byte of 80 or ff (hexadecimal)."""
    if field[0] in (0x80, 0xFF):
        number = int.from_bytes(field[1:], "big")
        return number if field[0] == 0x80 else number - 256 ** (len(field) - 1)
    digits = field.split(b"\0")[0].strip()
    if digits.strip(b"01234567"):
        raise DamagedTar(f"the header at byte {place} has no size")
    return int(digits or b"0", 8)


def _decimal(digits, place):
    if not digits.isascii() or not digits.isdigit() or len(digits) > 20:
        raise DamagedTar(f"the header before byte {place} gives the size {digits[:40]!r}")
    return int(digits)


def _extension(kind, body, place):
    """What a header says of the member behind it: its name and size."""
    if kind == b"L":
        return {"path": _text(body.split(b"\0")[0])}
    if kind == b"K":
        return {}
    values = {key: value for key, value in _records(body, place) if key in ("path", "size") or "sparse" in key}
    if kind == b"g" and values:
        raise DamagedTar(f"the header at byte {place} gives all members one {next(iter(values))}")
    return values


def _records(body, place):
    """The attributes of a pax header: `<length of the record> <key>=<value>` and a line end, one behind the other."""
    at = 0
    while at < len(body) and body[at]:
        space = body.find(b" ", at, at + 8)
        digits = body[at : max(space, at)]
        end = at + int(digits) if digits.isdigit() else 0
        if not space + 1 < end <= len(body) or body[end - 1 : end] != b"\n":
            raise DamagedTar(f"the header at byte {place} is damaged")
        key, _, value = body[space + 1 : end - 1].partition(b"=")
        yield _text(key), _text(value)
        at = end
