"""The steps against their slow twins, the way back, and headers that lie."""

import gzip
import itertools
import json
import os
import struct
import subprocess
import sys
import tracemalloc
import warnings

import cv2
import nibabel
import numpy as np
import pytest
from scipy import ndimage

from keras_uq.files import BadFile
from keras_uq.preprocessing import BadScan, Preprocessing, read_geometry, read_nifti

LPS = np.diag([-1.0, -1.0, 2.0, 1.0])


def volume(shape=(9, 7, 4), seed=0):
    return np.random.default_rng(seed).integers(-300, 500, shape).astype("int16")


def test_window_is_clipped_and_scaled():
    image, _ = Preprocessing(window=(300, 150)).image(volume(), LPS)
    expected = (np.clip(volume(), 0, 300) / 300).transpose(2, 1, 0)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[..., 0], expected, atol=1e-6)


def test_percentiles_are_those_of_the_volume_and_of_each_channel():
    voxels = np.stack([volume(seed=0), 100 * volume(seed=1).astype("int32")], axis=-1)
    image, _ = Preprocessing(percentiles=(5, 95)).image(voxels, LPS)
    for channel in range(2):
        low, high = np.percentile(voxels[..., channel], (5, 95))
        expected = (np.clip(voxels[..., channel], low, high) - low) / (high - low)
        np.testing.assert_allclose(image[..., channel], expected.transpose(2, 1, 0), atol=1e-5)
    constant, _ = Preprocessing(percentiles=(5, 95)).image(np.full((4, 4, 2), 7), LPS)
    assert (constant == 0).all()


@pytest.mark.parametrize("side", [3, 5])
def test_median_is_scipys_in_each_slice(side):
    image, _ = Preprocessing(median=side).image(volume((20, 15, 3)), LPS)
    expected = ndimage.median_filter(volume((20, 15, 3)).astype("float64"), size=(side, side, 1), mode="nearest")
    np.testing.assert_allclose(image[..., 0], expected.transpose(2, 1, 0))


def test_resizing_is_bilinear_for_images_and_nearest_for_masks():
    ramp = np.repeat(np.arange(8.0)[:, None, None], 6, axis=1) * np.ones((8, 6, 2))
    steps = Preprocessing(size=(12, 16))
    image, _ = steps.image(ramp, LPS)
    assert image.shape == (2, 12, 16, 1)
    # Twice the columns: samples at quarter positions of the ramp.
    np.testing.assert_allclose(image[0, 0, 1:-1, 0], np.arange(0.25, 7, 0.5), atol=1e-5)
    labels = (ramp > 3.5).astype("uint8") * 2
    mask = steps.mask(labels, LPS)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask[0, 0, :, 0], [0] * 8 + [2] * 8)
    # A third of the columns and rows: the middle of each block of nine.
    numbers = np.arange(81, dtype="uint8").reshape(9, 9, 1)
    smaller = Preprocessing(orientation=None, size=(3, 3)).mask(numbers, LPS)[0, :, :, 0]
    np.testing.assert_array_equal(smaller, numbers[1::3, 1::3, 0].T)


def test_slices_are_padded_with_zeros_in_the_middle():
    image, geometry = Preprocessing(canvas=(10, 8), multiple=4).image(volume((9, 7, 4)), LPS)
    assert image.shape == (4, 12, 12, 1)
    assert geometry.offset == (2, 1)
    np.testing.assert_array_equal(image[:, 2:9, 1:10, 0], volume((9, 7, 4)).transpose(2, 1, 0))
    assert (image[:, :2] == 0).all()


ORIENTATIONS = [
    "".join(signs) for axes in (("LR", "AP", "SI"), ("SI", "LR", "AP")) for signs in itertools.product(*axes)
]


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_every_orientation_gives_the_same_slices_and_comes_back(axes):
    source, affine = volume(), LPS
    start = nibabel.orientations.io_orientation(affine)
    change = nibabel.orientations.ornt_transform(start, nibabel.orientations.axcodes2ornt(tuple(axes)))
    turned = nibabel.orientations.apply_orientation(source, change)
    turned_affine = affine @ nibabel.orientations.inv_ornt_aff(change, source.shape)
    steps = Preprocessing(orientation="LPS", multiple=4)
    expected, _ = steps.image(source, affine)
    image, geometry = steps.image(turned, turned_affine)
    np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(geometry.restore(image[..., 0]), turned)
    assert steps.slice_shape(turned.shape, turned_affine) == (7, 9)


