"""DICOM series through the process that parses them: what is read, what is refused, what cannot hang or crash us."""

import json
import locale
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from data_prep import dicom_process, itk
from data_prep.dicom_process import ask
from data_prep.dicom_syntax import check_syntax
from keras_uq.preprocessing import BadScan
from tests.data_prep.test_mri_archives import grid, write_series

ROOT = Path(__file__).parents[2]
CT = {"0008|0060": "CT", "0008|0016": "1.2.840.10008.5.1.4.1.1.2"}
IMPLICIT = b"\x02\x00\x10\x00UI\x12\x001.2.840.10008.1.2\0"


@pytest.fixture(autouse=True)
def same_locale():
    """GDCM leaves the locale C behind where it writes, in which files are read as ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


def write_slices(folder, positions, orientation=(1, 0, 0, 0, 1, 0), size=(16, 12), **further):
    """A CT series of one file a position, with values that tell the slices apart."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number, position in enumerate(positions):
        values = np.arange(np.prod(size)).reshape(size[::-1]) + 1000 * number
        part = sitk.GetImageFromArray(values[np.newaxis].astype("int16"))
        part.SetSpacing((0.5, 0.5, 1.0))
        tags = {"0020|000e": "1.2.3", "0020|000d": "1.2", "0008|0018": f"1.2.3.{number + 1}", **CT}
        tags["0020|0032"] = "\\".join(f"{value:.10g}" for value in position)
        tags["0020|0037"] = "\\".join(f"{value:.10g}" for value in orientation)
        for tag, value in {**tags, **further}.items():
            part.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{number:03d}.dcm"))
        writer.Execute(part)
    return [str(path) for path in sorted(folder.iterdir())]


def stack(count, step=2.0):
    return [(0.0, 0.0, step * number) for number in range(count)]


def edit(file, change):
    Path(file).write_bytes(change(Path(file).read_bytes()))


def announce(syntax):
    """Write another transfer syntax into a header whose data are implicit."""

    def change(raw):
        text = syntax.encode() + b"\0" * (len(syntax) % 2)
        assert raw.count(IMPLICIT) == 1
        raw = bytearray(raw.replace(IMPLICIT, IMPLICIT[:6] + struct.pack("<H", len(text)) + text))
        at = raw.find(b"\x02\x00\x00\x00UL\x04\x00") + 8
        struct.pack_into("<I", raw, at, struct.unpack_from("<I", raw, at)[0] + len(text) - 18)
        return bytes(raw)

    return change


def replaced(old, new):
    return lambda raw: raw.replace(old, new)


def test_an_oblique_series_is_read_as_itk_reads_it(tmp_path):
    image = grid(size=(24, 22, 8))
    values = np.random.default_rng(0).integers(-500, 500, (8, 22, 24)).astype("int16")
    filled = sitk.GetImageFromArray(values)
    filled.CopyInformation(image)
    write_series(filled, tmp_path / "s", "x", 1, "P", reverse=True, **{**CT, "0028|1052": "-1024", "0028|1053": "1"})
    ((identifier, files),) = itk.list_series(tmp_path / "s").items()
    assert identifier == "1.2.826.0.1.3680043.2.1125.1"
    assert [Path(file).name for file in files] == [f"{number:06d}.dcm" for number in range(8, 0, -1)]
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files)
    expected, image = reader.Execute(), itk.read_series(files)
    assert image.GetPixelID() == expected.GetPixelID()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(expected))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), values)
    for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(image, name)() == getattr(expected, name)()


def test_one_process_serves_all_series_and_tags(tmp_path):
    files = write_slices(tmp_path / "s", stack(3))
    itk.list_series(tmp_path / "s")
    process = dicom_process._worker.process.pid
    assert process != os.getpid()
    assert itk.read_tags(files[0], (itk.MODALITY, itk.PATIENT, itk.SERIES)) == ["CT", "", "1.2.3"]
    assert itk.read_series(files).GetSize() == (16, 12, 3)
    (tmp_path / "text").write_text("no DICOM")
    assert itk.read_tags(tmp_path / "text", (itk.MODALITY,)) is None
    assert dicom_process._worker.process.pid == process
    loaded = Path(f"/proc/{process}/maps")
    if loaded.exists():  # Neither TensorFlow nor anything of Keras.
        assert "SimpleITK" in loaded.read_text()
        assert "tensorflow" not in loaded.read_text()


