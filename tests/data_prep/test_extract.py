"""Archives that try something are refused before a byte is written."""

import errno
import shutil
import stat
import tarfile
import zipfile

import pytest

from data_prep import extract as extract_module
from data_prep.extract import HostileArchive, extract


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


HOSTILE = {
    "symbolic link": special("task/link", tarfile.SYMTYPE, "/etc/passwd"),
    "hard link": special("task/link", tarfile.LNKTYPE, "task/file"),
    "device": special("task/null", tarfile.CHRTYPE),
    "fifo": special("task/pipe", tarfile.FIFOTYPE),
    "absolute path": ("/evil", b"x"),
    "parent path": ("task/../../evil", b"x"),
    "windows path": ("task\\..\\..\\evil", b"x"),
    "drive": ("C:/evil", b"x"),
}


@pytest.mark.parametrize("member", HOSTILE.values(), ids=HOSTILE)
def test_hostile_members_are_refused(make_tar, tmp_path, member):
    archive = make_tar([("task/file", b"good"), member])
    with pytest.raises(HostileArchive, match=r"archive\.tar"):
        extract(archive, tmp_path / "out" / "task")
    assert not (tmp_path / "out").exists()


def test_limits_on_size_and_number(make_tar, tmp_path):
    archive = make_tar([(f"task/{number}", b"12345678") for number in range(4)])
    for limits in ({"max_member": 7}, {"max_total": 30}, {"max_members": 3}):
        with pytest.raises(HostileArchive):
            extract(archive, tmp_path / "out", **limits)
        assert not (tmp_path / "out").exists()
    extract(archive, tmp_path / "out", max_member=8, max_total=32, max_members=4)
    assert sorted(file.name for file in (tmp_path / "out" / "task").iterdir()) == list("0123")