def test_without_orientation_the_files_axes_stay():
    image, geometry = Preprocessing(orientation=None).image(volume(), np.diag([1.0, 1.0, 1.0, 1.0]))
    np.testing.assert_array_equal(image[..., 0], volume().transpose(2, 1, 0))
    np.testing.assert_array_equal(geometry.restore(image[..., 0]), volume())


def test_maps_come_back_resized():
    steps = Preprocessing(size=(14, 18), multiple=4)
    source = np.zeros((9, 7, 2))
    source[2:6, 2:5] = 1
    image, geometry = steps.image(source, LPS)
    back = geometry.restore(np.ascontiguousarray(image[..., 0]))
    assert back.shape == source.shape
    np.testing.assert_allclose(back[3:5, 3:4], 1, atol=0.02)
    mask = geometry.restore(steps.mask(source.astype("uint8"), LPS)[..., 0], "nearest")
    np.testing.assert_array_equal(mask, source)
    with pytest.raises(ValueError, match="Expected a map of shape"):
        geometry.restore(np.zeros((2, 3, 4)))


def test_configuration_travels_as_json():
    steps = Preprocessing(window=(300, 150), median=3, size=(256, 256), canvas=(8, 8), multiple=16)
    assert Preprocessing.from_json(steps.to_json()) == steps
    with pytest.raises(ValueError, match="newer version"):
        Preprocessing.from_json('{"bilateral": 3}')


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": (0, 100)},
        {"window": (300, 150), "percentiles": (1, 99)},
        {"percentiles": (99, 1)},
        {"median": 4},
        {"size": (256,)},
        {"size": (32.5, 32)},
        {"size": (10**6, 10**6)},
        {"size": "ab"},
        {"canvas": (-5, 4)},
        {"crop": (0, 8)},
        {"multiple": 0},
        {"multiple": 10**6},
        {"multiple": "16"},
        {"multiple": True},
        {"median": 3.0},
        {"window": (np.nan, 1)},
        {"window": (np.inf, 1)},
        {"window": (1e-9, 1000.0)},  # In float32 both bounds are 1000: every voxel would be 0.
        {"window": (None, None)},
        {"window": 5},
        {"percentiles": ("a", 1)},
        {"spacing": (1e-9, 1, 1)},
        {"spacing": (1e9, 1, 1)},
        {"orientation": "XYZ"},
        {"orientation": "LLS"},
        {"orientation": "LP"},
        {"orientation": ""},
        {"orientation": 5},
        {"zscore": "no"},
    ],
    ids=repr,
)
def test_wrong_configurations_are_refused(wrong):
    (name,) = (name for name in wrong if name != "window" or len(wrong) == 1)
    with pytest.raises(ValueError, match=f"`{name}`"):
        Preprocessing(**wrong)
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in wrong.items()}
    with pytest.raises(BadFile, match=f"^steps.json: .*`{name}`"):
        Preprocessing.from_json(json.dumps(values), "steps.json")


@pytest.mark.parametrize(
    "text", ["", b'{"m": "\xe9"}', "[]", "null", '"x"', "[" * 100_000, '{"median": 3, "median": 5}']
)
def test_text_that_is_no_configuration_is_refused_with_the_file(text):
    with pytest.raises(BadFile, match="^steps.json"):
        Preprocessing.from_json(text, source="steps.json")


def test_numbers_keep_their_type_in_json():
    """Fingerprints of prepared data hold the text."""
    lines = Preprocessing(window=(300, 150.5), spacing=np.array([1.0, 2.5, 3.0]), multiple=np.int64(4)).to_json()
    assert '"window": [\n    300,\n    150.5\n  ]' in lines
    assert '"multiple": 4,' in lines or '"multiple": 4\n' in lines
    assert Preprocessing.from_json(lines).to_json() == lines


