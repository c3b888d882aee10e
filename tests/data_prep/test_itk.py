"""Files of strangers that ITK reads: looked into first, then read in a process with limits."""

import locale
import os
import subprocess
import sys
import time
import warnings

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from data_prep import itk, itk_process
from data_prep.foreign_headers import check_dicom
from data_prep.itk_process import ITKProcess
from keras_uq.preprocessing import BadScan

HEADER = (
    "ObjectType = Image\nNDims = 3\nDimSize = 4 3 2\nElementType = MET_SHORT\nElementSpacing = 1 1 3\n"
    "ElementDataFile = {}\n"
)


def write_slices(folder, count=6, size=8, tags=None, pixels=None, **changes):
    """A DICOM series; `tags(n)` are further tags of slice n."""
    folder.mkdir(parents=True, exist_ok=True)
    before = locale.setlocale(locale.LC_ALL)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for n in range(count):
        image = sitk.GetImageFromArray(np.full((1, size, size), n, "int16") if pixels is None else pixels)
        image.SetSpacing((0.5, 0.5, 5.0))
        of_slice = {
            **{"0008|0060": "CT", "0020|000e": "1.2.3.4", "0020|000d": "1.2.3", "0008|0018": f"1.2.3.5.{n + 1}"},
            **{
                "0020|0032": f"0\\0\\{5 * n}",
                "0020|0037": "1\\0\\0\\0\\1\\0",
                "0020|0013": str(n + 1),
                "0010|0020": "x",
            },
            **(tags(n) if tags else {}),
        }
        for tag, value in of_slice.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{n:03d}.dcm"))
        writer.Execute(image)
    locale.setlocale(locale.LC_ALL, before)  # GDCM leaves the locale C behind, in which files are read as ASCII.
    return folder


def read(folder):
    (files,) = itk.list_series(folder).values()
    return itk.read_series(files)


def test_a_series_is_read_as_it_was_written(tmp_path):
    write_slices(tmp_path / "s")
    image = read(tmp_path / "s")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image)[:, 3, 3], range(6))
    assert (image.GetSize(), image.GetSpacing(), image.GetOrigin()) == ((8, 8, 6), (0.5, 0.5, 5.0), (0.0, 0.0, 0.0))
    assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)


def test_all_series_share_one_process(tmp_path):
    write_slices(tmp_path / "a")
    write_slices(tmp_path / "b", 3)
    read(tmp_path / "a")
    process = itk.PROCESS._process
    read(tmp_path / "b")
    assert itk.PROCESS._process is process


def tilted(n):
    tilt = np.deg2rad(14)
    return {"0020|0037": f"1\\0\\0\\0\\{np.cos(tilt):.9f}\\{-np.sin(tilt):.9f}"}


STACKS = {
    "tilted": (tilted, r"tilted stack \(gantry tilt of 14.0 degrees\).*dcm2niix"),
    "time": (lambda n: {"0020|0032": f"0\\0\\{5 * (n % 3)}"}, r"several volumes \(2\): 3 slices lie where another"),
    "missing": (lambda n: {"0020|0032": f"0\\0\\{5 * n + 10 * (n > 3)}"}, "5 to 15 mm apart: some are missing"),
    "turned": (lambda n: {"0020|0037": "1\\0\\0\\0\\1\\0" if n else "0\\1\\0\\-1\\0\\0"}, "several orientations"),
    "nan": (lambda n: {"0020|0032": "nan\\0\\0"}, r"expected 3 numbers for its position \(0020\|0032\)"),
}


@pytest.mark.parametrize(("tags", "message"), STACKS.values(), ids=STACKS)
def test_what_is_no_straight_even_stack_is_refused(tmp_path, tags, message):
    write_slices(tmp_path / "s", tags=tags)
    files = sorted(map(str, (tmp_path / "s").iterdir()))
    with pytest.raises(BadScan, match=message):
        itk.read_series(files)


def test_colours_and_frames_are_refused(tmp_path):
    colours = sitk.Compose([sitk.Image((8, 8, 1), sitk.sitkUInt8)] * 3)
    for name, image in {"colours": colours, "frames": sitk.Image((8, 8, 4), sitk.sitkUInt16)}.items():
        image.SetMetaData("0020|0032", "0\\0\\0")
        image.SetMetaData("0020|0037", "1\\0\\0\\0\\1\\0")
        before = locale.setlocale(locale.LC_ALL)
        sitk.WriteImage(image, str(tmp_path / f"{name}.dcm"))
        locale.setlocale(locale.LC_ALL, before)
        with pytest.raises(BadScan, match={"colours": "colours", "frames": "multi-frame.*dcm2niix"}[name]):
            itk.read_series([str(tmp_path / f"{name}.dcm")])


def dicom(syntax, elements):
    """A DICOM file with this transfer syntax and these bytes for its elements."""
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    return bytes(128) + b"DICM" + b"\x02\x00\x10\x00UI" + len(uid).to_bytes(2, "little") + uid + elements


