"""Cells: found, shared, made again, kept apart between processes; a cell that fails stands alone."""

import contextlib
import dataclasses
import errno
import json
import multiprocessing
import os
import shutil
import time
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

from experiments import cell, command, store
from experiments.choices import AllSeeds
from experiments.csv_cells import write_csv
from experiments.fields import DamagedRecord
from experiments.inputs import datasets
from experiments.plan import plan
from experiments.records import Record, name_of, sums
from experiments.run import Cell
from experiments.store import Store
from experiments.table import Row
from keras_uq.inference import load_model
from tests.experiments.tiny import TABLE, small_unet, thresholded

WHOLE = [
    *("best_val_dice.weights.h5", "best_val_loss.weights.h5", "cases.csv", "config.json", "history.csv", "model.keras"),
    *("panels.npz", "provenance.json", "slices.csv", "training.json"),
]


@pytest.fixture
def run(fast, options):
    """Run a table with the given arguments and without training; returns the folder and the failures."""

    def run(*arguments, table=fast):
        return command.run(table, options("--no-report", *arguments))

    return run


def provenances(folder):
    return {path: path.stat().st_mtime_ns for path in folder.glob("*/provenance.json")}


def test_a_finished_cell_is_found_and_not_run_again(run, untrained, capsys):
    folder, failed = run("--seeds", "2")
    assert not failed
    before = provenances(folder)
    assert len(before) == 8
    assert len(untrained) == 6
    run("--seeds", "2")
    assert provenances(folder) == before
    assert len(untrained) == 6
    assert capsys.readouterr().out.count("recorded in") == 8


def test_a_cell_leaves_a_whole_record_and_no_work(run):
    folder, _ = run("--row", "Dice Loss")
    assert sorted(path.name for path in (folder / "dice-loss-seed0").iterdir()) == WHOLE
    record = Record(folder / "dice-loss-seed0").check()
    sums = record.provenance["files"]
    assert set(sums) == set(WHOLE) - {"model.keras", "panels.npz", "provenance.json"} - {
        name for name in WHOLE if name.endswith(".weights.h5")
    }
    assert set(record.training["weights"]) == {name for name in WHOLE if name.endswith(".weights.h5")}


def test_cells_of_one_configuration_are_made_once(run, fast, untrained):
    first, _ = run("--row", "Dice Loss")
    renamed = dataclasses.replace(fast.row("Dice Loss"), name="Focal Tversky")
    same = dataclasses.replace(fast, name="table7", rows=(renamed, *fast.rows[:1]))
    second, _ = run("--row", "Focal Tversky", table=same)
    assert len(untrained) == 1
    pair = first / "dice-loss-seed0", second / "focal-tversky-seed0"
    for name in ("cases.csv", "slices.csv", "history.csv", "training.json"):
        assert (pair[0] / name).read_bytes() == (pair[1] / name).read_bytes()
    copy = Record(pair[1]).check()
    assert copy.row == "Focal Tversky"
    assert copy.provenance["shared_with"] == name_of(pair[0])
    assert copy.provenance["files"]["config.json"] != Record(pair[0]).provenance["files"]["config.json"]


def test_a_training_is_shared_by_cells_that_test_it_differently(run, fast, untrained):
    first, _ = run("--row", "Dice Loss")
    for name, change in (("table5", {"keep": "val_loss"}), ("table7", {"samples": 2})):
        changed = dataclasses.replace(fast, name=name, settings=fast.settings.replace(**change))
        folder, _ = run("--row", "Dice Loss", table=changed)
        other = folder / "dice-loss-seed0"
        assert "shared_with" not in Record(other).provenance
        for file in ("training.json", "history.csv"):
            assert (other / file).read_bytes() == (first / "dice-loss-seed0" / file).read_bytes()
        load_model(other / "model.keras").load_weights(other / f"best_{changed.settings.keep}.weights.h5")
    assert len(untrained) == 1
    results = first.parent.parent
    # Weights that are not those of the training are not taken, and without weights there is nothing to take.
    for path in results.rglob("*.weights.h5"):
        path.write_bytes(path.read_bytes() + b"x")
    changed = dataclasses.replace(fast, name="table6", settings=fast.settings.replace(samples=4))
    run("--row", "Dice Loss", table=changed)
    assert len(untrained) == 2
    for path in results.rglob("*.weights.h5"):
        path.unlink()
    changed = dataclasses.replace(fast, name="table6", settings=fast.settings.replace(samples=5))
    run("--row", "Dice Loss", table=changed)
    assert len(untrained) == 3


