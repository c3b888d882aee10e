"""From an archive with the official traps to a prepared folder."""

import dataclasses
import json
import tarfile

import nibabel
import numpy as np
import pytest

from data_prep import prepare as prepare_module
from data_prep.archive import BadDataset, split_patients
from data_prep.checks import KINDS, Report
from data_prep.decathlon import find_task, open_archive
from data_prep.prepare import open_source, prepare
from data_prep.prepared import DamagedData, Prepared
from keras_uq.preprocessing import Preprocessing, read_nifti

STEPS = Preprocessing(window=(300, 150), median=3, size=(16, 16))


def test_the_list_decides_and_names_sort_by_number(make_task):
    archive = open_archive(make_task())
    cases, labels = archive.cases, archive.labels
    assert archive.modality == "CT"
    assert [case.name for case in cases] == [f"spleen_{number}" for number in range(1, 13)]
    assert labels == {0: "background", 1: "spleen"}


def test_a_task_is_prepared(make_task, tmp_path):
    data = prepare(make_task(), tmp_path / "out", STEPS, foreground={1})
    assert sorted(case for cases in data.split.values() for case in cases) == sorted(
        f"spleen_{number}" for number in range(1, 13)
    )
    image, mask = data.image("spleen_3"), data.mask("spleen_3")
    assert isinstance(image, np.memmap)
    assert image.shape == mask.shape == (6, 16, 16, 1)
    assert image.dtype == np.float32
    assert mask.dtype == np.uint8
    scan = nibabel.load(tmp_path / "Task09_Spleen/imagesTr/spleen_3.nii.gz")
    expected, _ = STEPS.image(np.asarray(scan.dataobj), scan.affine)
    np.testing.assert_array_equal(image, expected)
    assert not (tmp_path / "out.partial").exists()
    lines = (tmp_path / "out" / "cases.csv").read_text().splitlines()
    assert lines[0].startswith("case,depth,height,width,channels,foreground_voxels,spacing_x_mm")
    assert len(lines) == 13
    data.verify()


def test_a_tar_gives_what_its_folder_gives(make_task, tmp_path):
    folder = make_task()
    with tarfile.open(tmp_path / "Task09_Spleen.tar", "w") as tar:
        tar.add(folder, "Task09_Spleen")
    from_folder = prepare(folder, tmp_path / "a" / "out", STEPS, foreground={1})
    from_tar = prepare(tmp_path / "Task09_Spleen.tar", tmp_path / "b" / "out", STEPS, foreground={1})
    assert from_tar.description["cases"] == from_folder.description["cases"]
    assert len(from_tar.description["source"]["archive_sha256"]) == 64
    assert from_tar.description["origin"]["official_archive"] is False
    assert from_tar.description["origin"]["official_md5"] == "410d4a301da4e5b2f6f86ec3ddba524e"
    assert from_folder.description["origin"]["official_archive"] is None


def test_preparing_twice_gives_the_same_fingerprint(make_task, tmp_path):
    folder = make_task()
    first, second = (prepare(folder, tmp_path / name, STEPS, foreground={1}) for name in ("a", "b"))
    assert first.fingerprint == second.fingerprint
    other = prepare(folder, tmp_path / "c", Preprocessing(window=(400, 40), size=(16, 16)), foreground={1})
    assert other.fingerprint != first.fingerprint


def test_an_interrupted_preparation_takes_up_its_finished_cases(make_task, tmp_path, monkeypatch):
    folder, seen = make_task(), []
    expected = prepare(folder, tmp_path / "whole", STEPS, foreground={1})
    open_source, reader = prepare_module.open_source, [None]

    def opened(*arguments):
        return dataclasses.replace(open_source(*arguments), read_image=reader[0], read_label=reader[0])

    def interrupted(path):
        seen.append(path.name)
        if len(seen) == 9:
            raise KeyboardInterrupt
        return read_nifti(path)

    reader[0] = interrupted
    monkeypatch.setattr(prepare_module, "open_source", opened)
    with pytest.raises(KeyboardInterrupt):
        prepare(folder, tmp_path / "cut", STEPS, foreground={1})
    assert not (tmp_path / "cut").exists()
    data = prepare(folder, tmp_path / "cut", STEPS, foreground={1})
    assert len(seen) == 9 + (2 * 12 - 8) + 2  # The last two are the example's.
    assert data.fingerprint == expected.fingerprint
    with pytest.raises(KeyboardInterrupt):
        seen.clear()
        prepare(folder, tmp_path / "changed", STEPS, foreground={1})
    seen.clear()
    reader[0] = lambda path: seen.append(path.name) or read_nifti(path)
    prepare(folder, tmp_path / "changed", Preprocessing(size=(16, 16)), foreground={1})
    assert len(seen) == 24 + 2  # Another configuration takes up nothing.


