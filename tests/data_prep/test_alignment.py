"""Labels are compared as they are, and brought onto their images by what both affines say."""

import itertools

import nibabel
import numpy as np
import pytest
from nibabel import orientations

from data_prep.alignment import find_distance, says_nothing, stacked, turned
from data_prep.checks import Finding, Report, check_pair, rounded
from data_prep.prepare import _classes
from keras_uq.preprocessing import BadScan, Scan

AFFINE = np.array([[0, -2.0, 0, 31], [1.5, 0, 0, -20], [0, 0, 3, 7], [0, 0, 0, 1]])


def scan(voxels, affine=AFFINE):
    image = nibabel.Nifti1Image(voxels, affine)
    return Scan(voxels, np.asarray(affine, dtype="float64"), image.header.get_zooms()[:3], image.header)


def volume():
    return np.arange(5 * 4 * 3, dtype="int16").reshape(5, 4, 3)


EVERY_TURN = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


@pytest.mark.parametrize(("axes", "flips"), EVERY_TURN)
def test_a_label_of_any_orientation_comes_to_lie_on_its_image(axes, flips):
    image = nibabel.Nifti1Image(volume(), AFFINE)
    turn = np.array(list(zip(axes, flips)))
    stored = image.as_reoriented(turn)
    label = scan(np.asarray(stored.dataobj), stored.affine)
    on_grid = turned(scan(volume()), label)
    np.testing.assert_array_equal(on_grid.voxels, volume())
    np.testing.assert_allclose(on_grid.affine, AFFINE)
    np.testing.assert_allclose(on_grid.zooms, scan(volume()).zooms)


def test_equal_affines_leave_the_label_alone():
    label = scan(volume())
    assert turned(scan(volume()), label) is label


def codes(image, label, **options):
    found = []
    find_distance(image, label, lambda code, detail: found.append(code), **options)
    return found


def moved(by):
    affine = AFFINE.copy()
    affine[:3, 3] += by
    return affine


def test_a_label_elsewhere_in_space_is_fatal_and_half_a_voxel_is_a_warning():
    image = scan(volume())
    assert codes(image, scan(volume(), moved(0.005))) == []
    assert codes(image, scan(volume(), moved([0.7, 0, 0]))) == ["affine_mismatch"]
    assert codes(image, scan(volume(), moved([0.8, 0, 0]))) == ["apart_in_space"]
    assert codes(image, scan(volume(), moved(50)), in_space=False) == ["affine_mismatch"]
    apart = turned(image, scan(volume(), moved(50)))
    findings = check_pair("a", image, apart, range(60), "MRI")
    assert [(finding.code, finding.severity) for finding in findings] == [("apart_in_space", "fatal")]


@pytest.mark.parametrize("affine", [np.eye(4), np.diag([2, 1.5, 3, 1.0])])
def test_an_affine_that_says_nothing_leads_to_a_warning(affine):
    bare = scan(volume(), affine)
    assert says_nothing(bare)
    assert codes(scan(volume()), bare) == codes(bare, scan(volume())) == ["affine_mismatch"]


def test_a_plain_affine_is_believed_where_a_turn_makes_it_fit():
    """Image and label saved with bare affines, the label flipped by a tool: both say the same place."""
    affine = np.diag([2.0, 2, 2, 1])
    image = nibabel.Nifti1Image(volume(), affine)
    stored = image.as_reoriented(orientations.axcodes2ornt("LPS"))
    on_grid = turned(scan(volume(), affine), scan(np.asarray(stored.dataobj), stored.affine))
    np.testing.assert_array_equal(on_grid.voxels, volume())


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint16", "float32", "float64"])
def test_classes_are_merged_before_they_are_narrowed(dtype):
    label = scan(np.array([[[0, 1, 256, 257, 300]]], dtype=dtype))
    np.testing.assert_array_equal(_classes(label, {300}), [[[0, 0, 0, 0, 1]]])
    np.testing.assert_array_equal(_classes(label, {1, 256}), [[[0, 1, 1, 0, 0]]])
    with pytest.raises(BadScan, match="values from 0 to 300") as caught:
        _classes(label, None)
    assert caught.value.code == "label_values"


def test_minus_one_is_not_255():
    with pytest.raises(BadScan, match="values from -1 to 1"):
        _classes(scan(np.array([[[-1, 0, 1]]], dtype="int8")), None)


@pytest.mark.parametrize(
    ("value", "code"),
    [(1.0005, None), (1.01, "label_not_integer"), (np.nan, "label_not_finite"), (1e300, "label_not_integer")],
)
def test_labels_stored_as_floats_are_within_rounding_of_integers(value, code):
    voxels = np.array([0, value])
    if code is None:
        np.testing.assert_array_equal(rounded(voxels, "a"), [0, 1])
    else:
        with pytest.raises(BadScan, match="^a holds") as caught:
            rounded(voxels, "a")
        assert caught.value.code == code


def test_channels_on_different_grids_are_refused():
    with pytest.raises(BadScan, match="b.nii is not on the grid of a.nii"):
        stacked([scan(volume()), scan(volume(), moved(1))], ["a.nii", "b.nii"])
    assert stacked([scan(volume()), scan(volume())], ["a", "b"]).voxels.shape == (5, 4, 3, 2)


def test_findings_that_are_alike_share_a_line():
    alike = [Finding(f"case_{n}", "unreadable", f"case_{n}.tif is no picture.") for n in range(612)]
    report = Report([*alike, Finding("x", "label_empty", "Every voxel is background.")], 700)
    lines = report.to_text(shortest=10).splitlines()
    assert len(lines) == 3
    assert "612 cases (case_0, case_1, case_10, ...)  unreadable: case_0.tif is no picture." in lines[1]
    assert len(report.to_text().splitlines()) == 614


def test_the_summary_counts_warnings_and_names_the_worst():
    findings = [
        Finding("a", "label_empty", "Empty."),
        Finding("b", "affine_mismatch", "Apart."),
        Finding("b", "label_empty", "Empty."),
    ]
    summary = Report(findings, 9).summary()
    assert summary.startswith("2 of 9 cases have warnings: affine_mismatch 1, label_empty 2. The worst, b, affine_mism")
    assert Report([Finding("a", "missing", "Gone.")], 9).summary() == ""


@pytest.mark.parametrize("text", ["[]", "{", '{"cases": 1, "findings": [5]}', '{"cases": -1, "findings": []}'])
def test_a_damaged_report_is_said_to_be_so(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ValueError, match=r"report.json"):
        Report.read(tmp_path)
