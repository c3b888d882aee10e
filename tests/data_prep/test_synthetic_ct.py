"""The phantom is the same every time, differs between patients, and is not solved by a threshold."""

import json

import nibabel
import numpy as np
import pytest

from data_prep import synthetic_ct
from data_prep.decathlon import open_archive
from data_prep.prepare import prepare
from keras_uq.files import sha256
from keras_uq.preprocessing import Preprocessing


@pytest.fixture(scope="module")
def patients():
    return [synthetic_ct.patient(0, index) for index in range(8)]


@pytest.fixture(scope="module")
def tasks(patients, tmp_path_factory):
    """Folder of one task of three patients for each organ."""
    folder = tmp_path_factory.mktemp("tasks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic_ct, "patient", lambda seed, index: patients[index])
        for organ in synthetic_ct.LABELS:
            synthetic_ct.write_task(folder / organ, organ, patients=3)
    return folder


def test_same_seed_same_patient_and_others_differ(patients):
    again = synthetic_ct.patient(0, 0)
    np.testing.assert_array_equal(again[0], patients[0][0])
    np.testing.assert_array_equal(again[1]["pancreas"], patients[0][1]["pancreas"])
    assert not np.array_equal(patients[1][0], patients[0][0])
    assert not np.array_equal(synthetic_ct.patient(1, 0)[0], patients[0][0])


def test_hounsfield_units_are_plausible(patients):
    for voxels, organs in patients:
        assert voxels.dtype == np.int16
        assert -1100 < np.median(voxels[0]) < -900
        assert 100 < np.median(voxels[organs["spleen"] == 1]) < 160
        assert 60 < np.median(voxels[organs["pancreas"] == 1]) < 110
        assert voxels.max() > 300
        if (organs["pancreas"] == 2).any():
            assert np.median(voxels[organs["pancreas"] == 2]) < np.median(voxels[organs["pancreas"] == 1]) - 10


def test_pancreas_is_small_irregular_and_sometimes_has_a_tumour(patients):
    shares = [np.mean(organs["pancreas"] > 0) for _, organs in patients]
    assert all(0.002 < share < 0.03 for share in shares)
    assert max(shares) > 1.2 * min(shares)
    tumours = [bool((organs["pancreas"] == 2).any()) for _, organs in patients]
    assert 0 < sum(tumours) < len(tumours)
    slices = [(organs["pancreas"] > 0).any(axis=(0, 1)) for _, organs in patients]
    assert any(not present.all() for present in slices)  # Some slices are empty.


def test_the_mri_has_arbitrary_units_and_its_liver_a_tumour(patients):
    scales = []
    for index, (voxels, organs) in enumerate(patients):
        image = synthetic_ct.as_mri(voxels, 0, index)
        liver, tumour = organs["liver"] == 1, organs["liver"] == 2
        assert image.shape == voxels.shape
        assert image.min() >= 0
        assert 0.02 < liver.mean() < 0.15
        assert tumour.any()
        assert np.median(image[tumour]) < 0.95 * np.median(image[liver])
        assert np.median(voxels[liver]) > 90
        scales.append(np.median(image[liver]))
        np.testing.assert_array_equal(image, synthetic_ct.as_mri(voxels, 0, index))
    assert max(scales) > 2 * min(scales)


def test_no_threshold_finds_the_pancreas(patients):
    best = 0.0
    for low in range(30, 110, 10):
        for width in (20, 40, 60):
            hit = size = 0
            for voxels, organs in patients:
                found, label = (voxels >= low) & (voxels < low + width), organs["pancreas"] > 0
                hit, size = hit + 2 * np.sum(found & label), size + found.sum() + label.sum()
            best = max(best, hit / size)
    assert best < 0.3


def test_a_task_has_the_official_layout(tasks, tmp_path):
    for organ in synthetic_ct.LABELS:
        archive = open_archive(tasks / organ)
        cases, labels = archive.cases, archive.labels
        assert len(cases) == 3
        assert labels == synthetic_ct.LABELS[organ]
        image = nibabel.load(cases[0].image)
        assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
        np.testing.assert_allclose(image.header.get_zooms(), synthetic_ct.SPACING)
        assert json.loads((tasks / organ / "dataset.json").read_text())["modality"] == {
            "0": "MRI" if organ == "liver" else "CT"
        }
    data = prepare(tasks / "pancreas", tmp_path / "out", Preprocessing(window=(300, 150), size=(32, 32)), {1, 2})
    assert set(np.unique(data.mask("synthetic_000"))) == {0, 1}
    # In LPS rows run from front to back: the spine, behind, is in the lower half.
    picture = data.image("synthetic_000")[8, :, :, 0]
    assert np.argmax(picture.mean(axis=1) * (picture.max(axis=1) == 1)) > 16


def test_files_are_the_same_every_time(tasks, tmp_path):
    synthetic_ct.write_task(tmp_path / "again", patients=3)
    for name in ("imagesTr/synthetic_001.nii.gz", "labelsTr/synthetic_002.nii.gz"):
        first, second = (
            np.asarray(nibabel.load(folder / name).dataobj) for folder in (tasks / "pancreas", tmp_path / "again")
        )
        np.testing.assert_array_equal(first, second)
    assert sha256(tasks / "pancreas" / "dataset.json") == sha256(tmp_path / "again" / "dataset.json")


def test_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match="organ"):
        synthetic_ct.write_task(tmp_path / "x", organ="heart")
    with pytest.raises(ValueError, match="at least 3"):
        synthetic_ct.write_task(tmp_path / "x", patients=2)
    assert not list(tmp_path.iterdir())
