"""Tar archives of every dialect are listed like `tarfile` lists them, and nothing that it lets pass is let pass."""

import gzip
import io
import lzma
import tarfile

import pytest

from data_prep import tar_reader
from data_prep.extract import HostileArchive, extract

LONG = "task/" + "folder/" * 20 + "n" * 150
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "GNU": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def header(name, size=0, kind=b"0", **fields):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    for place, value in fields.get("patch", {}).items():
        block[place : place + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(content):
    return content + bytes(-len(content) % 512)


def record(key, value):
    text = f" {key}={value}\n"
    length = len(text) + 2
    return f"{length}{text}".encode()


FILE = header("task/file", 4) + padded(b"good")
END = bytes(1024)


def listed(path):
    with tar_reader.opened(path) as stream:
        return list(tar_reader.members(stream))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_members_are_those_of_tarfile(form, mode, tmp_path):
    names = ["task/a", "task/sub/ä ö.txt", "task/" + "p" * 90 + "/" + "n" * 90]
    names += [] if form == tarfile.USTAR_FORMAT else [LONG]
    with tarfile.open(tmp_path / "archive", mode, format=form) as archive:
        folder = tarfile.TarInfo("./task")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for number, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.size = 511 + number
            info.mtime = 1.5  # Makes pax write a header.
            archive.addfile(info, io.BytesIO(bytes([number]) * info.size))
    with tarfile.open(tmp_path / "archive") as archive:
        expected = [(m.name, m.size, m.isdir(), m.offset_data) for m in archive]
    assert [(m.name.rstrip("/"), m.size, m.kind == "folder", m.place) for m in listed(tmp_path / "archive")] == expected
    extract(tmp_path / "archive", tmp_path / "out")
    for number, name in enumerate(names):
        assert (tmp_path / "out" / name).read_bytes() == bytes([number]) * (511 + number)


def test_a_size_in_base_256(tmp_path):
    block = header("task/a", 4, patch={124: b"\x80" + bytes(10) + b"\4"})
    (tmp_path / "a.tar").write_bytes(block + padded(b"good") + END)
    assert listed(tmp_path / "a.tar")[0].size == 4


GLOBAL = record("comment", "made by git")


def test_a_comment_for_all_members_is_no_harm(tmp_path):
    (tmp_path / "a.tar").write_bytes(header("g", len(GLOBAL), b"g") + padded(GLOBAL) + FILE + END)
    assert [member.name for member in listed(tmp_path / "a.tar")] == ["task/file"]


NAME_OF_ALL, HOLES = record("path", "x" * 20), record("GNU.sparse.map", "0,512,3221225472,0")
DAMAGED = {
    "no end": FILE,
    "cut in its content": FILE[:514],
    "cut in a header": FILE + FILE[:100],
    "damaged header": FILE + FILE[:20] + b"\xff" + FILE[21:] + END,
    "two archives joined": FILE + END + FILE + END,
    "negative size": FILE + header("task/a", patch={124: b"\xff" * 12}) + END,
    "a size that is no number": header("task/a", patch={124: b"12x45678901\0"}) + END,
    "a long name without a member": FILE + header("l", 5, b"L") + padded(b"name\0") + END,
    "a header without an end": header("x", 100, b"x"),
    "headers of headers": (header("l", 5, b"L") + padded(b"name\0")) * 2000 + FILE + END,
    "a large header": header("x", 2**16 + 1, b"x") + bytes(2**16 + 512) + FILE + END,
    "a header of digits": header("x", 2**15, b"x") + b"1" * 2**15 + FILE + END,
    "a record that ends before it begins": header("x", 8, b"x") + padded(b"2 a=b\n\n\n") + FILE + END,
    "a name for all members": header("g", len(NAME_OF_ALL), b"g") + padded(NAME_OF_ALL) + FILE + END,
    "zeros without an end": FILE + bytes(2**21),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_archives_are_refused_and_leave_nothing(content, tmp_path, monkeypatch):
    monkeypatch.setattr(tar_reader, "MAX_PADDING", 2**20)
    for pack in (bytes, gzip.compress):
        (tmp_path / "a.tar").write_bytes(pack(content))
        with pytest.raises(ValueError, match=r"a\.tar cannot be unpacked: .*Download it again"):
            extract(tmp_path / "a.tar", tmp_path / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


SPARSE = {
    "old": header("task/hole", 512, b"S") + bytes(512),
    "pax": header("x", len(HOLES), b"x") + padded(HOLES) + FILE,
}


@pytest.mark.parametrize("content", SPARSE.values(), ids=SPARSE)
def test_sparse_members_are_refused(content, tmp_path):
    (tmp_path / "a.tar").write_bytes(content + END)
    with pytest.raises(HostileArchive, match="a sparse file"):
        extract(tmp_path / "a.tar", tmp_path / "out")


def test_all_headers_together_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(tar_reader, "MAX_HEADERS", 5000)
    (tmp_path / "a.tar").write_bytes(FILE * 9 + END)
    assert len(listed(tmp_path / "a.tar")) == 9
    (tmp_path / "a.tar").write_bytes(FILE * 10 + END)
    with pytest.raises(tar_reader.DamagedTar, match="too large"):
        listed(tmp_path / "a.tar")


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress], ids=["gzip", "xz"])
def test_a_damaged_checksum_behind_the_last_member_is_found(pack, tmp_path):
    """It stands behind all that a reader of the members needs."""
    content = bytearray(pack(FILE + END))
    content[-6 if pack is gzip.compress else -13] ^= 1
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(ValueError, match="cannot be unpacked"):
        extract(tmp_path / "a.tar", tmp_path / "out")
    (tmp_path / "a.tar").write_bytes(pack(FILE + END)[:-4])
    with pytest.raises(ValueError, match="cannot be unpacked"):
        extract(tmp_path / "a.tar", tmp_path / "out")