def test_a_gantry_tilt_is_refused_with_its_angle(tmp_path):
    tilt = np.deg2rad(14)
    files = write_slices(tmp_path / "s", stack(5, 5.0), (1, 0, 0, 0, np.cos(tilt), -np.sin(tilt)))
    with pytest.raises(BadScan, match=r"gantry tilt of 14\.0 degrees.*up to 4\.84 mm.*dcm2niix") as error:
        itk.read_series(files)  # 20 mm along the table, sin(14 degrees) of it within the plane.
    assert error.value.code == "bad_affine"
    # Headers are rounded: less than half a pixel of 0.5 mm is no tilt.
    files = write_slices(tmp_path / "straight", [(0.24 * number / 4, 0.0, 5.0 * number) for number in range(5)])
    assert itk.read_series(files).GetSize() == (16, 12, 5)


@pytest.mark.parametrize(
    ("positions", "code", "message"),
    [
        (stack(4) * 2, "several_volumes", "2 volumes of 4 slices at the same positions"),
        (stack(4) + stack(3), "several_volumes", "7 slices at 4 positions: some are duplicated, or stacks overlap"),
        (stack(1) * 4, "several_volumes", "4 slices at one position"),
        (stack(3) + [(90.0, 0.0, 2.0 * number) for number in (3, 4, 5)], "several_volumes", "do not lie on one line"),
        ([(20.0 * number, 0.0, 0.0) for number in range(4)], "several_volumes", "do not lie on one line"),
        ([*stack(4), (0.0, 0.0, 10.0)], "truncated", "2 to 4 mm apart: some are missing"),
        ([(0.0, 0.0, 2e5 + 2 * number) for number in range(3)], "bad_affine", "000.dcm lies at .* where no patient"),
    ],
)
def test_slices_that_are_no_even_stack_are_refused(tmp_path, positions, code, message):
    files = write_slices(tmp_path / "s", positions)
    with pytest.raises(BadScan, match=message) as error:
        itk.read_series(files)
    assert error.value.code == code


def test_slices_that_do_not_belong_together_are_refused(tmp_path):
    files = write_slices(tmp_path / "s", stack(3))
    (turned,) = write_slices(tmp_path / "t", [(0.0, 0.0, 6.0)], (0, 1, 0, 0, 0, -1))
    with pytest.raises(BadScan, match=r"s: 000\.dcm is turned against 000\.dcm.*parallel"):
        itk.read_series([*files, turned])
    (small,) = write_slices(tmp_path / "u", [(0.0, 0.0, 6.0)], size=(10, 10))
    with pytest.raises(BadScan, match=r"differ in size \(16 x 12; 000\.dcm: 10 x 10 pixels\)"):
        itk.read_series([*files, small])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced(b"0\\0\\2", b"a\\b\\2"), r"001\.dcm: position.*expected 3 numbers. Received: 'a b 2"),
        (replaced(b"0\\0\\2", b"nan\\2"), r"001\.dcm: position"),
        (replaced(b"1\\0\\0\\0\\1\\0", b"0\\0\\0\\0\\0\\0"), r"001\.dcm: rows and columns.*no unit vectors"),
        (replaced(b".5\\.5", b".0\\.0"), r"001\.dcm declares pixels of \[0\.0, 0\.0\] mm"),
        (replaced(b"\x20\x00\x32\x00", b"\x20\x00\x33\x00"), r"001\.dcm has no position \(ImagePositionPatient"),
        (replaced(b"\x28\0\x02\0\2\0\0\0\1", b"\x28\0\x02\0\2\0\0\0\3"), r"001\.dcm has 3 samples a pixel"),
        (replaced(b"\x28\0\x10\0\2\0\0\0\x0c", b"\x28\0\x10\0\2\0\0\0\x0b"), "differ in size"),
        (replaced(b"\x28\0\x10\0\2\0\0\0\x0c\0", b"\x28\0\x10\0\2\0\0\0\xff\xff"), "more than the file holds"),
        (lambda raw: b"junk" * 200, r"001\.dcm is not readable as DICOM"),
        (lambda raw: b"", r"001\.dcm is not readable as DICOM"),
        (lambda raw: raw[:-200], r"001\.dcm is not readable as DICOM"),
    ],
)
def test_an_error_of_one_file_names_it(tmp_path, change, message):
    files = write_slices(tmp_path / "s", stack(3))
    edit(files[1], change)
    with pytest.raises(BadScan, match=message):
        itk.read_series(files)