def test_hidden_companions_are_skipped_and_content_is_exact(make_tar, tmp_path):
    archive = make_tar(
        [special("task", tarfile.DIRTYPE), ("task/a", b"content"), ("task/._a", b"junk"), ("._task", b"")]
    )
    extract(archive, tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").rglob("*")] == ["task", "a"]
    assert (tmp_path / "out" / "task" / "a").read_bytes() == b"content"


def test_damaged_archives_leave_nothing(make_tar, tmp_path):
    archive = make_tar([("task/a", b"x" * 10_000), ("task/b", b"y" * 10_000)])
    archive.write_bytes(archive.read_bytes()[:12_000])
    with pytest.raises(ValueError, match="Download it again|ends within"):
        extract(archive, tmp_path / "out")
    archive.write_bytes(b"no archive at all")
    with pytest.raises(ValueError, match="cannot be unpacked"):
        extract(archive, tmp_path / "out")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["archive.tar"]


def make_zip(path, members, change=None):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            if change:
                change(info)
            file.writestr(info, content)
    return path


def test_zip_archives_pass_the_same_checks(tmp_path):
    archive = make_zip(
        tmp_path / "a.zip",
        [("task/a", b"content"), ("task/sub/b", b"c"), ("task/._a", b"junk"), ("__MACOSX/task/a", b"junk")],
    )
    extract(archive, tmp_path / "out")
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files == {"task/a", "task/sub/b"}
    assert (tmp_path / "out" / "task" / "a").read_bytes() == b"content"
    for name in ("/evil", "task/../../evil", "C:/evil"):
        with pytest.raises(HostileArchive, match="leads out"):
            extract(make_zip(tmp_path / "bad.zip", [("task/a", b"x"), (name, b"x")]), tmp_path / "bad")

    def link(info):
        info.external_attr = (stat.S_IFLNK | 0o777) << 16

    with pytest.raises(HostileArchive, match="link or a device"):
        extract(make_zip(tmp_path / "link.zip", [("task/link", b"/etc/passwd")], link), tmp_path / "bad")
    with pytest.raises(HostileArchive, match="limit"):
        extract(archive, tmp_path / "bad", max_member=3)
    archive.write_bytes(archive.read_bytes()[:60])
    with pytest.raises(ValueError, match="cannot be unpacked"):
        extract(archive, tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_a_zip_that_lies_about_a_size_stays_within_it(tmp_path):
    """A bomb: the header declares few bytes, the stream holds many."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("task/a", b"0" * 10_000_000)
    content = path.read_bytes()
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.index(signature) + place
        content = content[:at] + (1000).to_bytes(4, "little") + content[at + 4 :]
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be unpacked|ends within"):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


NAMES = {
    "empty": "",
    "dot": ".",
    "long part": "task/" + "n" * 256,
    "long": "task/" + "folder/" * 200 + "x",
    "line break": "task/a\nb",
    "device of Windows": "task/aux.txt",
    "dot at the end": "task/a.",
    "space at the end": "task /a",
    "wildcard": "task/a*",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_that_some_system_cannot_write_are_refused(make_tar, tmp_path, name):
    archive = make_tar([("task/file", b"good"), (name, b"x")])
    with pytest.raises(HostileArchive, match=r"archive\.tar is refused: .*name"):
        extract(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["archive.tar"]


PAIRS = {
    "twice": (("task/a", "task/a"), "twice"),
    "twice with a detour": (("task/a", "task/./a"), "twice"),
    "file and folder": (("task/a", "task/a/b"), "as a file and as a folder"),
    "folder and file": (("task/a/b", "task/a"), "as a file and as a folder"),
    "capitals": (("task/a", "task/A"), "one name on some systems"),
    "capitals of a folder": (("Task/a", "task/b"), "one name on some systems"),
    "composed": (("task/\u00e9", "task/e\u0301"), "one name on some systems"),
}


@pytest.mark.parametrize(("names", "message"), PAIRS.values(), ids=PAIRS)
def test_two_names_of_one_file_are_refused(make_tar, tmp_path, names, message):
    archive = make_tar([(name, b"x") for name in names])
    with pytest.raises(HostileArchive, match=message):
        extract(archive, tmp_path / "out")


def test_names_of_other_languages_and_markup_are_names(make_tar, tmp_path):
    names = ["täsk/[bold]ä", "täsk/脑 1", "täsk/=a"]
    extract(make_tar([(name, name.encode()) for name in names]), tmp_path / "out ü")
    for name in names:
        assert (tmp_path / "out ü" / name).read_bytes() == name.encode()


def test_an_archive_of_nothing_is_refused(make_tar, tmp_path):
    for members in ([], [special("task", tarfile.DIRTYPE)], [("__MACOSX/a", b"x")]):
        with pytest.raises(ValueError, match="holds no files|cannot be unpacked"):
            extract(make_tar(members), tmp_path / "out")


def test_what_unpacks_to_far_more_than_its_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(extract_module, "ANY_RATIO", 2**20)
    for name, size in (("small", 2**20), ("bomb", 2**20 + 1)):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("task/a", bytes(size))
    extract(tmp_path / "small", tmp_path / "out")
    with pytest.raises(HostileArchive, match="200 times its size"):
        extract(tmp_path / "bomb", tmp_path / "bad")


def test_what_the_disk_has_no_room_for_is_not_begun(make_tar, tmp_path, monkeypatch):
    archive = make_tar([("task/a", b"x" * 4097), ("task/b", b"x")])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(2**20, 0, 3 * 4096 - 1))
    with pytest.raises(OSError, match=r"No space left.*unpacks to 12\.0 KiB") as caught:
        extract(archive, tmp_path / "out")
    assert caught.value.filename == str(tmp_path / "out.partial")
    assert [path.name for path in tmp_path.iterdir()] == ["archive.tar"]


def test_a_disk_that_fills_up_leaves_nothing_and_is_not_the_archives_fault(make_tar, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(extract_module, "open", lambda path, mode: full() if "x" in mode else open(path, mode), False)
    with pytest.raises(OSError, match="No space left") as caught:
        extract(make_tar([("task/a", b"x")]), tmp_path / "out")
    assert caught.value.filename == str(tmp_path / "out.partial" / "task" / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["archive.tar"]


def test_a_tar_archive_that_ends_in_a_zip_file_is_a_tar_archive(make_tar, tmp_path):
    inner = make_zip(tmp_path / "inner.zip", [("other", b"x")])
    extract(make_tar([("task/a", b"content"), ("task/inner.zip", inner.read_bytes())]), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out" / "task").iterdir()) == ["a", "inner.zip"]


OTHERS = {b"Rar!\x1a\x07\0": "unar", b"7z\xbc\xaf\x27\x1c": "7z archive", b"<!DOCTYPE html>": "web page", b"": "empty"}


@pytest.mark.parametrize("content", OTHERS, ids=OTHERS.values())
def test_what_is_often_taken_for_an_archive_is_named(content, tmp_path):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ValueError, match=OTHERS[content]):
        extract(tmp_path / "a.zip", tmp_path / "out")


def test_damaged_and_locked_zip_files_leave_nothing(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("task/a", bytes(range(256)) * 40)
    good = path.read_bytes()
    path.write_bytes(good[:36] + b"\xff" * 60 + good[96:])
    with pytest.raises(ValueError, match="cannot be unpacked"):
        extract(path, tmp_path / "out")
    locked = bytearray(good)
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[good.index(signature) + place] |= 1
    path.write_bytes(locked)
    with pytest.raises(HostileArchive, match="encrypted"):
        extract(path, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_long_list_of_contents_is_not_read(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", [(f"task/{number}", b"") for number in range(20)] + [("task/a", b"x")])
    extract(archive, tmp_path / "out")
    monkeypatch.setattr(extract_module, "MAX_DIRECTORY", 1000)
    with pytest.raises(HostileArchive, match="list of contents"):
        extract(archive, tmp_path / "bad")


def test_an_interrupted_unpacking_starts_again(make_tar, tmp_path):
    (tmp_path / "out.partial" / "task").mkdir(parents=True)
    (tmp_path / "out.partial" / "task" / "stray").write_bytes(b"")
    extract(make_tar([("task/a", b"x")]), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "task").iterdir()] == ["a"]