def test_a_changed_record_is_said_to_be_damaged_and_not_replaced(run, untrained):
    folder, _ = run()
    cases = folder / "dice-loss-seed0" / "cases.csv"
    changed = cases.read_text().replace("0.", "1.", 1)
    cases.write_text(changed)
    _, failed = run()
    assert len(failed) == 2
    assert "Dice Loss, seed 0: " in failed[0]
    assert "cases.csv was changed after it was written. Restore it, or remove" in failed[0]
    assert failed[1] == "Hybrid Loss, seed 0: its input dice-loss-seed0 has no result."
    assert cases.read_text() == changed
    shutil.rmtree(cases.parent)
    assert run()[1] == []
    assert len(untrained) == 4


def test_a_damaged_record_is_not_shared(run, fast, untrained):
    folder, _ = run("--row", "Dice Loss")
    (folder / "dice-loss-seed0" / "slices.csv").unlink()
    other, failed = run("--row", "Dice Loss", table=dataclasses.replace(fast, name="table7"))
    assert not failed
    assert "shared_with" not in Record(other / "dice-loss-seed0").provenance
    assert len(untrained) == 1  # Its training is whole.


def test_a_record_of_another_configuration_stands_until_the_new_one_is_whole(run, fast, monkeypatch):
    folder, _ = run("--row", "Dice Loss")
    before = (folder / "dice-loss-seed0" / "provenance.json").read_bytes()
    changed = dataclasses.replace(fast, settings=fast.settings.replace(samples=2))
    monkeypatch.setattr(cell, "save_model", lambda *_, **__: 1 / 0)
    _, failed = run("--row", "Dice Loss", table=changed)
    assert len(failed) == 1
    assert failed[0].startswith("Dice Loss, seed 0: ZeroDivisionError: division by zero. The traceback is in ")
    assert (folder / "dice-loss-seed0" / "provenance.json").read_bytes() == before
    Record(folder / "dice-loss-seed0").check()


class NoNumber(keras.losses.Loss):
    """Diverges in the first batch."""

    def call(self, y_true, y_pred):
        return keras.ops.mean(y_pred, axis=(1, 2, 3)) * float("nan")


def test_a_cell_that_fails_is_named_and_the_others_go_on(run, fast, monkeypatch, tmp_path, capsys):
    train = cell.train

    def fail_once(job, *arguments):
        if job.row.name == "BCE Loss":
            raise MemoryError("out of memory")
        return train(job, *arguments)

    monkeypatch.setattr(cell, "train", fail_once)
    folder, failed = run()
    log = tmp_path / "runs" / ".logs" / "kethavath2025_table2-paper-mine-bce-loss-seed0.log"
    assert failed == [
        f"BCE Loss, seed 0: MemoryError: out of memory. The traceback is in {log}.",
        "Hybrid Loss, seed 0: its input bce-loss-seed0 has no result.",
    ]
    assert sorted(path.parent.name for path in provenances(folder)) == ["dice-loss-seed0", "log-dice-loss-seed0"]
    assert "in fail_once" in log.read_text()  # Whoever mends it needs the place.
    assert "Traceback" not in "".join(capsys.readouterr())
    assert not (folder / "bce-loss-seed0").exists()  # There is no epoch to go on from.
    monkeypatch.undo()
    assert run("--row", "BCE Loss")[1] == []
    assert not log.parent.exists()


def with_ensemble(fast):
    dice = fast.row("Dice Loss")
    together = Row("together", inputs=("Dice Loss",), predictor=thresholded, seeds=AllSeeds())
    return dataclasses.replace(fast, rows=(dice, together))


