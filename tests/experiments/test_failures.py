"""What failed is said in a line that a person can act on, and what comes from data is no markup."""

import errno
import shutil

import pytest

from experiments.failures import explained, forget
from experiments.screen import as_text, heading, say

FULL = OSError(errno.ENOSPC, "No space left on device", "/source.npz", None, "/target.npz")


def test_a_full_disk_is_said_of_the_file_that_is_written(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(2**20, 2**20 - 4096, 4096))
    assert explained(FULL, "/folder") == (
        "/target.npz: no space left on device. 4.0 KiB are free there. Make room and run the same command again: it "
        "resumes."
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError("3276 requested and 0 written"), "/folder: 3276 requested and 0 written. "),
        (OSError("[Errno 28] Can't write data (errno = 28, 'No space left on device')"), "are free there"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "/x: read-only file system. Choose folders that can be"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "/x: permission denied. Choose folders that can"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/x"), "A folder is needed in this place, and a file"),
        (FileExistsError(errno.EEXIST, "File exists", "/x"), "/x: file exists. A folder is needed"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", b"/x"), "/x: no such file or directory."),
        (ValueError("[bold] as it is"), "[bold] as it is"),
        (KeyError("x\ny " + "z" * 1000), r"KeyError: 'x\ny zzz"),
    ],
)
def test_errors_of_the_disk_and_others(error, words):
    text = explained(error, "/folder")
    assert words in text
    assert "[Errno 28] No" not in text
    assert len(text) < 600


def test_the_traceback_of_a_foreign_error_is_kept_until_the_cell_is_whole(tmp_path):
    cell = tmp_path / "table" / "run" / "dice-seed0"
    try:
        raise ZeroDivisionError("nothing")
    except ZeroDivisionError as error:
        text = explained(error, cell, tmp_path)
    log = tmp_path / ".logs" / "table-run-dice-seed0.log"
    assert text == f"ZeroDivisionError: nothing. The traceback is in {log}."
    assert 'raise ZeroDivisionError("nothing")' in log.read_text()
    forget(tmp_path, cell)
    assert list(tmp_path.iterdir()) == []
    forget(tmp_path, cell)


def test_a_traceback_that_cannot_be_kept_does_not_hide_the_error(tmp_path):
    (tmp_path / "file").touch()
    assert explained(KeyError("x"), tmp_path / "cell", tmp_path / "file") == "KeyError: 'x'"


@pytest.mark.parametrize("name", ["[/x]", "[red]a[/red]", "a\\", "[link=file:///etc]x[/link]", ":smile:", "a" * 200])
def test_names_are_printed_as_they_are(name, capsys):
    say(name)
    assert capsys.readouterr().out == f"{name}\n"
    heading(name[:40])
    assert name[:40] in capsys.readouterr().out


def test_names_do_not_move_the_cursor_and_can_always_be_printed(capsys):
    say("a\x1b[2Jb\rc\x07\udce9")
    assert capsys.readouterr().out == "a\\x1b[2Jb\\rc\\x07\\udce9\n"
    assert as_text("ü 日本\tx\ny").plain == "ü 日本\tx\ny"
