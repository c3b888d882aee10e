"""Archives that try something are refused before a byte is written."""

import stat
import tarfile
import zipfile

import pytest

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