def test_classes_are_kept_or_merged(make_task, tmp_path):
    folder = make_task(labels=("background", "pancreas", "cancer"))
    steps = Preprocessing(multiple=4)
    kept = prepare(folder, tmp_path / "kept", steps)
    merged = prepare(folder, tmp_path / "merged", steps, foreground={1, 2})
    alone = prepare(folder, tmp_path / "alone", steps, foreground={2})
    assert set(np.unique(kept.mask("spleen_1"))) == {0, 1, 2}
    np.testing.assert_array_equal(merged.mask("spleen_1"), kept.mask("spleen_1") > 0)
    np.testing.assert_array_equal(alone.mask("spleen_1"), kept.mask("spleen_1") == 2)
    with pytest.raises(BadDataset, match=r"names the labels \[5\]"):
        prepare(folder, tmp_path / "x", steps, foreground={5})


def test_slices_of_all_cases_share_a_canvas(make_task, tmp_path):
    def change(number, arrays):
        cut = (slice(14 + number % 3), slice(12 + number % 4))
        arrays["image"], arrays["label"] = arrays["image"][cut], arrays["label"][cut]

    data = prepare(make_task(change=change), tmp_path / "out", Preprocessing(multiple=4), foreground={1})
    assert {data.image(case).shape[1:] for cases in data.split.values() for case in cases} == {(16, 16, 1)}
    assert data.description["preprocessing"]["canvas"] == [15, 16]


def corrupt(array, value, at=(3, 3, 3)):
    array = array.astype("float32")
    array[at] = value
    return array


FATAL = {
    "shape_mismatch": lambda a: a.update(label=a["label"][:-1]),
    "spacing_mismatch": lambda a: a.update(label_affine=np.diag([0.8, 0.8, 4.0, 1.0])),
    "label_channels": lambda a: a.update(label=np.stack([a["label"]] * 2, -1)),
    "label_not_integer": lambda a: a.update(label=corrupt(a["label"], 0.4)),
    "label_not_finite": lambda a: a.update(label=corrupt(a["label"], np.nan)),
    "unknown_label": lambda a: a.update(label=corrupt(a["label"], 7)),
    "image_not_finite": lambda a: a.update(image=corrupt(a["image"], np.inf)),
    "image_constant": lambda a: a.update(image=np.zeros_like(a["image"])),
}
WARNINGS = {
    "affine_mismatch": lambda a: a.update(label_affine=a["affine"] + shift()),
    "label_empty": lambda a: a.update(label=np.zeros_like(a["label"])),
}


def shift():
    matrix = np.zeros((4, 4))
    matrix[0, 3] = 12.0
    return matrix


@pytest.mark.parametrize("code", FATAL)
def test_fatal_findings_stop_and_can_be_left_out(make_task, tmp_path, code):
    folder = make_task(change=lambda number, arrays: FATAL[code](arrays) if number in (2, 5) else None)
    with pytest.raises(BadDataset) as caught:
        prepare(folder, tmp_path / "out", STEPS, foreground={1})
    said = str(caught.value)
    assert "2 of 12 cases cannot be used" in said
    assert f"spleen_2  {code}" in said
    assert f"spleen_5  {code}" in said
    assert KINDS[code][1] in said
    assert not (tmp_path / "out").exists()
    data = prepare(folder, tmp_path / "out", STEPS, foreground={1}, skip_bad=True)
    assert sum(map(len, data.split.values())) == 10
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {finding["case"] for finding in report["findings"] if finding["severity"] == "fatal"} == {
        "spleen_2",
        "spleen_5",
    }
    assert Report.from_json(json.dumps(report)).to_text() == (tmp_path / "out" / "report.txt").read_text()


