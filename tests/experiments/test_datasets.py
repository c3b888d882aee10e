"""Prepared data are those of today's source, opened by all, verified by the first process that trains from them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from data_prep import prepare as prepare_module
from data_prep.prepared import DamagedData, Prepared
from experiments import command
from experiments.inputs import cases as cases_module
from experiments.inputs import datasets
from experiments.inputs.cases import VERIFIED, SliceSplit
from keras_uq.files import digests
from keras_uq.preprocessing import Preprocessing

STEPS = Preprocessing(size=(16, 16))


@pytest.fixture
def opened(fast, options):
    """Open the cases of a run as the command does."""

    def run(*arguments):
        given = options(*arguments)
        table, settings, _ = command.changed(fast, given)
        return datasets.open_cases(table, settings, table.profiles["paper"], given.data, given.dataset)

    return run


def mend(options):
    """Write a label of the dataset again, with less foreground."""
    path = Path(options().data) / "mine" / "labelsTr" / "spleen_1.nii.gz"
    image = nibabel.load(path)
    label = np.asarray(image.dataobj).copy()
    label[:, :, 3:] = 0
    nibabel.save(nibabel.Nifti1Image(label, image.affine), path)


def test_a_mended_label_is_prepared_again(opened, options):
    first = opened()
    assert opened().folder == first.folder
    mend(options)
    second = opened()
    assert second.folder != first.folder
    assert second.fingerprint != first.fingerprint
    assert second.description["cases"]["spleen_1"]["mask"] != first.description["cases"]["spleen_1"]["mask"]
    first.verify()  # It is still there.


def test_a_label_that_is_mended_during_the_preparation(opened, options, monkeypatch):
    prepare = datasets.prepare

    def slow(*arguments, **keywords):
        prepare(*arguments, **keywords)
        mend(options)

    monkeypatch.setattr(datasets, "prepare", slow)
    with pytest.raises(ValueError, match="mine was changed while it was prepared"):
        opened()
    assert not list((datasets.cache_folder() / "prepared").glob("*/dataset.json"))


DAMAGE = {
    "no dataset.json": lambda path: path.unlink(),
    "no JSON": lambda path: path.write_text("{"),
    "a list": lambda path: path.write_text("[]"),
    "no split": lambda path: change(path, split=None),
    "a split with a path": lambda path: change(path, split={"train": ["../x"], "validation": ["a"], "test": ["b"]}),
    "a split without test cases": lambda path: change(path, split={"train": ["a"], "validation": ["b"]}),
    "labels in a list": lambda path: change(path, labels=["organ"]),
    "foreground in text": lambda path: change(path, foreground="1"),
}


def change(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_prepared_data_that_cannot_be_opened_are_prepared_again(damage, opened):
    first = opened()
    damage(first.folder / "dataset.json")
    with pytest.raises(DamagedData, match=r"dataset\.json"):
        Prepared(first.folder)
    with pytest.warns(UserWarning, match="It is prepared again"):
        second = opened()
    assert (second.folder, second.fingerprint) == (first.folder, first.fingerprint)
    second.verify()


@pytest.fixture
def read_files(monkeypatch):
    """Paths below the prepared folder of which the sha256 was taken."""
    paths, sha256 = [], digests.sha256
    monkeypatch.setattr(digests, "sha256", lambda path: paths.append(Path(path).name) or sha256(path))
    return paths


def test_the_first_process_that_trains_verifies_and_later_ones_look_at_times(opened, read_files):
    data = opened()
    read_files.clear()
    data.verify_once()
    assert len(read_files) == 2 * 10
    data.verify_once()
    opened().verify_once()
    assert len(read_files) == 2 * 10
    mask = data.folder / "cases" / "spleen_4" / "mask.npy"
    os.utime(mask, (0, 0))
    opened().verify_once()
    assert read_files[2 * 10 :] == ["mask.npy"]


def test_damaged_arrays_are_deleted_and_prepared_again(opened):
    data = opened()
    data.verify_once()
    mask = data.folder / "cases" / "spleen_4" / "mask.npy"
    content = bytearray(mask.read_bytes())
    content[-1] ^= 1
    mask.write_bytes(content)
    with pytest.raises(DamagedData, match=r"mask of case spleen_4 .* It was deleted"):
        opened().verify_once()
    assert not data.folder.exists()
    opened().verify_once()


def test_a_split_over_slices_is_verified_too(opened):
    data = opened()
    split = SliceSplit(data.folder, "mine", "CT")
    split.verify_once()
    (data.folder / "cases" / "spleen_4" / "mask.npy").unlink()
    with pytest.raises(DamagedData, match="mask of case spleen_4"):
        SliceSplit(data.folder, "mine", "CT").verify_once()


@pytest.mark.parametrize("note", ["{", "[]", '{"cases/spleen_4/mask.npy": 5}'])
def test_a_damaged_note_is_no_verification(note, opened, read_files):
    data = opened()
    (data.folder / VERIFIED).write_text(note)
    read_files.clear()
    data.verify_once()
    assert len(read_files) == 2 * 10


def test_a_note_that_cannot_be_written_is_left_out(opened, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cases_module, "write_text", full)
    opened().verify_once()


def test_recorded_cells_verify_nothing(fast, options, monkeypatch):
    calls = []
    monkeypatch.setattr(cases_module.Cases, "verify_once", lambda self: calls.append(self.name))
    command.run(fast, options("--row", "Dice Loss", "--no-report"))
    assert calls == ["mine"]
    command.run(fast, options("--row", "Dice Loss", "--no-report"))
    assert calls == ["mine"]


def test_a_job_on_damaged_data_fails_by_name(fast, options, opened):
    data = opened()
    (data.folder / "cases" / "spleen_4" / "mask.npy").write_bytes(b"")
    _, failed = command.run(fast, options("--row", "Dice Loss", "--no-report"))
    assert len(failed) == 1
    assert "mask of case spleen_4" in failed[0]
    assert command.run(fast, options("--row", "Dice Loss", "--no-report"))[1] == []


def test_a_full_disk_names_the_file_and_leaves_whole_cases(opened, monkeypatch):
    save, count = np.save, []

    def full(path, *arguments, **keywords):
        count.append(path)
        if len(count) == 6:
            path.write_bytes(b"half")
            raise OSError("1152 requested and 4 written")  # As NumPy says it, without a number.
        save(path, *arguments, **keywords)

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match=r"No space left.*mask\.npy"):
        opened()
    (partial,) = (datasets.cache_folder() / "prepared").glob("*.partial")
    assert len(list((partial / "cases").iterdir())) == 2
    monkeypatch.setattr(np, "save", save)
    opened().verify()


def test_a_killed_preparation_leaves_nothing_in_the_finished_folder(opened):
    data = opened()
    expected = sorted(path.name for path in data.folder.rglob("*"))
    partial = data.folder.with_name(data.folder.name + ".partial")
    data.folder.rename(partial)
    description = json.loads((partial / "dataset.json").read_text())
    left = ("split", "cases", "fingerprint", "origin")
    config = {name: value for name, value in description.items() if name not in left}
    (partial / "config.json").write_text(json.dumps(config))
    host = subprocess.run(
        [sys.executable, "-c", "from keras_uq.files import process_name; print(process_name())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (partial / "cases" / "spleen_4" / "case.json").unlink()
    for folder in (partial, partial / "cases" / "spleen_4"):
        (folder / f".keras-uq-{host}.json").write_text("{")
    assert sorted(path.name for path in opened().folder.rglob("*")) == expected


def test_too_few_cases_leave_nothing(make_task, tmp_path):
    with pytest.raises(ValueError, match="at least three"):
        prepare_module.prepare(make_task(cases=2), tmp_path / "out", STEPS)
    assert [path.name for path in tmp_path.iterdir()] == ["Task09_Spleen"]


def test_without_locks_nobody_waits(opened, monkeypatch):
    def none(self, *arguments, **keywords):
        raise NotImplementedError

    monkeypatch.setattr(datasets.filelock.FileLock, "acquire", none)
    assert opened().folder.exists()


def test_names_that_begin_like_formulas_are_text_in_the_list_of_cases(make_task, tmp_path):
    folder = make_task(cases=4, pattern="=HYPERLINK({})")
    prepare_module.prepare(folder, tmp_path / "out", STEPS)
    lines = (tmp_path / "out" / "cases.csv").read_text().splitlines()
    assert all(line.startswith("'=HYPERLINK") for line in lines[1:])


def test_data_prep_needs_no_locks_of_unix():
    for folder in ("data_prep", "experiments/inputs"):
        for path in (Path(__file__).parents[2] / folder).rglob("*.py"):
            assert "fcntl" not in path.read_text(), path


def test_prepared_data_without_an_array_say_so(opened):
    data = opened()
    shutil.rmtree(data.folder / "cases" / "spleen_4")
    with pytest.raises(DamagedData, match=r"case\.json cannot be read"):
        data.spacing("spleen_4")