EXPLICIT = b"\x08\x00\x60\x00CS\x02\x00CT"
IMPLICIT = b"\x08\x00\x60\x00\x02\x00\x00\x00CT"
RAW_PIXELS = b"\xe0\x7f\x10\x00OW\0\0\x04\0\0\0abcd"
UNLIKE = {
    "implicit as explicit": ("1.2.840.10008.1.2.1", IMPLICIT, "its elements are implicit"),
    "implicit as JPEG": ("1.2.840.10008.1.2.4.50", IMPLICIT, "its elements are implicit"),
    "explicit as implicit": ("1.2.840.10008.1.2", EXPLICIT, "its elements are explicit"),
    "raw as RLE": ("1.2.840.10008.1.2.5", EXPLICIT + RAW_PIXELS, "declares compressed pixels"),
}


@pytest.mark.parametrize(("syntax", "elements", "message"), UNLIKE.values(), ids=UNLIKE)
def test_elements_that_are_not_what_the_file_declares_never_reach_itk(tmp_path, syntax, elements, message):
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom(syntax, elements))
    with pytest.raises(BadScan, match=f"a.dcm .*{message}"):
        itk.list_series(tmp_path)
    with pytest.raises(BadScan, match=f"a.dcm .*{message}"):
        itk.read_tags(path, [itk.MODALITY])


def test_a_file_that_is_no_dicom_has_no_tags(tmp_path):
    (tmp_path / "notes.txt").write_text("some notes")
    assert itk.read_tags(tmp_path / "notes.txt", [itk.MODALITY]) is None


@pytest.mark.parametrize(
    ("syntax", "elements"), [("1.2.840.10008.1.2.1", EXPLICIT), ("1.2.840.10008.1.2", IMPLICIT), ("", EXPLICIT)]
)
def test_elements_as_declared_are_left_to_itk(tmp_path, syntax, elements):
    (tmp_path / "a.dcm").write_bytes(dicom(syntax, elements))
    check_dicom(tmp_path / "a.dcm")


def test_a_request_that_takes_too_long_is_ended_and_the_next_is_answered(tmp_path, monkeypatch):
    write_slices(tmp_path / "s", 2)
    monkeypatch.setattr(itk_process, "SECONDS", 1)
    process = ITKProcess()
    os.mkfifo(tmp_path / "pipe")
    begin = time.monotonic()
    with pytest.raises(BadScan, match="pipe took longer than 1 s|pipe ended the process"):
        process.ask("image", str(tmp_path / "pipe"), name="pipe")  # Nobody writes to it.
    assert time.monotonic() - begin < 20
    monkeypatch.setattr(itk_process, "SECONDS", 60)
    assert process.ask("series", str(tmp_path / "s"))
    process.close()


def test_an_image_that_needs_too_much_memory_is_that_files_error(tmp_path, monkeypatch):
    write_slices(tmp_path / "s", 2, size=64)
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", "60K")
    with pytest.raises(BadScan, match="needs 64.0 KiB; the limit is 60.0 KiB"):
        itk.read_series(sorted(map(str, (tmp_path / "s").iterdir())))


