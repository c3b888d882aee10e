"""Records and runs are read through one checked reader: what is not as it was written is named, with what to do."""

import json
import os

import pandas as pd
import pytest

from experiments.cell_frames import Cell
from experiments.csv_cells import shielded, unshielded, write_csv
from experiments.fields import DamagedRecord, read_about
from experiments.machine import machine
from experiments.records import Record, open_arrays, read_json
from experiments.run import Run
from experiments.store import Store
from tests.experiments.made_records import record_again, run_facts, write_record

DEEP = "[" * 100_000


@pytest.fixture
def cell(tmp_path):
    folder = tmp_path / "kethavath2025_table3" / "demo-x" / "dice-loss-seed0"
    folder.mkdir(parents=True)
    write_csv(folder / "cases.csv", [{"set": "test", "case": "a", "dice": 0.5}])
    write_record(folder, "Dice Loss", 0)
    (folder.parent / "run.json").write_text(json.dumps(run_facts()))
    return folder


def changed(**fields):
    """A change of a JSON file: fields get other values, or are removed where the value is `...`."""

    def change(path):
        content = {**json.loads(path.read_text()), **fields}
        path.write_text(json.dumps({name: value for name, value in content.items() if value is not ...}))

    return change


def text(content):
    return lambda path: path.write_bytes(content if isinstance(content, bytes) else content.encode())


DAMAGE = {
    "no JSON": ("provenance.json", text("{"), "provenance.json is not JSON"),
    "a list": ("provenance.json", text("[]"), "provenance.json: expected an object with config_sha256"),
    "null": ("provenance.json", text("null"), "provenance.json: expected an object"),
    "empty": ("provenance.json", text(""), "provenance.json is not JSON"),
    "no field": ("provenance.json", text("{}"), "provenance.json lacks config_sha256, files, seconds"),
    "nested": ("provenance.json", text(DEEP), "provenance.json is not JSON of ours: it is nested too deeply"),
    "latin1": ("provenance.json", text(b'{"a": "\xe9"}'), "provenance.json is not JSON: it is not text in UTF-8"),
    "seconds": ("provenance.json", changed(seconds="many"), "expected `seconds` to be a number of at least 0"),
    "NaN": ("provenance.json", changed(seconds=float("nan")), "expected `seconds` to be a number of at least 0"),
    "digest": ("provenance.json", changed(config_sha256="0"), "expected `config_sha256` to be a sha256"),
    "no sums": ("provenance.json", changed(files={}), "expected `files` to be the sha256 of each file of the cell"),
    "gone": ("cases.csv", lambda path: path.unlink(), "cases.csv is gone"),
    "emptied": ("cases.csv", text(""), "cases.csv was changed after it was written"),
    "edited": ("cases.csv", text("set,case,dice\ntest,a,0.9\n"), "cases.csv was changed after it was written"),
    "configuration": ("config.json", text("{"), "config.json was changed after it was written"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_record_is_named_with_what_to_do(cell, damage):
    name, change, words = DAMAGE[damage]
    Record(cell).check()
    change(cell / name)
    with pytest.raises(DamagedRecord) as error:
        Record(cell).check()
    assert words in str(error.value)
    assert str(cell / name) in str(error.value)
    assert str(error.value).endswith("Restore it, or remove the cell's folder to run the cell again.")
    assert Run(cell.parent).damaged == [str(error.value)]


@pytest.mark.parametrize("name", ["provenance.json", "cases.csv"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "loop"])
def test_what_is_no_file_is_no_record(cell, name, kind):
    path = cell / name
    path.unlink()
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "loop": lambda: path.symlink_to(path)}[kind]()
    with pytest.raises((DamagedRecord, OSError), match=name):
        Record(cell).check()


def test_a_file_that_no_memory_holds_is_not_read(cell, monkeypatch):
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", "1M")
    os.truncate(cell / "cases.csv", 2**20 + 1)
    with pytest.raises(DamagedRecord, match=r"cases\.csv has 1\.0 MiB, which no record has"):
        Record(cell).check()


FORGED = {
    "another seed": ("config.json", changed(seed=1), "config.json is not the configuration of its provenance.json"),
    "a wrong type": ("config.json", changed(seed="0"), "expected `seed` to be a whole number of at least 0"),
    "another training": ("training.json", changed(training_sha256="1" * 64), "training.json is of another training"),
    "no JSON": ("training.json", text("[" * 5), "training.json is not JSON"),
    "a list": ("training.json", text("[]"), "training.json: expected an object"),
    "no training": ("training.json", lambda path: path.unlink(), "provenance.json names no training.json"),
}


@pytest.mark.parametrize("change", FORGED)
def test_an_edit_is_noticed_though_its_sum_was_made_again(cell, change):
    name, edit, words = FORGED[change]
    edit(cell / name)
    record_again(cell, json.loads((cell / "provenance.json").read_text()))
    with pytest.raises(DamagedRecord, match=words):
        Record(cell).check()


def test_a_record_names_files_of_its_own_folder_alone(cell):
    (cell.parent / "other.csv").write_text("")
    provenance = json.loads((cell / "provenance.json").read_text())
    provenance["files"]["../other.csv"] = provenance["config_sha256"]
    (cell / "provenance.json").write_text(json.dumps(provenance))
    with pytest.raises(DamagedRecord, match="expected `files`"):
        Record(cell)


def test_the_name_of_the_row_is_no_part_of_the_digest(cell):
    changed(row="Another name")(cell / "config.json")
    record_again(cell, json.loads((cell / "provenance.json").read_text()))
    assert Record(cell).check().row == "Another name"
    (reason,) = Run(cell.parent).damaged  # The table would leave it out.
    assert "is of row 'Another name', which" in reason
    assert "run.json does not list" in reason


def test_a_copied_cell_is_no_second_seed(cell):
    copy = cell.with_name("dice-loss-seed1")
    copy.mkdir()
    for path in cell.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (reason,) = Run(cell.parent).damaged
    assert f"{copy} and {cell} are both of row 'Dice Loss', seed 0" in reason


def test_cells_of_other_data_are_named(cell):
    assert Run(cell.parent).on_other_data == []
    changed(data="sha256:1")(cell / "provenance.json")
    assert Run(cell.parent).on_other_data == ["dice-loss-seed0"]


WRONG_RUNS = {
    "no JSON": (text("{"), "run.json is not JSON"),
    "empty": (text("{}"), "run.json lacks paper"),
    "a list": (text("[]"), "run.json: expected an object"),
    "a module": (changed(paper="os"), "expected `paper` to be .*yeung2021.*Received: 'os'"),
    "a path": (changed(paper="../x"), "expected `paper`"),
    "a table": (changed(table="../x"), "expected `table` to be the name of a table"),
    "rows": (changed(rows="Dice Loss"), "expected `rows` to be a list of 1 or more values"),
    "no rows": (changed(rows=...), "run.json lacks rows"),
    "cases": (changed(cases={"test": 3}), "expected `cases` to be the number of cases of train, validation and test"),
}


@pytest.mark.parametrize("damage", WRONG_RUNS)
def test_a_damaged_run_is_named_with_what_to_do(cell, damage):
    change, words = WRONG_RUNS[damage]
    change(cell.parent / "run.json")
    with pytest.raises(DamagedRecord, match=words) as error:
        read_about(cell.parent)
    assert "remove it and start the table's command again" in str(error.value)


def test_what_only_some_runs_say_is_asked_for_by_name(cell):
    with pytest.raises(DamagedRecord, match=r"run\.json lacks classes"):
        Run(cell.parent)["classes"]


def test_a_table_of_another_form_is_named(cell):
    provenance = json.loads((cell / "provenance.json").read_text())
    for content, words in (("set,case\ntest,a\n", "no column dice"), ('a,b\n"x', "is no table")):
        (cell / "cases.csv").write_text(content)
        record_again(cell, provenance)
        with pytest.raises(DamagedRecord, match=words):
            Cell(cell).cases()


NAMES = ["=1+1", "+x", "-x", "@x", "\tx", "'x", "'=x", "007", "-5", "+5", "NA", "nan", "null", "1e3", "a,b", 'a"b', "ü"]


def test_names_of_cases_are_read_as_they_were_written_and_are_no_formulas(cell):
    lines = [{"set": "test", "case": name, "dice": -0.5} for name in NAMES]
    write_csv(cell / "cases.csv", lines)
    record_again(cell, json.loads((cell / "provenance.json").read_text()))
    frame = Cell(cell).frame("cases.csv")
    assert frame["case"].tolist() == NAMES
    assert frame["dice"].tolist() == [-0.5] * len(NAMES)
    for line in (cell / "cases.csv").read_text().splitlines()[1:]:
        assert line.partition(",")[2].lstrip('"')[0] not in "=@\t"
    assert shielded("=1+1") == "'=1+1"


@pytest.mark.parametrize("value", ["-0", "-0.5", "+1e-3", -0.5, 3, None, "", "a=b", "0+1", "-inf"])
def test_numbers_and_plain_text_stay_as_they_are(value):
    assert shielded(value) == value


@pytest.mark.parametrize("text", ["=x", "'", "''", "'a", "a'", ""])
def test_shields_come_off_again(text):
    assert unshielded(shielded(text)) == text


def test_a_setting_of_the_environment_that_is_no_number_does_not_cost_the_record(monkeypatch):
    for text, expected in (("2", 2), ("two", None), ("", None), ("-1", None)):
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", text)
        assert machine()["hardware"].get("threads") == expected


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"null", b"\xff", DEEP.encode()])
def test_a_cache_that_is_missing_or_damaged_is_empty(tmp_path, content):
    if content is not None:
        (tmp_path / "x.json").write_bytes(content)
    assert read_json(tmp_path / "x.json") == {}


