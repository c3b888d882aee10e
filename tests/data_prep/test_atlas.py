"""ATLAS as it comes: two prefixes, no leading zeros, a folder too many, files that are no cases."""

import json
import shutil
import zipfile

import nibabel
import numpy as np
import pytest

from data_prep import atlas
from data_prep.archive import BadDataset
from data_prep.checks import Report
from data_prep.prepare import open_source, prepare
from keras_uq.preprocessing import Preprocessing

STEPS = Preprocessing(percentiles=(0.5, 99.5), median=3, size=(16, 16))


@pytest.fixture
def make_atlas(tmp_path):
    """Write the official layout below `tmp_path / name`."""

    def make(name="atlas23", cases=12, top=(atlas.ARCHIVE, atlas.ARCHIVE), skip=()):
        train = (tmp_path / name).joinpath(*top, "train")
        for part in ("imagesTr", "labelsTr"):
            (train / part).mkdir(parents=True)
        for number in range(cases):
            rng = np.random.default_rng(number)
            shape = (20 + number % 3, 18, 6)
            label = np.zeros(shape, "uint8")
            label[3:12, 4:12, 1:5] = 1
            label[5:7, 5:7, 2:4] = 2  # Disjoint: the liver of class 1 has a hole.
            image = (rng.uniform(1, 8) * (40 + 60 * (label > 0) + rng.normal(0, 4, shape))).astype("uint16")
            affine = np.diag([-1.04, 1.04, 3.0, 1.0])  # One file in two is flipped.
            affine[0, 0] *= 1 if number % 2 else -1
            for part, prefix, array in (("imagesTr", "im", image), ("labelsTr", "lb", label)):
                file = f"{prefix}{number}.nii.gz"
                (train / part / f"._{file}").write_bytes(b"Mac OS X resource fork")
                if file not in skip:
                    nibabel.save(nibabel.Nifti1Image(array, affine), train / part / file)
        (train / "imagesTr" / "readme.txt").write_text("no case")
        # A description there is, but not one that lists the cases as Decathlon does.
        (train / "dataset.json").write_text(json.dumps({"name": "ATLAS", "labels": {"liver": 1, "tumour": 2}}))
        (train.parent / "metric_calculation").mkdir()
        (train.parent / "patient_info_train.json").write_text("{}")
        return tmp_path / name

    return make


@pytest.mark.parametrize("top", [(atlas.ARCHIVE, atlas.ARCHIVE), (atlas.ARCHIVE,), ()], ids=["doubled", "once", "none"])
def test_cases_are_paired_by_number_wherever_the_folders_are(make_atlas, top):
    folder = make_atlas(top=top)
    assert atlas.is_atlas(folder)
    archive = open_source(folder, folder / "unused")
    assert [case.name for case in archive.cases] == [f"im{number}" for number in range(12)]
    assert [case.label.name for case in archive.cases] == [f"lb{number}.nii.gz" for number in range(12)]
    assert archive.labels == {0: "background", 1: "liver", 2: "tumour"}
    assert archive.modality == "MRI"


def test_an_archive_is_prepared_from_folder_and_zip(make_atlas, tmp_path):
    folder = make_atlas()
    with zipfile.ZipFile(tmp_path / f"{atlas.ARCHIVE}.zip", "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder))
    data = prepare(folder, tmp_path / "a" / "out", STEPS, foreground={1, 2})
    zipped = prepare(tmp_path / f"{atlas.ARCHIVE}.zip", tmp_path / "b" / "out", STEPS, foreground={1, 2})
    assert zipped.description["cases"] == data.description["cases"]
    assert {len(cases) for cases in data.split.values()} == {9, 1, 2}
    assert not Report.from_json((tmp_path / "a/out/report.json").read_text()).findings
    for number in range(12):
        image, mask = data.image(f"im{number}"), data.mask(f"im{number}")
        assert 0 <= image.min() < 0.15  # Each volume by its own percentiles, whatever its scale.
        assert 0.85 < image.max() <= 1
        assert np.median(image[mask > 0]) > 2 * np.median(image[mask == 0])  # Image and label belong together.


def test_what_is_missing_is_named(make_atlas, tmp_path):
    with pytest.raises(BadDataset, match="no partner for lb3, im7"):
        open_source(make_atlas(skip=("im3.nii.gz", "lb7.nii.gz")), tmp_path)
    shutil.copytree(tmp_path / "atlas23", tmp_path / "two" / "a")
    shutil.copytree(tmp_path / "atlas23", tmp_path / "two" / "b")
    with pytest.raises(BadDataset, match="2 folders imagesTr"):
        atlas.open_archive(tmp_path / "two")
    (tmp_path / "empty" / "imagesTr").mkdir(parents=True)
    assert not atlas.is_atlas(tmp_path / "empty")
    with pytest.raises(BadDataset, match=r"no im<N>.*atlas-challenge\.u-bourgogne\.fr"):
        atlas.open_archive(tmp_path / "empty")