def test_importing_it_does_not_load_keras():
    script = "import sys, keras_uq.preprocessing, data_prep.decathlon; print('keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_reads_what_was_written(write_scan):
    for dtype in ("uint8", "int16", "float32"):
        scan = read_nifti(write_scan(volume().astype(dtype), zooms=(0.7, 0.8, 2.5)))
        assert scan.voxels.dtype == dtype
        np.testing.assert_array_equal(scan.voxels, volume().astype(dtype))
        np.testing.assert_allclose(scan.zooms, (0.7, 0.8, 2.5), rtol=1e-6)
        np.testing.assert_allclose(scan.affine_zooms, (0.7, 0.8, 2.5), rtol=1e-6)


def edited(path, offset, layout, *values):
    """The file with some bytes of its header changed."""
    content = bytearray(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    struct.pack_into(layout, content, offset, *values)
    path.write_bytes(gzip.compress(bytes(content)) if path.suffix == ".gz" else bytes(content))
    return path


# Offsets of a NIfTI-1 header: dim 40, datatype 70, pixdim 76, srow_x 280.
BROKEN = {
    "one axis": (40, "<h", (1,), "bad_rank"),
    "six axes": (40, "<7h", (6, 9, 8, 7, 2, 3, 1), "bad_rank"),
    "voxels in the header": (108, "<f", (0.0,), "unreadable"),
    "voxels at infinity": (108, "<f", (float("inf"),), "unreadable"),
    "voxels in another file": (344, "4s", (b"ni1\0",), "unreadable"),
    "no voxel": (42, "<h", (0,), "bad_dims"),
    "negative side": (42, "<h", (-9,), "bad_dims"),
    "zero zoom": (80, "<f", (0.0,), "bad_zooms"),
    "nan zoom": (80, "<f", (float("nan"),), "bad_zooms"),
    "nan affine": (280, "<f", (float("nan"),), "bad_affine"),
    "impossible rotation": (252, "<hh3f", (1, 1, 2.0, 2.0, 2.0), "bad_affine"),
    "singular affine": (280, "<4f", (0.0, 0.0, 0.0, 0.0), "bad_affine"),
    "complex voxels": (70, "<hh", (32, 64), "bad_dtype"),
    "huge shape": (42, "<hhh", (32000, 32000, 32000), "too_large"),
    "more than the file holds": (42, "<hhh", (900, 900, 400), "truncated"),
}


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(("offset", "layout", "new", "code"), BROKEN.values(), ids=BROKEN)
def test_lying_headers_are_refused_before_anything_is_read(write_scan, offset, layout, new, code, suffix):
    path = edited(write_scan(volume(), name=f"scan{suffix}"), offset, layout, *new)
    with pytest.raises(BadScan) as caught:
        read_nifti(path)
    # nibabel itself refuses some of these headers.
    assert caught.value.code in (code, "unreadable")
    assert "scan" in str(caught.value)


def test_axes_of_one_voxel_behind_the_third_are_dropped(tmp_path):
    voxels = np.arange(2 * 3 * 4 * 2, dtype="float32").reshape(2, 3, 4, 1, 2)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "itk.nii.gz")
    np.testing.assert_array_equal(read_nifti(tmp_path / "itk.nii.gz").voxels, voxels[:, :, :, 0])
    assert read_geometry(tmp_path / "itk.nii.gz")[0] == (2, 3, 4, 2)
    nibabel.save(nibabel.Nifti1Image(voxels[..., :1, 0], np.eye(4)), tmp_path / "one_channel.nii.gz")
    assert read_nifti(tmp_path / "one_channel.nii.gz").voxels.shape == (2, 3, 4, 1)
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 3, 4, 2, 2)), np.eye(4)), tmp_path / "time.nii.gz")
    with pytest.raises(BadScan, match=r"time.nii.gz has 5 axes, \(2, 3, 4, 2, 2\); expected a volume"):
        read_nifti(tmp_path / "time.nii.gz")


