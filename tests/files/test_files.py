"""Files are written whole, known by content, and read with errors that name file and field."""

import os
import subprocess
import sys

import pytest

from keras_uq._kinds import Choice, Flag, Integer, Items, Maybe, Mismatch, Number, Text, argument, option
from keras_uq.files import BadFile, check, max_memory, naming, parse, read, replacing, stamp, stamps, sweep, write_text

NAN = float("nan")


@pytest.mark.parametrize("value", [True, "1", None, NAN, float("inf"), -0.1, 1, 1e400, [0.5], 10**400])
def test_a_share_is_a_number_from_0_to_below_1(value):
    with pytest.raises(ValueError, match=r"SlidingWindow expects `overlap` to be a number in \[0, 1\). Received: over"):
        argument("SlidingWindow", "overlap", value, Number(least=0, below=1))


def test_kinds_return_plain_types():
    import numpy as np

    assert type(Integer(least=1).read(np.int64(3))) is int
    assert type(Number().read(np.float32(0.5))) is float
    assert Items(Maybe(Number(above=0)), 3).read([1, None, 2.5]) == (1.0, None, 2.5)
    assert Choice(3, 5, "a").read(5) == 5
    assert Text().read("ä") == "ä"
    assert Flag().read(False) is False


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Integer(), 1.0),
        (Integer(), True),
        (Integer(least=1), 0),
        (Choice(3, 5), 3.0),
        (Choice("a"), "b"),
        (Items(Integer(), 2), (1,)),
        (Items(Integer()), "12"),
        (Items(Integer(), least=1, most=2), ()),
        (Items(Integer(), least=1, most=2), (1, 2, 3)),
        (Items(Integer()), {1: 2}),
        (Text(), b"a"),
        (Text(most=2), "abc"),
        (Flag(), 1),
    ],
)
def test_other_kinds_are_refused(kind, value):
    with pytest.raises(Mismatch):
        kind.read(value)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Integer(least=1), "8", 8),
        (Integer(), "-3", -3),
        (Number(), "0.5", 0.5),
        (Items(Integer(), 3), "1,2,3", (1, 2, 3)),
        (Maybe(Number()), "2", 2),
    ],
)
def test_options_parse_text(kind, text, expected):
    assert option(kind)(text) == expected


@pytest.mark.parametrize(("kind", "text"), [(Integer(), "2.0"), (Integer(), "²"), (Number(), "nan"), (Integer(), "")])
def test_options_say_what_they_expect(kind, text):
    with pytest.raises(Exception, match="expected a .*number, not"):
        option(kind)(text)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), replacing(path) as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.write_text("half")
        raise OSError("disk full")
    assert [p.name for p in tmp_path.iterdir()] == ["a.nii.gz"]
    assert path.read_text() == "old"


def test_an_error_of_the_disk_names_the_file_that_was_to_be_written(tmp_path):
    path = tmp_path / "x.json"
    for error in (OSError(28, "No space left on device"), OSError(28, "No space left on device", "source", None, "z")):
        with pytest.raises(OSError, match="No space left") as raised, replacing(path):
            raise error
        assert raised.value.filename == ("source" if error.filename2 else str(path))
    with pytest.raises(FileNotFoundError, match="none/x.json"):
        write_text(tmp_path / "none" / "x.json", "")
    with pytest.raises(OSError, match="^10 requested and 0 written$"), replacing(path):
        raise OSError("10 requested and 0 written")