@pytest.mark.parametrize("code", WARNINGS)
def test_warnings_are_reported_and_do_not_stop(make_task, tmp_path, code):
    folder = make_task(change=lambda number, arrays: WARNINGS[code](arrays) if number == 4 else None)
    data = prepare(folder, tmp_path / "out", STEPS, foreground={1})
    assert sum(map(len, data.split.values())) == 12
    report = Report.from_json((tmp_path / "out" / "report.json").read_text())
    assert [(finding.case, finding.code, finding.severity) for finding in report.findings] == [
        ("spleen_4", code, "warning")
    ]


def test_copies_of_an_image_and_unit_affines_are_noticed(make_task, tmp_path):
    first = {}

    def change(number, arrays):
        first.setdefault("image", arrays["image"])
        if number == 7:
            arrays["image"] = first["image"]

    folder = make_task(change=change)
    path = folder / "imagesTr" / "spleen_3.nii.gz"
    image = nibabel.load(path)
    header = image.header.copy()
    broken = nibabel.Nifti1Image(np.asarray(image.dataobj), None, header)
    broken.header.set_qform(np.diag([0.8, 0.8, 5.0, 1.0]), code=1)
    broken.header.set_sform(np.eye(4), code=1)
    nibabel.save(broken, path)
    prepare(folder, tmp_path / "out", STEPS, foreground={1})
    found = {(f.case, f.code) for f in Report.from_json((tmp_path / "out" / "report.json").read_text()).findings}
    assert ("spleen_7", "duplicate_image") in found
    assert ("spleen_3", "affine_zooms") in found