@pytest.mark.parametrize(("length", "good"), [(48, True), (32, False), (-16, False), (0, False), (64, False)])
def test_extensions_fit_between_header_and_voxels(tmp_path, length, good):
    image = nibabel.Nifti1Image(np.arange(24, dtype="int16").reshape(2, 3, 4), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(4, b"x" * 40))  # 48 bytes with its own header.
    nibabel.save(image, tmp_path / "a.nii")
    edited(tmp_path / "a.nii", 352, "<i", length)
    if good:
        np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii").voxels, image.get_fdata())
    else:
        with pytest.raises(BadScan, match="a.nii holds an extension of"):
            read_nifti(tmp_path / "a.nii")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_named_with_their_share(tmp_path, bad):
    voxels = np.zeros((10, 10, 10), "float32")
    voxels[0, 0, 0] = bad
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "warped.nii.gz")
    with pytest.raises(BadScan, match=r"warped.nii.gz: .*0.100%") as caught:
        read_nifti(tmp_path / "warped.nii.gz")
    assert caught.value.code == "image_not_finite"


def test_voxels_of_a_tenth_of_a_micrometre_are_as_good_as_any(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3), "int16"), np.diag([1e-4, 1e-4, 1e-4, 1])), tmp_path / "a.nii")
    assert read_nifti(tmp_path / "a.nii").zooms == pytest.approx((1e-4, 1e-4, 1e-4))


@pytest.mark.parametrize(
    ("name", "tool"), [("a.dcm", "dcm2niix"), ("a.mgz", "mri_convert"), ("a.NRRD", "3D Slicer"), ("a.hdr", "fslch")]
)
def test_other_formats_are_told_what_converts_them(tmp_path, name, tool):
    (tmp_path / name).write_bytes(b"some bytes")
    with pytest.raises(BadScan, match=f"convert it to .nii.gz with {tool}"):
        read_nifti(tmp_path / name)


def test_folders_and_pipes_are_no_scans(tmp_path):
    (tmp_path / "folder.nii.gz").mkdir()
    os.mkfifo(tmp_path / "pipe.nii")
    os.symlink(tmp_path / "loop.nii", tmp_path / "loop.nii")
    for name, message in {
        "folder.nii.gz": "is a folder",
        "pipe.nii": "no ordinary file",
        "loop.nii": "loop.nii",
    }.items():
        with pytest.raises(BadScan, match=message):
            read_nifti(tmp_path / name)


def test_the_memory_limit_counts_voxels_as_float32(write_scan, monkeypatch):
    """A byte a voxel on disk, and four more as network input."""
    path = write_scan(np.ones((100, 100, 10), "uint8"))
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", str(100 * 100 * 10 * 5))
    read_nifti(path)
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", str(100 * 100 * 10 * 5 - 1))
    with pytest.raises(BadScan, match=r"100 x 100 x 10 voxels, which need 488.3 KiB .*KERAS_UQ_MAX_MEMORY"):
        read_nifti(path)