def test_sweeping_spares_files_of_running_processes(tmp_path):
    code = (
        "import sys; from keras_uq.files import replacing\n"
        "with replacing(sys.argv[1]) as t: t.write_text('half'); import os; os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "a.json"], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with replacing(tmp_path / "b.json") as temporary:
        temporary.write_text("b")
        (tmp_path / ".keras-uq-notes").touch()
        sweep(tmp_path)
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted([temporary.name, ".keras-uq-notes"])


def test_text_is_written_as_it_is(tmp_path):
    write_text(tmp_path / "a.txt", "ä\r\n\n")
    assert (tmp_path / "a.txt").read_bytes() == "ä\r\n\n".encode()


def test_a_stamp_is_believed_until_the_file_changes(tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(b"one")
    first = stamp(path)
    forged = {**first, "sha256": "0" * 64}
    assert stamp(path, forged) == forged  # Nothing changed, so nothing is read.
    path.write_bytes(b"two")
    os.utime(path, ns=(first["modified_ns"], first["modified_ns"]))  # Same size and modification time.
    assert stamp(path, forged)["sha256"] == stamp(path)["sha256"] != first["sha256"]


@pytest.mark.parametrize("noted", [None, [], {}, {"sha256": 5}, "x", {"sha256": "0" * 64}])
def test_what_is_no_stamp_is_ignored(tmp_path, noted):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    assert stamp(path, noted) == stamp(path)


def test_a_mended_file_of_a_folder_is_seen(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "label").write_bytes(b"one")
    (tmp_path / ".hidden").touch()
    first = stamps(tmp_path)
    assert list(first) == ["b/label"]
    (tmp_path / "b" / "label").write_bytes(b"two")
    assert stamps(tmp_path, first)["b/label"]["sha256"] != first["b/label"]["sha256"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"card.json is not JSON: expecting value in line 1, column 1"),
        (b"\xff\xfe", "card.json is not JSON: it is not text"),
        ("[" * 100_000, "card.json is not JSON of ours: it is nested too deeply"),
        ("1" * 5000, "card.json cannot be read"),
    ],
)
def test_errors_of_json_name_the_file(text, message):
    with pytest.raises(BadFile, match=message):
        parse(text, "card.json")


def test_a_field_that_stands_twice_is_refused_where_it_matters():
    text = '{"a": {"median": 3, "median": 5}}'
    assert parse(text, "card.json") == {"a": {"median": 5}}
    with pytest.raises(BadFile, match="card.json cannot be read: the field 'median' stands twice"):
        parse(text, "card.json", once=True)


TABLE = {"window": Items(Integer(least=1), 3), "name": Text()}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], r"w.json: expected an object with window, name. Received: \[\]"),
        ({"name": "a"}, "w.json lacks window"),
        ({"name": "a", "window": [1, 2]}, r"w.json: expected `window` to be 3 values.*Received: \[1, 2\]"),
        ({"name": "a", "window": [1, 2, 3], "x": 1}, r"w.json holds unknown fields \['x'\]. Expected: window, name"),
    ],
)
def test_errors_of_fields_name_file_and_field(value, message):
    with pytest.raises(BadFile, match=message):
        check(value, TABLE, "w.json")


def test_fields_are_returned_in_plain_types():
    assert check({"window": [1, 2, 3], "more": 1}, TABLE, "w.json", optional=["name"], others=True) == {
        "window": (1, 2, 3)
    }


def test_a_huge_file_is_no_json_of_ours(tmp_path):
    (tmp_path / "a.json").write_bytes(b" " * 101)
    with pytest.raises(BadFile, match="more than 100 bytes"):
        read(tmp_path / "a.json", max_bytes=100)


@pytest.mark.parametrize(
    ("text", "size"), [("4G", 2**32), ("800M", 800 * 2**20), ("1.5g", 3 * 2**29), ("12345", 12345)]
)
def test_the_memory_limit_is_a_setting(monkeypatch, text, size):
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", text)
    assert max_memory() == size


@pytest.mark.parametrize("text", ["much", "-1", "0", "1X", "٣G"])
def test_a_memory_limit_that_is_no_size_is_refused(monkeypatch, text):
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", text)
    with pytest.raises(ValueError, match="KERAS_UQ_MAX_MEMORY is a size in bytes such as 4G or 800M. Received"):
        max_memory()


def test_half_of_the_machine_is_the_usual_limit(monkeypatch):
    monkeypatch.delenv("KERAS_UQ_MAX_MEMORY", raising=False)
    assert 2**28 < max_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def test_links_that_lead_in_circles_are_followed_once(tmp_path):
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "folder" / "below" / "file").write_text("a")
    for name in ("up", "again"):
        (tmp_path / "folder" / "below" / name).symlink_to(tmp_path / "folder")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("b")
    (tmp_path / "folder" / "linked").symlink_to(tmp_path / "other")
    (tmp_path / "folder" / "nowhere").symlink_to(tmp_path / "none")
    assert list(stamps(tmp_path / "folder")) == ["below/file", "linked/file"]


@pytest.mark.parametrize("message", [(28, "No space left on device"), ("8 requested and 3 written",)])
def test_errors_of_a_full_disk_name_the_file(tmp_path, message):
    with pytest.raises(OSError, match="No space left") as caught, naming(tmp_path / "file"):
        raise OSError(*message)
    assert (caught.value.errno, caught.value.filename) == (28, str(tmp_path / "file"))