INDICES = ["[]", "null", '{"a/b": 1}', '{"a/b": {"changed": "x", "cells": []}}', DEEP]


@pytest.mark.parametrize("content", INDICES)
def test_damaged_records_of_other_tables_do_not_keep_cells_from_being_found(cell, content):
    store, digest = Store(cell.parents[2]), Record(cell).digest
    other = cell.parents[2] / "other_table" / "run" / "cell"
    other.mkdir(parents=True)
    (other / "provenance.json").write_text(content)
    (other / "training.json").write_text(content)
    (store.results / ".index.json").write_text(content.replace("a/b", "kethavath2025_table3/demo-x"))
    assert store.find(digest).folder == cell
    assert store.find_training("0" * 64, "best_val_dice.weights.h5") is None


def test_arrays_that_cannot_be_read_are_named(tmp_path):
    for content in (b"", b"PK\x03\x04", b"text"):
        (tmp_path / "panels.npz").write_bytes(content)
        with pytest.raises(DamagedRecord, match=r"panels\.npz cannot be read"), open_arrays(tmp_path / "panels.npz"):
            pass


def test_an_empty_table_is_an_empty_frame(cell):
    write_csv(cell / "slices.csv", [])
    record_again(cell, json.loads((cell / "provenance.json").read_text()))
    pd.testing.assert_frame_equal(Cell(cell).frame("slices.csv"), pd.DataFrame())