def test_missing_and_damaged_files_are_in_the_one_report(make_task, tmp_path):
    folder = make_task()
    (folder / "imagesTr" / "spleen_1.nii.gz").unlink()
    (folder / "labelsTr" / "spleen_2.nii.gz").write_bytes(b"no scan")
    whole = (folder / "imagesTr" / "spleen_3.nii.gz").read_bytes()
    (folder / "imagesTr" / "spleen_3.nii.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadDataset) as caught:
        prepare(folder, tmp_path / "out", STEPS, foreground={1})
    for line in ("spleen_1  missing", "spleen_2  unreadable", "spleen_3  truncated"):
        assert line in str(caught.value)


BAD_JSON = {
    "no json": "{",
    "no labels": '{"training": []}',
    "labels as a list": '{"labels": ["a"], "training": []}',
    "no cases": '{"labels": {"0": "b"}, "training": []}',
    "strings for cases": '{"labels": {"0": "b"}, "training": ["a.nii.gz"]}',
    "a way out": '{"labels": {"0": "b"}, "training": [{"image": "../../x.nii.gz", "label": "y.nii.gz"}]}',
    "twice": '{"labels": {"0": "b"}, "training": [%s, %s]}' % (('{"image": "a.nii", "label": "a.nii"}',) * 2),
}


@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON)
def test_descriptions_that_are_none_are_refused(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(BadDataset, match=r"dataset\.json"):
        open_archive(tmp_path)


def described(**changes):
    content = {"labels": {"0": "b", "1": "o"}, "training": [{"image": "imagesTr/a.nii", "label": "labelsTr/a.nii"}]}
    return {**content, **changes}


FIELDS = {
    "labels by name": ({"labels": {"background": 0}}, r"`labels` to be a dictionary.*Received: {'background': 0}"),
    "another digit": ({"labels": {"0": "b", "²": "o"}}, r"whole numbers as keys of `labels`.*'²'"),
    "a number twice": ({"labels": {"0": "b", "1": "o", "01": "o"}}, r"each once. Received: '01'"),
    "no background": ({"labels": {"1": "o", "2": "t"}}, "with 0 for background"),
    "a number for an image": (
        {"training": [{"image": 5, "label": "a"}]},
        r"expected `training`.*Received: \[{'image': 5",
    ),
    "no label": ({"training": [{"image": "a.nii"}]}, r"`training` lacks label"),
    "NUL": ({"training": [{"image": "a\0.nii", "label": "a"}]}, "expected `image` to be the path of a file"),
    "a long name": ({"training": [{"image": "x" * 300 + ".nii", "label": "a"}]}, "at most 240 bytes"),
    "a folder": (
        {"training": [{"image": "imagesTr", "label": "a"}]},
        "that end in .nii or .nii.gz. Received: 'imagesTr'",
    ),
    "a line": ({"training": [{"image": "a\nb.nii", "label": "a"}]}, "printable characters"),
    "a backslash": ({"training": [{"image": "imagesTr\\a.nii", "label": "a"}]}, "without a backslash"),
    "a surrogate": ({"training": [{"image": "\udce9.nii", "label": "a"}]}, "printable characters"),
    "markup": ({"training": [{"image": "../[/bold].nii", "label": "a"}]}, r"'../\[/bold\].nii', which leads out"),
    "modality as text": ({"modality": "CT"}, "expected `modality` to be a dictionary"),
}


@pytest.mark.parametrize(("changes", "message"), FIELDS.values(), ids=FIELDS)
def test_errors_of_a_description_name_the_field(tmp_path, changes, message):
    (tmp_path / "dataset.json").write_text(json.dumps(described(**changes)))
    with pytest.raises(BadDataset, match=message):
        open_archive(tmp_path)


@pytest.mark.parametrize(
    "content", ["[" * 200_000, "[]", "null", b"\xff\xfe", '{"labels": {"%s": "o"}}' % ("9" * 5000)]
)
def test_what_is_no_description_is_refused_by_name(tmp_path, content):
    (tmp_path / "dataset.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadDataset, match=r"dataset\.json"):
        open_archive(tmp_path)


def test_a_byte_order_mark_is_no_error(make_task):
    folder = make_task()
    (folder / "dataset.json").write_bytes(b"\xef\xbb\xbf" + (folder / "dataset.json").read_bytes())
    assert len(open_archive(folder).cases) == 12


@pytest.mark.parametrize("pattern", ["label{:04d}", "im{}"])
def test_a_description_decides_before_the_names_of_files(make_task, tmp_path, pattern):
    archive = open_source(make_task(pattern=pattern), tmp_path / "unpacked")
    assert archive.name == "Task09_Spleen"
    assert len(archive.cases) == 12


@pytest.mark.parametrize("labels", [{0: "b", 5: "o"}, {0: "b", -1: "ignore", 1: "o"}, {0: "b", 256: "o"}])
def test_labels_that_masks_cannot_hold_are_refused_before_any_case_is_read(make_task, tmp_path, labels):
    folder = make_task()
    content = json.loads((folder / "dataset.json").read_text())
    content["labels"] = {str(value): name for value, name in labels.items()}
    (folder / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(BadDataset, match=r"Received: \["):
        prepare(folder, tmp_path / "out", STEPS)
    assert not (tmp_path / "out.partial").exists()


def test_an_organ_of_label_300_is_all_there(make_task, tmp_path):
    expected = prepare(make_task(name="one"), tmp_path / "expected", STEPS, foreground={1})
    folder = make_task(change=lambda number, arrays: arrays.update(label=arrays["label"].astype("int16") * 300))
    content = json.loads((folder / "dataset.json").read_text())
    content["labels"] = {"0": "background", "300": "spleen"}
    (folder / "dataset.json").write_text(json.dumps(content))
    data = prepare(folder, tmp_path / "out", STEPS, foreground={300})
    assert data.description["cases"] == expected.description["cases"]


def test_any_error_of_a_case_is_that_cases_finding(make_task, tmp_path, monkeypatch):
    read = Preprocessing.image
    numbers = iter(range(100))

    def image(self, voxels, affine):
        if next(numbers) == 1:
            raise MemoryError("no room")
        return read(self, voxels, affine)

    monkeypatch.setattr(Preprocessing, "image", image)
    with pytest.raises(
        BadDataset, match=r"1 of 12 cases cannot be used.*\n.*\nfatal .* spleen_2  failed: MemoryError: 'no room'"
    ):
        prepare(make_task(), tmp_path / "out", STEPS, foreground={1})
    assert not (tmp_path / "out.partial").exists()


def test_many_findings_of_one_kind_are_one_line_and_a_file(make_task, tmp_path):
    folder = make_task(cases=12)
    for path in (folder / "imagesTr").glob("spleen_*"):
        path.write_bytes(b"junk" * 100)
    with pytest.raises(BadDataset) as caught:
        prepare(folder, tmp_path / "out", STEPS, foreground={1})
    assert "12 cases (spleen_1, spleen_10, spleen_11, ...)  unreadable" in str(caught.value)
    assert len((tmp_path / "out.report.txt").read_text().splitlines()) == 13


def test_a_raw_folder_of_nnunet_is_read(make_task, tmp_path):
    folder = make_task()
    expected = prepare(folder, tmp_path / "expected", STEPS, foreground={1})
    for path in [*(folder / "imagesTr").iterdir()]:
        if path.name.startswith("spleen"):
            path.rename(path.with_name(path.name.replace(".nii.gz", "_0000.nii.gz")))
    content = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "spleen": 1}, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps({**content, "numTraining": 6}))
    data = prepare(folder, tmp_path / "out", STEPS, foreground={1})
    assert data.description["cases"] == expected.description["cases"]
    for wrong, message in {
        "regions": ({"labels": {"background": 0, "whole": [1, 2]}}, "Regions, which have several"),
        "ignore": ({"labels": {"background": 0, "o": 1, "ignore": 2}}, "an ignore label"),
        "ending": ({"file_ending": ".png"}, r"'.png' cannot be read"),
        "channel": ({"channel_names": {"0": "T1", "1": "T2"}}, "has no imagesTr/spleen_1_0001.nii.gz"),
    }.values():
        (folder / "dataset.json").write_text(json.dumps({**content, **wrong}))
        with pytest.raises(BadDataset, match=message):
            open_source(folder, tmp_path / "unpacked")


def test_a_task_unpacked_twice_is_found(make_task, tmp_path):
    folder = make_task()
    assert find_task(tmp_path) == folder
    assert find_task(folder) == folder
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadDataset, match=r"holds no dataset\.json"):
        find_task(tmp_path / "empty")


