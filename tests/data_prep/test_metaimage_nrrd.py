"""MetaImage and NRRD: the voxels and places of SimpleITK, and headers that must not be believed."""

import gzip
import os
import tracemalloc
import zlib

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from data_prep import itk, metaimage, nrrd
from keras_uq.preprocessing import BadScan

SIZE = (7, 5, 4)
TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
MHD = (
    "ObjectType = Image\nNDims = 3\nDimSize = 7 5 4\nElementType = MET_SHORT\nElementSpacing = 1 1 3\n"
    "ElementDataFile = a.raw\n"
)
NRRD = (
    "NRRD0004\ntype: short\ndimension: 3\nspace: LPS\nsizes: 7 5 4\nspace directions: (1,0,0) (0,1,0) (0,0,3)\n"
    "endian: little\nencoding: raw\nspace origin: (0,0,0)\n\n"
)
VOXELS = np.arange(140, dtype="<i2").reshape(4, 5, 7)


def example(dtype="int16", seed=0):
    """An oblique image with a spacing and an origin that are no round numbers."""
    rng = np.random.default_rng(seed)
    image = sitk.GetImageFromArray(rng.integers(0, 120, SIZE[::-1]).astype(dtype))
    image.SetSpacing(rng.uniform(0.3, 4, 3))
    image.SetOrigin(rng.uniform(-200, 200, 3))
    image.SetDirection(np.linalg.qr(rng.normal(size=(3, 3)))[0].ravel())
    return image


def assert_same(image, expected):
    assert image.GetPixelID() == expected.GetPixelID()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(expected))
    assert image.GetSpacing() == pytest.approx(expected.GetSpacing(), abs=0, rel=1e-14)
    assert image.GetOrigin() == expected.GetOrigin()
    assert image.GetDirection() == pytest.approx(expected.GetDirection(), abs=1e-14)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", ["a.mhd", "a.mha", "a.nrrd", "a.nhdr"])
def test_files_that_itk_writes_are_read_as_itk_reads_them(tmp_path, name, compressed):
    path = tmp_path / name
    for seed, dtype in enumerate(TYPES):
        sitk.WriteImage(example(dtype, seed), str(path), compressed)
        assert_same(itk.read_image(path), sitk.ReadImage(str(path)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ElementSpacing = 1 1 3", "ElementSize = 1 2 3"),
        ("ElementSpacing = 1 1 3\n", ""),
        ("ElementSpacing = 1 1 3", "ElementSpacing=.5 1e0 3."),
        ("ElementDataFile", "Origin = 1 2 3\nElementDataFile"),
        ("ElementDataFile", "Position = -1.5 2 3\nRotation = 0 1 0 0 0 1 1 0 0\nElementDataFile"),
        ("ElementDataFile", "TransformMatrix = 0 1 0 -1 0 0 0 0 1\nOffset = 1 2 3\nElementDataFile"),
        ("ElementDataFile", "BinaryData = True\nBinaryDataByteOrderMSB = True\nElementDataFile"),
        ("ElementDataFile", "ElementByteOrderMSB = True\nAnatomicalOrientation = RAI\nElementDataFile"),
        ("ElementDataFile", "CenterOfRotation = 0 0 0\nComment = anything\nElementDataFile"),
        ("\n", "\r\n"),
    ],
)
def test_variants_of_a_metaimage_header_mean_what_they_mean_to_itk(tmp_path, old, new):
    (tmp_path / "a.raw").write_bytes(VOXELS.tobytes())
    (tmp_path / "a.mhd").write_text(MHD.replace(old, new), newline="")
    assert_same(itk.read_image(tmp_path / "a.mhd"), sitk.ReadImage(str(tmp_path / "a.mhd")))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LPS", "left-posterior-superior"),
        ("LPS", "right-anterior-superior"),
        ("LPS", "RAS"),
        ("LPS", "left-anterior-superior"),
        ("LPS", "LAS"),
        ("type: short", "Type: signed short int"),
        ("endian: little", "endian: big"),
        ("space origin: (0,0,0)\n", ""),
        ("space origin: (0,0,0)", "space origin: (-1.25, 2e1, 3)"),
        ("(1,0,0) (0,1,0)", "(0,-2,0) (0.6,0,0.8)"),
        ("encoding", "# a comment\nkey:=a value: of any kind\nkinds: domain domain domain\nencoding"),
        ("encoding: raw", 'encoding: RAW\nspace units: "mm" "mm" "mm"\nmeasurement frame: (1,0,0) (0,1,0) (0,0,1)'),
    ],
)
def test_variants_of_an_nrrd_header_mean_what_they_mean_to_itk(tmp_path, old, new):
    text = NRRD.replace(old, new)
    text = text.replace("(0,0,3)", "(-0.8,0,0.6)") if "0.6,0,0.8" in text else text
    (tmp_path / "a.nrrd").write_bytes(text.encode() + VOXELS.tobytes())
    assert_same(itk.read_image(tmp_path / "a.nrrd"), sitk.ReadImage(str(tmp_path / "a.nrrd")))