def test_multi_frame_files_are_named_as_such(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((4, 6, 5), "uint16"))
    sitk.WriteImage(image, str(tmp_path / "m.dcm"))
    with pytest.raises(BadScan, match=r"m\.dcm is a multi-frame file \(4 frames\).*dcm2niix") as error:
        itk.read_series([tmp_path / "m.dcm"])
    assert error.value.code == "bad_rank"
    assert itk.read_image(tmp_path / "m.dcm").GetSize() == (5, 6, 4)
    files = write_slices(tmp_path / "e", stack(1), **{"0008|0016": "1.2.840.10008.5.1.4.1.1.4.1"})
    with pytest.raises(BadScan, match="multi-frame"):
        itk.read_series(files)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.2"])
def test_data_of_another_form_than_announced_are_refused_at_once(tmp_path, syntax):
    files = write_slices(tmp_path / "s", stack(3))
    assert [check_syntax(file) for file in files] == [Path(file).stat().st_size for file in files]
    edit(files[1], announce(syntax))
    message = rf"001\.dcm announces the transfer syntax {syntax}, with types of values; its data have none"
    begin = time.monotonic()
    for read in (lambda: itk.list_series(tmp_path / "s"), lambda: itk.read_series(files)):
        with pytest.raises(BadScan, match=message):
            read()
    assert time.monotonic() - begin < 5