def test_the_process_ends_with_its_parent(tmp_path):
    code = (
        "import sys; from data_prep.itk_process import PROCESS\n"
        "PROCESS.ask('series', sys.argv[1]); print(PROCESS._process.pid, flush=True); import os; os._exit(0)"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    child = int(run.stdout)
    for _ in range(100):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the process still runs")


def test_a_system_without_limits_reads_all_the_same(tmp_path):
    """As on Windows: no `resource`, no `fcntl`. What cannot be limited is said once."""
    write_slices(tmp_path / "s", 2)
    (tmp_path / "hidden").mkdir()
    for module in ("resource", "fcntl"):
        (tmp_path / "hidden" / f"{module}.py").write_text("raise ImportError('hidden')")
    code = (
        "import sys, warnings\nfrom data_prep import itk\n"
        "with warnings.catch_warnings(record=True) as caught:\n    warnings.simplefilter('always')\n"
        "    files, = itk.list_series(sys.argv[1]).values()\n    print(itk.read_series(files).GetSize())\n"
        "print([str(warning.message) for warning in caught])"
    )
    paths = os.pathsep.join([str(tmp_path / "hidden"), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "s"],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    size, said = run.stdout.splitlines()
    assert size == "(8, 8, 2)"
    assert said.count("cannot limit the memory") == 1


def write_mhd(folder, name, text=HEADER, data=b"\0" * 48):
    (folder / "c.raw").write_bytes(data)
    (folder / "c.mhd").write_text(text.format(name))
    return folder / "c.mhd"


def test_a_metaimage_is_what_itk_reads(tmp_path):
    path = write_mhd(tmp_path, "c.raw", data=np.arange(24, dtype="<i2").tobytes())
    np.testing.assert_array_equal(sitk.GetArrayFromImage(itk.read_image(path)).ravel(), np.arange(24))


@pytest.mark.parametrize("name", ["%s 1 6 1", "%n", "x%d.raw", "../c.raw", "/etc/hostname", "..\\c.raw", "LIST", "."])
def test_a_metaimage_names_a_file_of_its_folder(tmp_path, name):
    (tmp_path / "in").mkdir()
    (tmp_path / "c.raw").write_bytes(b"\1" * 48)
    with pytest.raises(BadScan, match=r"c.mhd names the data file .* expected LOCAL or a file name in its folder"):
        itk.read_image(write_mhd(tmp_path / "in", name))


CHANGED = {
    "sizes": ("DimSize = 4 3 2", "DimSize = 4 -3 2", "bad_dims"),
    "axes": ("DimSize = 4 3 2", "DimSize = 4 3", "bad_dims"),
    "spacing": ("Spacing = 1 1 3", "Spacing = 1 -1 3", "bad_zooms"),
    "nan": ("Spacing = 1 1 3", "Spacing = 1 nan 3", "bad_zooms"),
    "type": ("MET_SHORT", "MET_STRING", "bad_dtype"),
    "more than there is": ("DimSize = 4 3 2", "DimSize = 4 3 3", "truncated"),
    "bomb": ("DimSize = 4 3 2", "DimSize = 90000 90000 900", "too_large"),
    "no equals": ("NDims = 3", "NDims", "unreadable"),
    "twice": ("NDims = 3", "NDims = 3\nNDims = 3", "unreadable"),
    "no data": ("ElementDataFile = c.raw", "", "unreadable"),
}


@pytest.mark.parametrize(("old", "new", "code"), CHANGED.values(), ids=CHANGED)
def test_a_metaimage_header_is_checked_before_itk_reads_it(tmp_path, old, new, code):
    with pytest.raises(BadScan) as caught:
        itk.read_image(write_mhd(tmp_path, "c.raw", HEADER.format("c.raw").replace(old, new)))
    assert caught.value.code == code
    assert "c.mhd" in str(caught.value)


@pytest.mark.parametrize(("axes", "sizes"), [(2, "4 6"), (4, "4 3 2 1")])
def test_an_image_has_three_axes(tmp_path, axes, sizes):
    text = (
        HEADER.format("c.raw").replace("NDims = 3", f"NDims = {axes}").replace("DimSize = 4 3 2", f"DimSize = {sizes}")
    )
    text = text.replace("Spacing = 1 1 3", "Spacing = " + " ".join(["1"] * axes))
    with pytest.raises(BadScan, match=f"c.mhd has {axes} axes; expected a volume of three"):
        itk.read_image(write_mhd(tmp_path, "c.raw", text))


def test_an_nrrd_holds_its_own_voxels(tmp_path):
    sitk.WriteImage(sitk.Image((4, 3, 2), sitk.sitkUInt8), str(tmp_path / "mask.nrrd"))
    assert itk.read_image(tmp_path / "mask.nrrd").GetSize() == (4, 3, 2)
    content = (tmp_path / "mask.nrrd").read_bytes().replace(b"\n\n", b"\ndata file: ../other.raw\n\n", 1)
    (tmp_path / "mask.nrrd").write_bytes(content)
    with pytest.raises(BadScan, match="has its voxels in another file"):
        itk.read_image(tmp_path / "mask.nrrd")


def test_a_nifti_label_a_hair_off_orthonormal_is_read(tmp_path):
    turn = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = np.round(turn, 3) @ np.diag([0.7, 0.7, 1.0])
    affine[0, 1] += 2e-3
    image = nibabel.Nifti1Image(np.arange(60, dtype="uint8").reshape(5, 4, 3), affine)
    image.set_sform(affine, 1)
    image.set_qform(None, 0)
    nibabel.save(image, tmp_path / "label.nii.gz")
    scan = itk.to_scan(itk.read_image(tmp_path / "label.nii.gz"))
    np.testing.assert_allclose(scan.affine, affine, atol=5e-3)
    np.testing.assert_array_equal(scan.voxels, image.get_fdata())
    affine[0, 1] += 0.3
    nibabel.save(nibabel.Nifti1Image(np.zeros((5, 4, 3), "uint8"), affine), tmp_path / "sheared.nii.gz")
    with pytest.raises(BadScan, match="sheared.nii.gz has axes that are not perpendicular"):
        itk.read_image(tmp_path / "sheared.nii.gz")


def test_valid_nifti_labels_are_what_itk_reads(tmp_path):
    label = sitk.GetImageFromArray(np.arange(24, dtype="uint8").reshape(2, 3, 4))
    label.SetSpacing((0.7, 0.8, 3.0))
    label.SetOrigin((-10.0, 20.0, 5.0))
    label.SetDirection((1, 0, 0, 0, -1, 0, 0, 0, -1))
    sitk.WriteImage(label, str(tmp_path / "label.nii.gz"))
    expected, image = sitk.ReadImage(str(tmp_path / "label.nii.gz")), itk.read_image(tmp_path / "label.nii.gz")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(expected))
    for fact in ("GetOrigin", "GetSpacing", "GetDirection"):
        np.testing.assert_allclose(getattr(image, fact)(), getattr(expected, fact)(), atol=1e-5)


def test_no_warning_where_limits_work(tmp_path):
    process = ITKProcess()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        process.ask("series", str(tmp_path))
    process.close()