def test_one_seed_leaves_the_record_of_all_seeds_alone(run, fast):
    table = with_ensemble(fast)
    folder, _ = run("--seeds", "3", table=table)
    before = provenances(folder)
    assert len(before) == 4
    run("--seed", "2", table=table)
    assert provenances(folder) == before
    # Fewer seeds would make it again from fewer cells.
    _, failed = run("--seeds", "2", table=table)
    assert provenances(folder) == before
    assert len(failed) == 1
    assert (
        "together-seed0 is recorded from 3 cells and would be replaced by one made from 2. Give --seeds 3" in failed[0]
    )
    _, failed = run("--seeds", "4", table=table)
    assert not failed
    assert len(Record(folder / "together-seed0").config["inputs"]) == 4


def test_an_interrupted_training_goes_on_and_another_one_does_not(run, fast, monkeypatch):
    train, interruptions = cell.train, []

    def interrupted(job, folder, *arguments):
        interruptions.append((folder / "left").exists())
        (folder / "left").touch()
        if len(interruptions) in (1, 3):
            raise KeyboardInterrupt
        return train(job, folder, *arguments)

    monkeypatch.setattr(cell, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("--row", "Dice Loss")
    folder, failed = run("--row", "Dice Loss")
    assert interruptions == [False, True]
    assert not failed
    with pytest.raises(KeyboardInterrupt):
        run("--row", "BCE Loss")
    changed = dataclasses.replace(fast, settings=fast.settings.replace(batch=3))
    run("--row", "BCE Loss", table=changed)
    assert interruptions == [False, True, False, False]
    assert not list(folder.glob("*/training-*"))


def held(results, name, ready, release):
    """Hold a lock in another process."""
    with Store(results).taken(name) as taken:
        ready.put(taken)
        release.get()


@pytest.mark.parametrize("lock", ["cell", "training"])
def test_what_another_process_works_on_is_left_until_the_rest_is_done(
    fast, untrained, options, monkeypatch, capsys, lock
):
    arguments = options("--no-report")
    table, settings, _ = command.changed(fast, arguments)
    data = datasets.open_cases(table, settings, table.profiles["paper"], arguments.data, arguments.dataset)
    folder = command.run_folder(table, "paper", data.name, arguments.results)
    folder.mkdir(parents=True)
    jobs = plan(table, settings, data, range(1))
    records = Store(arguments.results)
    name = f"cell {name_of(folder / jobs[0].name)}" if lock == "cell" else f"training {jobs[0].training_digest}"
    context = multiprocessing.get_context("spawn")
    ready, release = context.Queue(), context.Queue()
    process = context.Process(target=held, args=(arguments.results, name, ready, release), daemon=True)
    process.start()
    assert ready.get(timeout=60)
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        release.put(None)
        process.join()

    monkeypatch.setattr(cell.time, "sleep", pause)
    written, write = [], Store.write
    monkeypatch.setattr(Store, "write", lambda *given: written.append(given[2].row.name) or write(*given))
    assert cell.run(jobs, folder, records) == []
    assert written == ["Dice Loss", "Log Dice Loss", "BCE Loss", "Hybrid Loss"]  # Its inputs first.
    assert pauses == [cell.PAUSE]
    assert [job.row.name for job in untrained] == ["Dice Loss", "Log Dice Loss", "BCE Loss"]
    assert "another process works on it" in capsys.readouterr().out


def test_without_locks_the_cost_is_a_training_done_twice(run, monkeypatch):
    def unsupported(*_, **__):
        raise NotImplementedError("no locks on this file system")

    monkeypatch.setattr(store.filelock.FileLock, "acquire", unsupported)
    folder, failed = run("--row", "Dice Loss")
    assert not failed
    Record(folder / "dice-loss-seed0").check()


def test_the_index_is_made_anew_where_it_is_missing_or_wrong(run, fast, untrained):
    folder, _ = run("--row", "Dice Loss")
    index = folder.parent.parent / ".index.json"
    record = Record(folder / "dice-loss-seed0")
    records = Store(folder.parent.parent)
    assert records.find(record.digest).folder == record.folder
    for content in (
        "",
        "{}",
        '{"x": 1',
        json.dumps({"a/b": {"changed": 1, "cells": {"c": {"config": record.digest}}}}),
    ):
        index.write_text(content)
        assert records.find(record.digest).folder == record.folder
    assert records.find("0" * 64) is None
    # A copied run is found, a removed one is not; runs that did not change are not read again.
    copy = folder.parent / "copy"
    shutil.copytree(folder, copy)
    shutil.rmtree(folder)
    assert records.find(record.digest).folder == copy / "dice-loss-seed0"
    content = json.loads(index.read_text())
    content["kethavath2025_table2/copy"]["cells"]["dice-loss-seed0"]["config"] = "1" * 64
    index.write_text(json.dumps(content))
    assert records._index()["kethavath2025_table2/copy"]["cells"]["dice-loss-seed0"]["config"] == "1" * 64


def test_a_record_without_provenance_is_no_record(run, untrained):
    folder, _ = run("--row", "Dice Loss")
    (folder / "dice-loss-seed0" / "provenance.json").unlink()
    run("--row", "Dice Loss")
    Record(folder / "dice-loss-seed0").check()
    (folder / "dice-loss-seed0" / "provenance.json").write_text("{")
    _, failed = run("--row", "Dice Loss")
    assert len(failed) == 1
    assert "provenance.json is not JSON" in failed[0]
    assert "remove the cell's folder to run the cell again" in failed[0]
    with pytest.raises(DamagedRecord, match="provenance.json is not JSON"):
        Record(folder / "dice-loss-seed0")


def test_files_that_are_too_large_to_commit_may_be_gone(run):
    folder, _ = run("--row", "Dice Loss")
    for name in ("model.keras", "panels.npz", "best_val_dice.weights.h5"):
        (folder / "dice-loss-seed0" / name).unlink()
    Record(folder / "dice-loss-seed0").check()
    assert run("--row", "Dice Loss")[1] == []


def test_a_finished_table_is_found_without_reading_other_tables(run, fast, monkeypatch):
    folder, _ = run("--seeds", "2")
    other, _ = run("--seeds", "2", table=dataclasses.replace(fast, name="table7"))
    opened = []
    read = Record.read
    monkeypatch.setattr(Record, "read", lambda self, name: opened.append(self.folder.parent) or read(self, name))
    begin = time.monotonic()
    run("--seeds", "2")
    assert set(opened) == {folder}
    assert time.monotonic() - begin < 60
    assert other not in opened


def test_a_record_that_is_half_written_is_no_record(run, fast, untrained, monkeypatch):
    """Killed while the files of a changed cell are written: neither the old record nor half of the new one stands."""
    folder, _ = run("--row", "Dice Loss")
    cell_folder = folder / "dice-loss-seed0"
    changed = dataclasses.replace(fast, settings=fast.settings.replace(samples=2))
    with monkeypatch.context() as patch:
        patch.setattr(store, "write_csv", lambda *_: 1 / 0)
        _, failed = run("--row", "Dice Loss", table=changed)
    assert len(failed) == 1
    assert failed[0].startswith("Dice Loss, seed 0: ZeroDivisionError: division by zero. The traceback is in ")
    assert not (cell_folder / "provenance.json").exists()
    _, failed = run("--row", "Dice Loss", table=changed)
    assert not failed
    assert Record(cell_folder).check().config["samples"] == 2
    assert len(untrained) == 1  # Its training is taken up.


def test_a_table_without_lines_is_written_and_read(run, tmp_path):
    folder, _ = run("--row", "Dice Loss")
    cell = folder / "dice-loss-seed0"
    write_csv(cell / "slices.csv", [])
    provenance = json.loads((cell / "provenance.json").read_text())
    (cell / "provenance.json").write_text(json.dumps({**provenance, "files": sums(cell)}))
    assert Cell(cell).frame("slices.csv").empty
    assert len(Cell(cell).frame("cases.csv")) == 3


def test_files_of_the_record_before_are_gone(run, fast):
    folder, _ = run("--row", "Dice Loss")
    cell_folder = folder / "dice-loss-seed0"
    (cell_folder / "reliability.csv").write_text("left\n")
    (cell_folder / "probabilities").mkdir()
    changed = dataclasses.replace(fast, settings=fast.settings.replace(samples=2))
    assert run("--row", "Dice Loss", table=changed)[1] == []
    assert sorted(path.name for path in cell_folder.iterdir()) == WHOLE


def test_dropout_is_sampled_with_the_seed_and_number_of_the_cell(fast):
    settings = fast.settings.replace(samples=7)
    job = SimpleNamespace(settings=settings, seed=3)
    predictor = cell._monte_carlo(job, small_unet((None, None, 1), 2, 0.9, dropout=0.2), [])
    assert (predictor.samples, predictor.seed) == (7, 3)


def test_panels_show_each_test_case(run):
    folder, _ = run("--row", "Dice Loss")
    cases = pd.read_csv(folder / "dice-loss-seed0" / "cases.csv").query("set == 'test'")["case"]
    with np.load(folder / "dice-loss-seed0" / "panels.npz") as panels:
        assert {name.partition("|")[0] for name in panels.files} == set(cases)


def test_the_table_names_rows_that_cannot_share_a_folder():
    with pytest.raises(ValueError, match="one folder"):
        dataclasses.replace(TABLE, rows=(*TABLE.rows, Row("BCE-Loss")))


@pytest.mark.parametrize("name", ["training", "training-host-1-abcdef"])
def test_what_a_killed_process_left_beside_its_record_is_removed(run, untrained, name):
    folder, _ = run("--row", "Dice Loss")
    cell_folder = folder / "dice-loss-seed0"
    (cell_folder / name / "resume").mkdir(parents=True)
    (cell_folder / name / "best_val_dice.weights.h5").write_text("x")
    left = [cell_folder, folder, folder.parent.parent]
    for place in left:
        (place / ".keras-uq-other-host-1-abcdef.json").touch()
        os.utime(place / ".keras-uq-other-host-1-abcdef.json", (0, 0))
    assert run("--row", "Dice Loss")[1] == []
    assert sorted(path.name for path in cell_folder.iterdir()) == WHOLE
    assert not [path for place in left for path in place.glob(".keras-uq-*")]
    assert len(untrained) == 1


def test_what_another_process_works_on_beside_a_record_stays(run, monkeypatch):
    folder, _ = run("--row", "Dice Loss")
    work = folder / "dice-loss-seed0" / "training-host-1-abcdef"
    work.mkdir()
    monkeypatch.setattr(Store, "taken", lambda *_: contextlib.nullcontext(False))
    assert run("--row", "Dice Loss")[1] == []
    assert work.exists()


def no_room_for_cells(source, target, copy=shutil.copyfile):
    if "seed0" in str(target):
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))
    return copy(source, target)


