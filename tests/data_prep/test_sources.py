"""An archive or a folder is known by its bytes: what was replaced or mended is seen, what is the same is not read."""

import json
import os
import shutil
import tarfile
import zipfile

import nibabel
import numpy as np
import pytest

from data_prep import sources
from data_prep.archive import BadDataset
from data_prep.prepare import prepare
from data_prep.sources import Content, open_source
from keras_uq.files import digests
from keras_uq.preprocessing import Preprocessing

STEPS = Preprocessing(size=(16, 16))


@pytest.fixture
def pack(make_task, tmp_path):
    """Write `T.tar` with a spleen of one size."""

    def write(depth, mode="w"):
        def change(number, arrays):
            arrays["label"][:, :, depth:] = 0

        folder = make_task(name="T", cases=4, change=change)
        with tarfile.open(tmp_path / "T.tar", mode) as archive:
            archive.add(folder, "T")
        shutil.rmtree(folder)
        return tmp_path / "T.tar"

    return write


@pytest.fixture
def read_files(monkeypatch):
    """Paths of which the sha256 was taken, in order."""
    paths, sha256 = [], digests.sha256
    monkeypatch.setattr(digests, "sha256", lambda path: paths.append(os.path.basename(path)) or sha256(path))
    return paths


def foreground(archive):
    return sum(int(archive.read_label(case.label).voxels.sum()) for case in archive.cases)


def test_a_replaced_archive_is_unpacked_and_recorded(pack, tmp_path, read_files):
    unpacked = tmp_path / "unpacked"
    first, size = foreground(open_source(pack(3), unpacked)), (tmp_path / "T.tar").stat().st_size
    assert foreground(open_source(tmp_path / "T.tar", unpacked)) == first
    assert read_files == ["T.tar"]
    os.utime(tmp_path / "T.tar", (0, 0))
    open_source(tmp_path / "T.tar", unpacked)
    assert read_files == ["T.tar"] * 2
    assert len(list(unpacked.glob("T-*/T"))) == 1
    other = pack(2)
    os.truncate(other, size) if other.stat().st_size > size else None
    assert foreground(open_source(other, unpacked)) == first // 2
    data = prepare(other, tmp_path / "out", STEPS)
    assert data.description["source"]["archive_sha256"] == digests.sha256(other)
    assert data.description["name"] == "T"


def test_a_good_archive_in_place_of_a_damaged_one_works(pack, tmp_path):
    damaged = pack(3, "w:gz")
    content = bytearray(damaged.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 50] = bytes(50)
    damaged.write_bytes(content)
    with pytest.raises(ValueError, match=r"T\.tar cannot be unpacked"):
        open_source(damaged, tmp_path / "unpacked")
    assert not (tmp_path / "unpacked").exists() or not list((tmp_path / "unpacked").iterdir())
    assert len(open_source(pack(3), tmp_path / "unpacked").cases) == 4


def test_what_cannot_be_opened_is_not_kept(pack, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "no dataset")
    with pytest.raises(BadDataset, match=r"^a\.zip holds no dataset\.json"):
        open_source(tmp_path / "a.zip", tmp_path / "unpacked")
    assert not list((tmp_path / "unpacked").iterdir())
    (folder,) = [open_source(pack(3), tmp_path / "unpacked").cases[0].image.parents[1]]
    (folder / "dataset.json").unlink()
    assert len(open_source(tmp_path / "T.tar", tmp_path / "unpacked").cases) == 4


def test_an_archive_that_is_replaced_while_it_is_unpacked(pack, tmp_path, monkeypatch):
    extract = sources.extract

    def replace(archive, folder):
        extract(archive, folder)
        pack(2)

    monkeypatch.setattr(sources, "extract", replace)
    with pytest.raises(BadDataset, match="replaced while it was unpacked"):
        open_source(pack(3), tmp_path / "unpacked")
    assert not list((tmp_path / "unpacked").iterdir())


def test_what_a_killed_process_left_is_swept(pack, tmp_path):
    left = tmp_path / "unpacked" / "T-0123456789ab" / "T.partial"
    left.mkdir(parents=True)
    open_source(pack(3), tmp_path / "unpacked")
    assert not left.exists()


def test_archives_that_hold_one_name_with_two_contents_are_not_mixed(tmp_path):
    (tmp_path / "both").mkdir()
    for part, content in (("a", "1"), ("b", "2")):
        with zipfile.ZipFile(tmp_path / "both" / f"{part}.zip", "w") as archive:
            archive.writestr("licence.txt", "the same")
            archive.writestr("data/x.txt", content)
    with pytest.raises(BadDataset, match=r"b\.zip and another archive of its folder both hold 'data'"):
        open_source(tmp_path / "both", tmp_path / "unpacked")
    assert not list((tmp_path / "unpacked").iterdir())


def test_a_mended_label_of_a_folder_is_other_content(make_task, tmp_path, read_files):
    folder = make_task(name="mine", cases=3)
    first = Content(folder, tmp_path / "notes")
    first.note()
    count = len(read_files)
    assert count == 8  # Images and labels, one image in no list, dataset.json; no hidden files.
    assert Content(folder, tmp_path / "notes").digest == first.digest
    assert len(read_files) == count
    label = folder / "labelsTr" / "spleen_1.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((20, 18, 6), "uint8"), np.eye(4)), label)
    assert first.changed()
    assert Content(folder, tmp_path / "notes").digest != first.digest
    assert read_files[count:] == ["spleen_1.nii.gz"] * 2


@pytest.mark.parametrize("note", ["{", "[]", "null", '{"T.tar": 5}', '{"T.tar": {"size": 5}}', "\xff"])
def test_a_damaged_note_is_no_note(pack, tmp_path, note):
    content = Content(pack(3), tmp_path / "notes")
    content.note()
    (path,) = (tmp_path / "notes").iterdir()
    path.write_text(note, encoding="latin-1")
    again = Content(tmp_path / "T.tar", tmp_path / "notes")
    assert again.digest == content.digest
    assert not again.replaced()
    again.note()
    assert json.loads(path.read_text())["T.tar"]["sha256"] == content.digest


def test_notes_that_cannot_be_written_are_left_out(pack, tmp_path):
    (tmp_path / "notes").write_bytes(b"")
    Content(pack(3), tmp_path / "notes").note()


def test_folders_with_strange_names(make_task, tmp_path):
    folder = make_task(name="a b 脑", cases=3)
    with tarfile.open(tmp_path / "a b 脑.tar", "w") as archive:
        archive.add(folder, folder.name)
    assert len(open_source(tmp_path / "a b 脑.tar", tmp_path / "un packed").cases) == 3
    assert Content(folder, tmp_path / "notes").digest