OUTSIDE = ("../b.raw", "{outside}", "sub/b.raw", "..\\b.raw", "%s", "%n", "x%d.raw 1 6 1", "LIST", ".", "", "C:b.raw")


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", ["mhd", "nhdr"])
def test_voxels_outside_the_folder_are_never_read(tmp_path, kind, name):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for outside in (tmp_path / "b.raw", tmp_path / "in" / "sub" / "b.raw"):
        outside.write_bytes(VOXELS.tobytes())
    name = name.format(outside=tmp_path / "b.raw")
    header = MHD.replace("a.raw", name) if kind == "mhd" else NRRD.replace("\n\n", f"\ndata file: {name}\n\n")
    (tmp_path / "in" / f"a.{kind}").write_text(header)
    with pytest.raises(BadScan, match=rf"a\.{kind} (names .*plain name of one file in its folder|is no NRRD)"):
        itk.read_image(tmp_path / "in" / f"a.{kind}")


def test_voxels_behind_a_link_out_of_the_folder_or_in_no_file_are_not_read(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "b.raw").write_bytes(VOXELS.tobytes())
    (tmp_path / "in" / "a.mhd").write_text(MHD)
    (tmp_path / "in" / "a.raw").symlink_to(tmp_path / "b.raw")
    with pytest.raises(BadScan, match=r"names a\.raw, a link to a file outside its folder"):
        itk.read_image(tmp_path / "in" / "a.mhd")
    (tmp_path / "in" / "a.raw").unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "in" / "a.raw")
    with pytest.raises(BadScan, match=r"a\.raw, which holds its voxels, is not beside it"):
        itk.read_image(tmp_path / "in" / "a.mhd")


def test_a_pattern_in_the_name_of_the_header_is_only_a_name(tmp_path):
    (tmp_path / "a.raw").write_bytes(VOXELS.tobytes())
    (tmp_path / "%s%n.mhd").write_text(MHD)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(itk.read_image(tmp_path / "%s%n.mhd")), VOXELS)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("DimSize = 7 5 4", "DimSize = 7 5 0", "bad_dims"),
        ("DimSize = 7 5 4", "DimSize = -7 5 4", "unreadable"),
        ("DimSize = 7 5 4", "DimSize = 7 5", "unreadable"),
        ("DimSize = 7 5 4", "DimSize = 100000 100000 100000", "too_large"),
        ("DimSize = 7 5 4", "DimSize = 7 5 5", "truncated"),
        ("DimSize = 7 5 4", "DimSize = 7 5 3", "truncated"),
        ("NDims = 3", "NDims = 2", "bad_rank"),
        ("NDims = 3", "NDims = ٣", "unreadable"),
        ("ElementDataFile", "ElementNumberOfChannels = 3\nElementDataFile", "bad_rank"),
        ("1 1 3", "0 1 3", "bad_zooms"),
        ("1 1 3", "-1 1 3", "bad_zooms"),
        ("1 1 3", "nan 1 3", "unreadable"),
        ("1 1 3", "1e999 1 3", "unreadable"),
        ("1 1 3", "1_0 1 3", "unreadable"),
        ("ElementDataFile", "Offset = 1e9 0 0\nElementDataFile", "bad_affine"),
        ("ElementDataFile", "TransformMatrix = 1 0 0 1 0 0 0 0 1\nElementDataFile", "bad_affine"),
        ("MET_SHORT", "MET_FLOAT", "truncated"),
        ("MET_SHORT", "MET_STRING", "bad_dtype"),
        ("MET_SHORT", "MET_LONG", "bad_dtype"),
        ("ElementDataFile", "BinaryData = False\nElementDataFile", "unreadable"),
        ("ElementDataFile", "BinaryDataByteOrderMSB = maybe\nElementDataFile", "unreadable"),
        ("ElementDataFile", "CompressedData = True\nCompressedDataSize = 99999999999\nElementDataFile", "truncated"),
        ("ElementDataFile", "Offset = 1 2 3\nPosition = 4 5 6\nElementDataFile", "unreadable"),
        ("ElementDataFile", "HeaderSize = 99999\nElementDataFile", "truncated"),
        ("ElementType = MET_SHORT\n", "", "unreadable"),
        ("ElementDataFile = a.raw\n", "", "unreadable"),
        ("ObjectType = Image", "ObjectType = " + "A" * 100_000, "unreadable"),
        ("ObjectType = Image", "ObjectType = Tube", "unreadable"),
        (MHD, "", "unreadable"),
        (MHD, "\0\1\2" * 400, "unreadable"),
    ],
)
def test_a_metaimage_header_that_is_wrong_is_refused(tmp_path, old, new, code):
    (tmp_path / "a.raw").write_bytes(VOXELS.tobytes())
    text = MHD.replace(old, new)
    assert text != MHD
    (tmp_path / "a.mhd").write_text(text, encoding="utf-8")
    with pytest.raises(BadScan, match=r"a\.(mhd|raw)") as error:
        itk.read_image(tmp_path / "a.mhd")
    assert error.value.code == code


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("NRRD0004", "NRRD0009", "unreadable"),
        ("dimension: 3", "dimension: 4", "bad_rank"),
        ("encoding", "kinds: 3-color domain domain\nencoding", "bad_rank"),
        ("sizes: 7 5 4", "sizes: 7 5 0", "bad_dims"),
        ("sizes: 7 5 4", "sizes: 7 5 40", "truncated"),
        ("sizes: 7 5 4", "sizes: 7 5 3", "truncated"),
        ("sizes: 7 5 4", "sizes: 99999 99999 99999", "too_large"),
        ("sizes: 7 5 4", "sizes: 7 5 4 1", "unreadable"),
        ("type: short", "type: block", "unreadable"),
        ("encoding: raw", "encoding: hex", "unreadable"),
        ("encoding: raw", "encoding: gzip", "truncated"),
        ("endian: little\n", "", "unreadable"),
        ("space: LPS\n", "", "unreadable"),
        ("space: LPS", "space: scanner-xyz", "unreadable"),
        ("(1,0,0) (0,1,0)", "(1,0,0) none", "unreadable"),
        ("(1,0,0) (0,1,0)", "(0,0,0) (0,1,0)", "bad_zooms"),
        ("(1,0,0) (0,1,0)", "(1,0,0) (1,1,0)", "bad_affine"),
        ("(1,0,0) (0,1,0)", "(1,0,0) (nan,1,0)", "unreadable"),
        ("(0,0,0)", "(0,0,1e9)", "bad_affine"),
        ("encoding", 'space units: "um" "um" "um"\nencoding', "bad_zooms"),
        ("encoding", "byte skip: -1\nencoding", "unreadable"),
        ("encoding", "sizes: 7 5 4\nencoding", "unreadable"),
        ("encoding", "no field\nencoding", "unreadable"),
        ("encoding", "# " + "A" * 100_000 + "\nencoding", "unreadable"),
    ],
)
def test_an_nrrd_header_that_is_wrong_is_refused(tmp_path, old, new, code):
    text = NRRD.replace(old, new)
    assert text != NRRD
    (tmp_path / "a.nrrd").write_bytes(text.encode() + VOXELS.tobytes())
    with pytest.raises(BadScan, match=r"a\.nrrd") as error:
        itk.read_image(tmp_path / "a.nrrd")
    assert error.value.code == code