def test_explicit_data_that_are_announced_as_implicit_are_refused(tmp_path):
    meta = IMPLICIT
    head = bytes(128) + b"DICM\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", len(meta)) + meta
    (tmp_path / "a.dcm").write_bytes(head + b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100")
    with pytest.raises(BadScan, match="without types of values; its data have some"):
        check_syntax(tmp_path / "a.dcm")
    (tmp_path / "b.dcm").write_bytes(announce("1.2.840.10008.1.2.1")(head) + b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100")
    check_syntax(tmp_path / "b.dcm")


@pytest.mark.parametrize("change", [lambda raw: b"junk" * 200, lambda raw: b"", lambda raw: raw[:-200]])
def test_a_damaged_last_slice_is_not_left_out_in_silence(tmp_path, change):
    files = write_slices(tmp_path / "s", stack(3))
    edit(files[-1], change)
    with pytest.raises(BadScan, match=r"s: 002\.dcm is no readable DICOM image \(1 of 3 files are none\)"):
        itk.list_series(tmp_path / "s")


def test_files_that_are_no_images_may_lie_beside_a_series(tmp_path):
    files = write_slices(tmp_path / "s", stack(3))
    for name in ("LICENSE", "._000.dcm", "notes.txt"):
        (tmp_path / "s" / name).write_bytes(b"anything" * 40)
    report = b"1.2.840.10008.5.1.4.1.1.88.11\0"
    content = b"\x02\x00\x02\x00UI" + struct.pack("<H", len(report)) + report
    (tmp_path / "s" / "report.dcm").write_bytes(bytes(128) + b"DICM" + content)
    assert itk.list_series(tmp_path / "s") == {"1.2.3": files}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_in_a_folder_of_slices_does_not_block(tmp_path):
    write_slices(tmp_path / "s", stack(3))
    os.mkfifo(tmp_path / "s" / "pipe.dcm")
    with pytest.raises(BadScan, match=r"pipe\.dcm is no regular file"):
        itk.list_series(tmp_path / "s")


def without_timer(path):
    """The program of the process, on a system such as Windows."""
    path.write_text(dicom_process.WORKER.read_text().replace("setitimer", "no_such_timer"))
    return path


@pytest.mark.parametrize("timed", [True, False])
def test_a_parser_that_hangs_is_stopped_and_the_next_series_is_read(tmp_path, monkeypatch, timed):
    if timed and not dicom_process.TIMED:
        pytest.skip("The system does not end processes.")
    good = write_slices(tmp_path / "good", stack(3))
    for file in write_slices(tmp_path / "s", stack(8)):
        edit(file, announce("1.2.840.10008.1.2.4.50"))
    itk.list_series(tmp_path / "good")
    first = dicom_process._worker.process
    with monkeypatch.context() as patch:
        patch.setattr(dicom_process, "SECONDS", 0.6)
        patch.setattr(dicom_process, "TIMED", timed)
        if not timed:
            patch.setattr(dicom_process, "WORKER", without_timer(tmp_path / "worker.py"))
            dicom_process.stop()
            itk.list_series(tmp_path / "good")
            first = dicom_process._worker.process
        patch.setattr(dicom_process, "check_syntax", lambda path: 0)
        with pytest.raises(BadScan, match="s took longer than 1 s to parse"):
            ask("list", "s", [], folder=str(tmp_path / "s"))
    assert first.poll() is not None
    assert itk.read_series(good).GetSize() == (16, 12, 3)


def test_a_parser_that_dies_is_a_finding_and_is_started_again(tmp_path, monkeypatch):
    files = write_slices(tmp_path / "s", stack(3))
    itk.read_series(files)
    dicom_process._worker.process.kill()
    dicom_process._worker.process.wait()
    assert itk.read_series(files).GetSize() == (16, 12, 3)
    dying = tmp_path / "worker.py"
    dying.write_text("import sys\nprint('{\"value\": true}', flush=True)\nsys.stdin.readline()\nsys.exit(3)\n")
    dicom_process.stop()
    with monkeypatch.context() as patch:
        patch.setattr(dicom_process, "WORKER", dying)
        with pytest.raises(BadScan, match=r"s \(3 files\) ended its parser \(status 3\)"):
            itk.read_series(files)
        dying.write_text("raise ImportError\n")
        with pytest.raises(RuntimeError, match="did not start"):
            itk.read_series(files)
    assert itk.read_series(files).GetSize() == (16, 12, 3)


def test_an_interrupt_within_a_reply_does_not_shift_the_next_one(tmp_path, monkeypatch):
    files = write_slices(tmp_path / "s", stack(3))
    itk.read_series(files)

    def interrupted(worker, description):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dicom_process, "_voxels", interrupted)
        with pytest.raises(KeyboardInterrupt):
            itk.read_series(files)
    assert itk.read_tags(files[0], (itk.MODALITY,)) == ["CT"]


def test_memory_is_compared_before_and_limited_while_reading(tmp_path, monkeypatch):
    files = write_slices(tmp_path / "s", stack(24), size=(512, 512))
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", "16M")
    with pytest.raises(BadScan, match=r"declares 12\.0 MiB .*limit is 16\.0 MiB.*KERAS_UQ_MAX_MEMORY") as error:
        itk.read_series(files)
    assert error.value.code == "too_large"
    if sys.platform == "linux":
        monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", "8M")
        with pytest.raises(BadScan, match=r"not readable|8\.0 MiB"):
            ask("volume", "s", files, files=files, series=True)
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", "1G")
    assert itk.read_series(files).GetSize() == (512, 512, 24)


RUN = """
import sys, warnings
for name in ("fcntl", "resource"):
    sys.modules[name] = None
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from data_prep import dicom_process, itk, prepare, download, tcia, transfer
    files = next(iter(itk.list_series(sys.argv[1]).values()))
    first = itk.read_series(files).GetSize()
    dicom_process.stop()
    print(first, itk.read_series(files).GetSize())
print([str(warning.message) for warning in caught if "memory" in str(warning.message)])
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
print(dicom_process._worker.process.pid, flush=True)
"""


def run(code, *arguments, folder=ROOT):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, env=environment, check=False
    )