def test_damage_after_preparation_is_noticed(make_task, tmp_path):
    data = prepare(make_task(), tmp_path / "out", STEPS, foreground={1})
    mask = tmp_path / "out" / "cases" / "spleen_4" / "mask.npy"
    content = bytearray(mask.read_bytes())
    content[-1] ^= 1
    mask.write_bytes(content)
    with pytest.raises(DamagedData, match="mask of case spleen_4"):
        data.verify()
    mask.unlink()
    with pytest.raises(DamagedData, match="cannot be opened"):
        data.mask("spleen_4")
    description = tmp_path / "out" / "dataset.json"
    description.write_text(description.read_text().replace("spleen_1", "spleen_X"))
    with pytest.raises(DamagedData, match="changed after"):
        Prepared(tmp_path / "out").verify()
    description.write_text("{")
    with pytest.raises(DamagedData, match="cannot be read"):
        Prepared(tmp_path / "out")
    with pytest.raises(DamagedData, match="not a prepared folder"):
        Prepared(tmp_path)


def test_split_is_by_patient_with_the_papers_shares():
    names = [f"p{number}" for number in range(60)]
    split = split_patients(names, seed=0)
    assert {key: len(value) for key, value in split.items()} == {"train": 43, "validation": 5, "test": 12}
    assert sorted(case for cases in split.values() for case in cases) == sorted(names)
    assert split_patients(names[::-1], seed=0) == split
    assert split_patients(names, seed=1) != split
    assert all(split_patients(names[:3], seed=0).values())
    with pytest.raises(ValueError, match="at least three"):
        split_patients(names[:2], seed=0)