def test_no_more_is_unpacked_than_declared(tmp_path):
    (tmp_path / "a.mhd").write_text(MHD.replace("ElementDataFile", "CompressedData = True\nElementDataFile"))
    (tmp_path / "a.raw").write_bytes(zlib.compress(bytes(10**7)))
    tracemalloc.start()
    try:
        with pytest.raises(BadScan, match="unpacks to more than the 280 bytes"):
            itk.read_image(tmp_path / "a.mhd")
        assert tracemalloc.get_traced_memory()[1] < 3e6
    finally:
        tracemalloc.stop()


def test_what_unpacks_to_more_or_less_than_declared_is_refused(tmp_path):
    header = MHD.replace("ElementDataFile", "CompressedData = True\nElementDataFile")
    (tmp_path / "a.mhd").write_text(header)
    for content in (VOXELS.tobytes() + b"x", VOXELS.tobytes()[:-1]):
        (tmp_path / "a.raw").write_bytes(zlib.compress(content))
        with pytest.raises(BadScan, match=r"a\.raw .*declared") as error:
            metaimage.read_metaimage(tmp_path / "a.mhd")
        assert error.value.code == "truncated"
        (tmp_path / "a.nrrd").write_bytes(NRRD.replace("raw", "gzip").encode() + gzip.compress(content))
        with pytest.raises(BadScan, match=r"a\.nrrd .*declared"):
            nrrd.read_nrrd(tmp_path / "a.nrrd")


def test_the_limit_counts_what_is_held_while_a_file_is_read(tmp_path, monkeypatch):
    (tmp_path / "a.raw").write_bytes(VOXELS.tobytes())
    (tmp_path / "a.mhd").write_text(MHD)
    assert itk.read_image(tmp_path / "a.mhd", max_bytes=3 * 280).GetSize() == SIZE
    with pytest.raises(BadScan, match="limit is 839 bytes"):
        itk.read_image(tmp_path / "a.mhd", max_bytes=3 * 280 - 1)
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", "839")
    with pytest.raises(BadScan, match="KERAS_UQ_MAX_MEMORY"):
        itk.read_image(tmp_path / "a.mhd")


def test_a_ct_of_700_slices_is_read_on_a_machine_of_16_gigabytes(monkeypatch):
    from data_prep.volume import check_memory

    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", "8G")
    check_memory("ct", 512 * 512 * 700 * 4)  # Rescaled to integers of 4 bytes: 2.1 GiB, while the limit is 8.
    with pytest.raises(BadScan, match=r"4\.1 GiB"):
        check_memory("ct", 512 * 512 * 700 * 4 * 6)