def test_a_system_without_limits_reads_and_says_so_once(tmp_path):
    write_slices(tmp_path / "s", stack(3))
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "resource.py").write_text("raise ImportError\n")
    result = run(RUN, tmp_path / "s", folder=tmp_path / "hidden")
    assert result.returncode == 0, result.stderr
    sizes, warnings, _ = result.stdout.splitlines()
    assert sizes == "(16, 12, 3) (16, 12, 3)"
    assert warnings == "['This system cannot limit the memory in which DICOM files are parsed.']"


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_process_ends_with_its_parent_even_if_that_is_killed(tmp_path):
    write_slices(tmp_path / "s", stack(3))
    result = run(RUN + "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", tmp_path / "s")
    assert result.returncode == -signal.SIGKILL, result.stderr
    process = int(result.stdout.splitlines()[-1])
    for _ in range(100):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("The process is still there.")


@pytest.mark.skipif(not dicom_process.TIMED, reason="The system does not end processes.")
def test_a_process_that_hangs_ends_in_time_even_if_its_parent_is_gone(tmp_path):
    for file in write_slices(tmp_path / "s", stack(8)):
        edit(file, announce("1.2.840.10008.1.2.4.50"))
    worker = subprocess.Popen(
        [sys.executable, "-P", dicom_process.WORKER, str(2**32)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    request = {"action": "list", "seconds": 0.3, "folder": str(tmp_path / "s")}
    output, _ = worker.communicate(json.dumps(request).encode() + b"\n", timeout=10)
    assert output.strip() == b'{"value": true}'
    assert worker.returncode == -signal.SIGALRM


def save_label(path, affine, voxels=None):
    image = nibabel.Nifti1Image(np.ones((20, 16, 8), "uint8") if voxels is None else voxels, affine)
    image.set_sform(affine, 1)
    image.set_qform(None, 0)
    nibabel.save(image, path)


def test_a_nifti_label_is_placed_as_itk_places_it(tmp_path):
    direction = np.linalg.qr(np.array([[0.98, 0.0, 0.2], [0.04, 0.98, -0.2], [-0.2, 0.2, 0.96]]))[0]
    affine = np.eye(4)
    affine[:3, :3] = direction @ np.diag([0.7, 0.7, 3.0])
    affine[:3, 3] = (-10, 20, 30)
    voxels = np.random.default_rng(0).integers(0, 2, (20, 16, 8)).astype("uint8")
    save_label(tmp_path / "label.nii.gz", affine, voxels)
    image, expected = itk.read_image(tmp_path / "label.nii.gz"), sitk.ReadImage(str(tmp_path / "label.nii.gz"))
    assert image.GetPixelID() == expected.GetPixelID()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(expected))
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(image, name)(), getattr(expected, name)(), atol=1e-5)


def test_a_nifti_label_a_hair_off_right_angles_is_read_and_a_sheared_one_is_not(tmp_path):
    cos, sin = np.cos(0.3), np.sin(0.3)
    affine = np.eye(4)
    affine[:3, :3] = np.round([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], 3) @ np.diag([0.7, 0.7, 1.0])
    affine[0, 1] += 2e-3
    save_label(tmp_path / "a.nii.gz", affine)
    with pytest.raises(RuntimeError, match="orthonormal"):
        sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    np.testing.assert_allclose(itk.to_scan(itk.read_image(tmp_path / "a.nii.gz")).affine, affine, atol=2e-3)
    affine[0, 1] += 0.2
    save_label(tmp_path / "b.nii.gz", affine)
    with pytest.raises(BadScan, match=r"b\.nii\.gz has axes that are not at right angles.*move by .* voxels"):
        itk.read_image(tmp_path / "b.nii.gz")
    save_label(tmp_path / "c.nii.gz", np.eye(4), np.zeros((5, 4, 3, 2), "uint8"))
    with pytest.raises(BadScan, match=r"c\.nii\.gz has 4 axes"):
        itk.read_image(tmp_path / "c.nii.gz")