def test_the_pancreas_as_released(make_task, tmp_path):
    """Numbers with zeros in front and gaps between, padding far below air, a tumour in a hole of class 1."""

    def change(number, arrays):
        arrays["image"][:2] = -2048

    numbers = (1, 4, 5, 12, 98, 99, 100, 421)
    labels = ("background", "pancreas", "cancer")
    folder = make_task("Task07_Pancreas", change=change, labels=labels, pattern="pancreas_{:03d}", numbers=numbers)
    data = prepare(folder, tmp_path / "out", STEPS, foreground={1, 2})
    assert sorted(data.description["cases"]) == [f"pancreas_{number:03d}" for number in numbers]
    alone = prepare(folder, tmp_path / "alone", STEPS, foreground={1})
    for number in numbers:
        case = f"pancreas_{number:03d}"
        assert 0 <= data.image(case).min() <= data.image(case).max() <= 1
        assert np.count_nonzero(alone.mask(case)) < np.count_nonzero(data.mask(case))


def test_the_liver_as_released(make_task, tmp_path):
    """Numbers that are not padded, 131 missing, and files that are stored the other way round."""

    def change(number, arrays):
        if number % 2:
            arrays["affine"] = np.diag([-0.8, 0.8, 5.0, 1.0])
            arrays["image"], arrays["label"] = arrays["image"][::-1].copy(), arrays["label"][::-1].copy()

    labels = ("background", "liver", "cancer")
    numbers = (0, 2, 10, 28, 47, 129, 130)
    folder = make_task("Task03_Liver", change=change, labels=labels, pattern="liver_{}", numbers=numbers)
    assert [case.name for case in open_archive(folder).cases] == [f"liver_{number}" for number in numbers]
    data = prepare(folder, tmp_path / "out", STEPS, foreground={1, 2})
    first = data.mask("liver_0")
    for number in numbers[1:]:  # One body, whichever way its file runs.
        np.testing.assert_array_equal(data.mask(f"liver_{number}"), first)


def test_the_example_shows_each_step_of_one_slice(make_task, tmp_path):
    data = prepare(make_task(), tmp_path / "out", STEPS, foreground={1})
    with np.load(tmp_path / "out" / "example.npz") as example:
        assert str(example["case"]) == data.split["test"][0]
        original, rescaled, filtered = (example[name] for name in ("original", "rescaled", "filtered"))
        assert example["mask"].sum() == 8 * 6  # The largest cross-section of the label.
    assert original.shape == (18, 20)  # As scanned, not as the network sees it.
    np.testing.assert_allclose(rescaled, np.clip(original / 300, 0, 1), atol=1e-6)
    assert filtered[5, 5] == np.median(rescaled[4:7, 4:7])


def test_a_ct_with_voxels_of_one_millimetre_is_reported(make_task, tmp_path):
    """Spacing was lost in some public copies of the liver scans."""

    def change(number, arrays):
        if number in (2, 9):
            arrays["affine"] = np.diag([-1.0, 1.0, 1.0, 1.0])

    prepare(make_task("Task03_Liver", change=change), tmp_path / "out", STEPS, foreground={1})
    found = Report.from_json((tmp_path / "out" / "report.json").read_text()).findings
    assert [(finding.case, finding.code) for finding in found] == [
        ("spleen_2", "unit_spacing"),
        ("spleen_9", "unit_spacing"),
    ]


@pytest.mark.data
def test_the_real_hippocampus_archive(real_data, tmp_path):
    steps = Preprocessing(percentiles=(0.5, 99.5), median=3, multiple=16)
    data = prepare(real_data / "msd" / "Task04_Hippocampus.tar", tmp_path / "out", steps, foreground={1, 2})
    assert sum(map(len, data.split.values())) == 260
    report = Report.from_json((tmp_path / "out" / "report.json").read_text())
    assert not report.fatal
    data.verify()
    for case in data.split["test"][:5]:
        image, mask = data.image(case), data.mask(case)
        assert image.shape[1:] == (64, 48, 1)
        assert 0 <= image.min() < image.max() <= 1
        assert 0.005 < (mask > 0).mean() < 0.1