def test_a_lying_header_costs_no_memory(write_scan):
    path = edited(write_scan(volume(), name="scan.nii.gz"), 42, "<hhh", 2000, 2000, 400)
    script = f"""
import resource
from keras_uq.preprocessing import read_nifti
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_nifti({str(path)!r})
except ValueError as error:
    print(error.code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    code, grown = done.stdout.split()
    assert code == "truncated"
    assert int(grown) < 50_000  # KiB; the header declares 3.2 GB.


def test_damaged_files_are_refused(write_scan, tmp_path):
    path = write_scan(volume())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(BadScan) as caught:
        read_nifti(path)
    assert caught.value.code in ("truncated", "unreadable")
    junk = tmp_path / "junk.nii.gz"
    junk.write_bytes(b"no scan")
    for broken, code in ((junk, "unreadable"), (tmp_path / "none.nii", "missing")):
        with pytest.raises(BadScan) as caught:
            read_geometry(broken)
        assert caught.value.code == code
    with pytest.raises(BadScan) as caught:
        read_nifti(write_scan(volume()), max_bytes=100)
    assert caught.value.code == "too_large"


def test_spline_resampling_is_that_of_scikit_image():
    """What the code behind Yeung et al. (2021) calls, on an even and an uneven change of size."""
    transform = pytest.importorskip("skimage.transform")
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.normal(0, 1, (60, 44)).astype("float32"), (0, 0), 2)
    labels = (picture > 0.05).astype("uint8")
    for size in ((30, 22), (48, 64)):
        steps = Preprocessing(orientation=None, size=size, resampling="spline")
        image, _ = steps.image(picture.T[:, :, None], np.eye(4))
        theirs = transform.resize(picture, size, order=3, mode="edge", clip=True, anti_aliasing=False)
        np.testing.assert_allclose(image[0, ..., 0], theirs, atol=2e-3)
        mask = steps.mask(labels.T[:, :, None], np.eye(4))[0, ..., 0]
        share = transform.resize(labels.astype("float32"), size, order=1, mode="edge", anti_aliasing=False)
        assert (mask != (share >= 0.5)).mean() < 0.01


def test_zscore_is_of_the_whole_scan_and_excludes_other_ranges():
    voxels = np.random.default_rng(0).normal(40, 7, (12, 10, 3, 2))
    image, _ = Preprocessing(zscore=True).image(voxels, np.eye(4))
    assert abs(image.mean()) < 1e-5
    assert image.std() == pytest.approx(1, abs=1e-5)
    constant, _ = Preprocessing(zscore=True).image(np.full((4, 4, 2), 9), np.eye(4))
    assert (constant == 0).all()
    with pytest.raises(ValueError, match="Give one of"):
        Preprocessing(zscore=True, window=(300, 150))
    with pytest.raises(ValueError, match="`resampling`"):
        Preprocessing(resampling="lanczos")


def test_configurations_of_before_stay_as_they_were():
    """Fingerprints of prepared data hold them."""
    assert not {"zscore", "resampling"} & set(json.loads(Preprocessing().to_json()))
    changed = Preprocessing(zscore=True, resampling="spline")
    assert Preprocessing.from_json(changed.to_json()) == changed
    assert Preprocessing.from_json(Preprocessing().to_json()) == Preprocessing()


@pytest.mark.parametrize("orientation", ["LPS", None])
def test_spacing_keeps_places_in_space(orientation):
    """A ramp along each axis is resampled to the same ramp, so voxel centres stay where they are."""
    affine = np.diag([-0.5, -1.0, 4.0, 1.0])
    ramps = np.stack(np.meshgrid(*(np.arange(n, dtype="float32") for n in (24, 20, 9)), indexing="ij"), axis=-1)
    steps = Preprocessing(orientation=orientation, spacing=(2.0, 2.0, None))
    found, geometry = steps.image(ramps, affine)
    assert found.shape == (18, 10, 24, 3)
    assert geometry.spacing == pytest.approx((2.0, 2.0, 0.5))
    middle = found[4:-4, 2:-2]
    rows = (np.arange(10) + 0.5) * 2 - 0.5
    np.testing.assert_allclose(middle[..., 1], np.broadcast_to(rows[2:-2, None], middle.shape[:-1]), atol=1e-4)
    depth = (np.arange(18) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(middle[..., 2], np.broadcast_to(depth[4:-4, None, None], middle.shape[:-1]), atol=1e-4)


def test_spacing_follows_the_axes_of_the_file():
    affine = np.zeros((4, 4))
    affine[[0, 1, 2, 3], [2, 0, 1, 3]] = [-3.0, -0.5, 1.5, 1.0]  # The file's axes are y, z, x.
    _, geometry = Preprocessing(orientation="LPS").image(np.zeros((6, 5, 4), "float32"), affine)
    assert geometry.canvas_shape == (5, 6, 4)
    assert geometry.spacing == pytest.approx((1.5, 0.5, 3.0))


def test_masks_are_resampled_to_the_nearest_and_come_back():
    labels = np.zeros((30, 26, 8), "uint8")
    labels[6:20, 4:16, 2:6] = 1
    labels[10:16, 8:12, 3:5] = 3
    steps = Preprocessing(spacing=(1.0, 2.0, 2.0))
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    mask = steps.mask(labels, affine)
    assert mask.shape == (16, 13, 15, 1)
    assert set(np.unique(mask)) == {0, 1, 3}
    _, geometry = steps.image(labels, affine)
    restored = geometry.restore(mask[..., 0], "nearest")
    assert restored.shape == labels.shape
    assert np.mean(restored == labels) > 0.97


@pytest.mark.parametrize("crop", [(10, 30), (8, 6), (24, 20)])
def test_a_crop_is_around_the_centre_and_padded_where_the_slice_is_smaller(crop):
    scan = np.random.default_rng(0).random((17, 22, 3)).astype("float32") + 1
    steps = Preprocessing(orientation=None, crop=crop)
    found, geometry = steps.image(scan, np.eye(4))
    assert found.shape == (3, *crop, 1)
    assert geometry.canvas_shape == (3, *crop)
    whole = scan.transpose(2, 1, 0)
    rows, columns = whole.shape[1:]
    for row in range(crop[0]):
        for column in range(crop[1]):
            at = (row - (crop[0] - rows) // 2, column - (crop[1] - columns) // 2)
            inside = 0 <= at[0] < rows and 0 <= at[1] < columns
            expected = whole[:, at[0], at[1]] if inside else np.zeros(3)
            np.testing.assert_array_equal(found[:, row, column, 0], expected)
    restored = geometry.restore(found[..., 0], outside=-1)
    seen = restored != -1
    np.testing.assert_array_equal(restored[seen], scan[seen])
    assert seen.sum() == min(crop[0], rows) * min(crop[1], columns) * 3


def test_spacing_that_cannot_be_is_refused_and_old_configurations_have_none():
    with pytest.raises(ValueError, match="spacing"):
        Preprocessing(spacing=(1.0, 0.0, 1.0))
    with pytest.raises(ValueError, match="not both"):
        Preprocessing(spacing=(1.0, 1.0, 1.0), size=(8, 8))
    with pytest.raises(ValueError, match="3 values"):
        Preprocessing(spacing=(1.0, 1.0))
    assert not {"spacing", "crop"} & set(json.loads(Preprocessing().to_json()))
    steps = Preprocessing(spacing=(None, 0.5, 0.5), crop=(224, 224))
    assert Preprocessing.from_json(steps.to_json()) == steps


def test_a_unit_affine_beside_true_zooms_is_mended_for_the_steps(write_scan):
    path = write_scan(np.zeros((6, 8, 4), "int16") + np.arange(4, dtype="int16"), zooms=(1.0, 1.0, 1.0))
    image = nibabel.load(path)
    image.header["pixdim"][1:4] = (1.3, 1.3, 10.0)
    image.header.set_sform(np.diag([-1.0, -1.0, 1.0, 1.0]), code=1)
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), None, image.header), path)
    scan = read_nifti(path)
    assert scan.affine_zooms == pytest.approx((1, 1, 1))
    np.testing.assert_allclose(np.diag(scan.scaled_affine), [-1.3, -1.3, 10, 1], rtol=1e-6)


@pytest.mark.parametrize(
    "steps",
    [
        {},
        {"orientation": None},
        {"orientation": "ASL", "multiple": 8},
        {"size": (20, 12), "canvas": (30, 30)},
        {"spacing": (2.0, 0.5, None), "crop": (7, 9), "multiple": 4},
    ],
)
def test_the_output_shape_is_told_from_the_header_alone(steps):
    steps, affine = Preprocessing(**steps), np.diag([-1.0, 2.0, 3.0, 1.0])
    for shape in ((6, 5, 4), (6, 5, 4, 2)):
        image, _ = steps.image(np.zeros(shape, "int16"), affine)
        assert steps.output_shape(shape, affine) == image.shape[:3]
    assert steps.output_shape((60_000, 50_000, 40_000), affine)  # Nothing of this size is allocated.


@pytest.mark.parametrize(
    "steps",
    [{"spacing": (0.1, 0.1, 0.1)}, {"size": (1024, 1024)}, {"canvas": (1024, 1024)}, {"multiple": 1024}],
    ids=repr,
)
def test_memory_is_compared_with_the_limit_before_it_is_allocated(steps, monkeypatch):
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", "4M")
    steps, scan = Preprocessing(**steps), np.zeros((40, 40, 10), "uint8")
    for preprocess in (steps.image, steps.mask):
        tracemalloc.start()
        with pytest.raises(BadScan, match=r"needs .*iB; the limit is 4.0 MiB \(KERAS_UQ_MAX_MEMORY\)") as caught:
            preprocess(scan, np.eye(4))
        assert caught.value.code == "too_large"
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()


def test_a_large_scan_fits_a_machine_of_16_gb(monkeypatch):
    """512 x 512 x 700 at 0.7 x 0.7 x 1 mm, resampled to 1 mm: 4 bytes * 2 * 700 * 358 * 358 = 0.67 GiB."""
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", "8G")
    affine = np.diag([0.7, 0.7, 1.0, 1.0])
    for steps in (Preprocessing(spacing=(1.0, 1.0, 1.0)), Preprocessing(window=(300, 150), multiple=16)):
        steps._check_memory((512, 512, 700), affine)


@pytest.mark.parametrize("steps", [{}, {"zscore": True}, {"percentiles": (0, 100)}, {"spacing": (0.5, 0.5, 0.5)}])
@pytest.mark.parametrize("value", [1e300, 1e39, np.nan, np.inf])
def test_an_image_that_is_not_finite_after_preprocessing_is_refused(steps, value):
    scan = np.zeros((4, 4, 3))
    scan[1, 2, 1] = value
    if steps == {"zscore": True} and value == 1e39:  # The standard deviation is finite, and so is the result.
        assert np.isfinite(Preprocessing(**steps).image(scan, np.eye(4))[0]).all()
        return
    shown = "from 0 to 0, and 2.08%" if not np.isfinite(value) else f"from 0 to {value:g}, and 0.00%"
    with pytest.raises(BadScan, match="not be finite") as caught, warnings.catch_warnings():
        warnings.simplefilter("error")
        Preprocessing(**steps).image(scan, np.eye(4))
    assert caught.value.code == "image_not_finite"
    assert shown.replace("+", "") in str(caught.value).replace("+", "") or "spacing" in steps


def test_a_range_beyond_float32_is_refused():
    scan = np.array([-3e38, 3e38], "float32").reshape(2, 1, 1)
    with pytest.raises(BadScan, match="from -3e"):
        Preprocessing(percentiles=(0, 100)).image(scan, np.eye(4))


@pytest.mark.parametrize("values", [[0, 300], [0, -1], [0, 256], [0, 0.5], [0, np.nan], [1, 255.0001]])
def test_labels_that_uint8_cannot_hold_are_refused(values):
    labels = np.resize(np.array(values), (4, 4, 3))
    with pytest.raises(BadScan, match="whole numbers from 0 to 255.*" + str(values[1]).replace(".", r"\.")) as caught:
        Preprocessing(multiple=8).mask(labels, np.eye(4))
    assert caught.value.code == "unknown_label"


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "bool", "uint32"])
def test_labels_of_any_type_give_the_same_mask(dtype):
    labels = (np.random.default_rng(0).random((12, 10, 6)) > 0.5).astype(dtype)
    steps = Preprocessing(spacing=(2.0, 0.7, 1.3))
    np.testing.assert_array_equal(steps.mask(labels, np.eye(4)), steps.mask(labels.astype("uint8"), np.eye(4)))


def test_arrays_and_affines_of_another_kind_are_refused():
    steps, scan = Preprocessing(), np.zeros((4, 4, 3))
    for affine in (np.eye(3), np.diag([1.0, 0, 1, 1]), np.full((4, 4), np.nan)):
        with pytest.raises(ValueError, match="affine"):
            steps.image(scan, affine)
    for wrong in (scan.astype(complex), np.zeros((4, 4, 3), object), np.zeros((0, 4, 3)), np.zeros((4, 4))):
        with pytest.raises(ValueError, match="^Expected (voxels|a volume)"):
            steps.image(wrong, np.eye(4))
    with pytest.raises(ValueError, match="labels"):
        steps.mask(np.zeros((4, 4, 3, 2), "uint8"), np.eye(4))
