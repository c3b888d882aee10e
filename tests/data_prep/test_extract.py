"""Archives that try something are refused before a byte is written."""

import tarfile

import pytest

from data_prep.extract import HostileArchive, extract_tar


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
        extract_tar(archive, tmp_path / "out" / "task")
    assert not (tmp_path / "out" / "task").exists()
    assert not list((tmp_path / "out").iterdir())


def test_limits_on_size_and_number(make_tar, tmp_path):
    archive = make_tar([(f"task/{number}", b"12345678") for number in range(4)])
    for limits in ({"max_member": 7}, {"max_total": 30}, {"max_members": 3}):
        with pytest.raises(HostileArchive):
            extract_tar(archive, tmp_path / "out", **limits)
        assert not (tmp_path / "out").exists()
    extract_tar(archive, tmp_path / "out", max_member=8, max_total=32, max_members=4)
    assert sorted(file.name for file in (tmp_path / "out" / "task").iterdir()) == list("0123")


def test_hidden_companions_are_skipped_and_content_is_exact(make_tar, tmp_path):
    archive = make_tar(
        [special("task", tarfile.DIRTYPE), ("task/a", b"content"), ("task/._a", b"junk"), ("._task", b"")]
    )
    extract_tar(archive, tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").rglob("*")] == ["task", "a"]
    assert (tmp_path / "out" / "task" / "a").read_bytes() == b"content"


def test_damaged_archives_leave_nothing(make_tar, tmp_path):
    archive = make_tar([("task/a", b"x" * 10_000), ("task/b", b"y" * 10_000)])
    archive.write_bytes(archive.read_bytes()[:12_000])
    with pytest.raises(ValueError, match="Download it again|ends within"):
        extract_tar(archive, tmp_path / "out")
    archive.write_bytes(b"no archive at all")
    with pytest.raises(ValueError, match="cannot be unpacked"):
        extract_tar(archive, tmp_path / "out")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["archive.tar"]