def test_a_full_disk_leaves_nothing_half_written(run, untrained, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(store.shutil, "copyfile", no_room_for_cells)
        folder, failed = run("--row", "Dice Loss")
    (reason,) = failed
    cell_folder = folder / "dice-loss-seed0"
    assert reason.startswith(
        f"Dice Loss, seed 0: {cell_folder / 'best_val_dice.weights.h5'}: no space left on device. "
    )
    assert "free there. Make room and run the same command again: it resumes." in reason
    assert [path.name.partition("-")[0] for path in cell_folder.iterdir()] == ["training"]
    assert run("--row", "Dice Loss")[1] == []
    assert sorted(path.name for path in cell_folder.iterdir()) == WHOLE
    assert len(untrained) == 1


def test_a_record_that_cannot_be_shared_leaves_nothing(run, fast, monkeypatch):
    run("--row", "Dice Loss")

    monkeypatch.setattr(store.shutil, "copyfile", no_room_for_cells)
    folder, failed = run("--row", "Dice Loss", table=dataclasses.replace(fast, name="table7"))
    assert "no space left on device" in failed[0]
    assert not [path for path in (folder / "dice-loss-seed0").rglob("*") if path.is_file()]


def test_a_work_folder_with_a_damaged_configuration_is_begun_anew(run, untrained):
    folder, _ = run("--row", "Dice Loss")
    (folder / "dice-loss-seed0" / "provenance.json").unlink()
    for number, content in enumerate(("{", "[]", "null")):
        (folder / "dice-loss-seed0" / f"training-{number}").mkdir()
        (folder / "dice-loss-seed0" / f"training-{number}" / "config.json").write_text(content)
    assert run("--row", "Dice Loss")[1] == []
    assert sorted(path.name for path in (folder / "dice-loss-seed0").iterdir()) == WHOLE
