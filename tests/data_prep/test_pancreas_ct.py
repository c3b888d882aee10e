"""NIH Pancreas-CT as it comes, traps included, and its download from a server on this machine."""

import http.server
import io
import json
import threading
import urllib.parse
import zipfile
from typing import ClassVar

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from data_prep import download, pancreas_ct, tcia
from data_prep.archive import BadDataset
from data_prep.prepare import open_source, prepare
from data_prep.prepared import Prepared
from data_prep.transfer import DownloadError, fetch
from keras_uq.preprocessing import Preprocessing
from tests.data_prep.test_itk import announce, edit
from tests.data_prep.test_mri_archives import write_series

SPACING = (0.8, 0.8, 1.5)
# Rows run from back to front and slices downwards, as in every series of the collection.
DIRECTION = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0)
SCALE = {"0008|0060": "CT", "0028|1052": "-1024", "0028|1053": "1"}


def body(number=1):
    """HU and mask `(z, y, x)` of a scan: an organ of 100 HU in fat, muscle in front of it, air above."""
    rng = np.random.default_rng(number)
    mask = np.zeros((10, 26, 24), "uint8")
    mask[2:5, 4:10, 5 : 14 + number % 3] = 1
    hounsfield = np.full(mask.shape, -100.0)
    hounsfield[:, 15:] = -1000
    hounsfield[mask > 0] = 100
    return np.rint(hounsfield + rng.normal(0, 5, mask.shape)).astype("int16"), mask


def as_image(array, origin=(-90.0, 120.0, 40.0)):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING)
    image.SetOrigin(origin)
    image.SetDirection(DIRECTION)
    return image


def write_case(root, number, layout="Pancreas-CT"):
    patient = f"PANCREAS_{number:04d}"
    hounsfield, _ = body(number)
    folder = root / layout / patient / "1.2.3" / f"1.2.3.{number}"
    write_series(as_image(hounsfield), folder, "Pancreas", number, patient, reverse=True, **SCALE)
    return folder


def write_label(root, number, change=lambda mask: mask):
    path = root / "TCIA_pancreas_labels-02-05-2017" / f"label{number:04d}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    # The origin is not that of the series.
    sitk.WriteImage(as_image(change(body(number)[1]), origin=(0.0, 0.0, 0.0)), str(path))
    return path


@pytest.fixture
def make_pancreas_ct(tmp_path):
    def make(numbers=(1, 2, 3, 4, 5, 6), layout="Pancreas-CT"):
        root = tmp_path / "pancreas_ct"
        for number in numbers:
            write_case(root, number, layout)
            write_label(root, number)
        for number in (25, 70):
            write_label(root, number)
        return root

    return make


@pytest.mark.parametrize("layout", ["Pancreas-CT", "DOI"])
def test_masks_lie_on_the_organ_whatever_files_are_called(make_pancreas_ct, layout):
    root = make_pancreas_ct(layout=layout)
    assert nibabel.aff2axcodes(nibabel.load(next(root.rglob("label0001.nii.gz"))).affine) == ("L", "A", "I")
    archive = open_source(root, None)
    assert (archive.name, archive.modality) == ("Pancreas-CT", "CT")
    assert [case.name for case in archive.cases] == [f"PANCREAS_{number:04d}" for number in range(1, 7)]
    for case in archive.cases[:2]:
        image, label = archive.read_image(case.image), archive.read_label(case.label)
        assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
        assert image.voxels.shape == label.voxels.shape == (24, 26, 10)
        assert image.zooms == pytest.approx(SPACING)
        # HU, with slope and intercept applied.
        assert image.voxels.min() < -1000 + 30
        np.testing.assert_array_equal(label.voxels > 0, image.voxels > 50)
        assert archive.check(image, label) == []
        assert archive.read_geometry(case.image)[0] == image.voxels.shape


def test_instance_numbers_do_not_decide_the_order(make_pancreas_ct):
    root = make_pancreas_ct()
    hounsfield, _ = body(7)
    upwards = as_image(np.ascontiguousarray(hounsfield[::-1]), origin=(-90.0, 120.0, 40.0 - 9 * SPACING[2]))
    upwards.SetDirection((*DIRECTION[:8], 1.0))
    folder = root / "Pancreas-CT" / "PANCREAS_0007" / "series"
    write_series(upwards, folder, "Pancreas", 7, "PANCREAS_0007", **SCALE)
    write_label(root, 7)
    archive = open_source(root, None)
    case = archive.cases[-1]
    np.testing.assert_array_equal(archive.read_label(case.label).voxels > 0, archive.read_image(case.image).voxels > 50)


def test_a_label_stored_along_other_axes_is_turned_by_its_header(make_pancreas_ct):
    root = make_pancreas_ct()
    path = next(root.rglob("label0001.nii.gz"))
    turned = nibabel.as_closest_canonical(nibabel.load(path))
    assert nibabel.aff2axcodes(turned.affine) == ("R", "A", "S")
    nibabel.save(turned, path)
    archive = open_source(root, None)
    case = archive.cases[0]
    np.testing.assert_array_equal(archive.read_label(case.label).voxels > 0, archive.read_image(case.image).voxels > 50)


def test_a_flipped_label_is_found_by_what_it_lies_on(make_pancreas_ct, tmp_path):
    root = make_pancreas_ct()
    write_label(root, 2, lambda mask: mask[:, ::-1])  # As after a conversion by other tools: it lies in air.
    with pytest.raises(
        BadDataset, match=r"PANCREAS_0002  label_off_organ: The mask's mean is -1000 HU.*Flipped along y"
    ):
        prepare(root, tmp_path / "out", Preprocessing(window=(340, 70)))
    data = prepare(root, tmp_path / "out", Preprocessing(window=(340, 70)), skip_bad=True)
    assert "PANCREAS_0002" not in {name for names in data.split.values() for name in names}


def test_an_uneven_label_is_worth_a_look():
    hounsfield, mask = (np.ascontiguousarray(array.transpose(2, 1, 0)) for array in body())
    image, label = as_scan(hounsfield), as_scan(mask)
    assert pancreas_ct.check_case(image, label) == []
    # Even tissue everywhere but in a part of the organ.
    hounsfield[:] = 60
    hounsfield[:8][mask[:8] > 0] = 0
    ((code, detail),) = pancreas_ct.check_case(as_scan(hounsfield), label)
    assert code == "label_uneven"
    assert "flipped along" in detail
    assert pancreas_ct.check_case(image, as_scan(np.zeros_like(mask))) == []


def as_scan(voxels):
    from keras_uq.preprocessing import Scan

    return Scan(voxels, np.eye(4), (1.0, 1.0, 1.0), nibabel.Nifti1Header())


def test_scans_are_resampled_to_one_millimetre_and_keep_their_own_size(make_pancreas_ct, tmp_path):
    steps = Preprocessing(window=(340, 70), spacing=(1.0, 1.0, 1.0))
    data = prepare(make_pancreas_ct(), tmp_path / "out", steps, same_size=False)
    assert data.spacing("PANCREAS_0001") == pytest.approx((1.0, 1.0, 1.0), rel=0.05)
    depth, height, width, channels = data.image("PANCREAS_0001").shape
    assert (depth, channels) == (15, 1)
    assert (height, width) == (round(26 * 0.8), round(24 * 0.8))
    image, mask = np.asarray(data.image("PANCREAS_0001")), np.asarray(data.mask("PANCREAS_0001")) > 0
    # -100 and 240 HU are 0 and 1: the organ is (100 + 100) / 340 where its borders are not mixed in.
    assert np.percentile(image[mask], 85) == pytest.approx(200 / 340, abs=0.03)
    # In millimetres it is as large as it was.
    assert mask.sum() == pytest.approx(body()[1].sum() * np.prod(SPACING), rel=0.25)
    assert {name: len(cases) for name, cases in data.split.items()} == {"train": 4, "validation": 1, "test": 1}


def test_the_split_is_that_of_the_paper():
    names = pancreas_ct.seeded_split(pancreas_ct.TEST, pancreas_ct.VALIDATION)(
        [pancreas_ct.Case(f"PANCREAS_{number:04d}", None, None) for number in range(80)], 0
    )
    assert {name: len(cases) for name, cases in names.items()} == {"train": 56, "validation": 8, "test": 16}


def test_what_is_missing_is_named(make_pancreas_ct):
    root = make_pancreas_ct()
    next(root.rglob("label0003.nii.gz")).unlink()
    write_label(root, 9)
    with pytest.raises(BadDataset, match="0003 has no label; 0009 has no series.*download pancreas_ct"):
        pancreas_ct.open_archive(root)


def test_a_second_series_of_a_patient_is_a_finding_on_its_case(make_pancreas_ct, tmp_path):
    root = make_pancreas_ct()
    write_series(
        as_image(body()[0]), root / "Pancreas-CT" / "PANCREAS_0001" / "more", "x", 99, "PANCREAS_0001", **SCALE
    )
    assert_only_the_first_is_bad(root, tmp_path, "several_volumes: PANCREAS_0001 has 2 series; expected one")


def assert_only_the_first_is_bad(root, tmp_path, message):
    """The error is a finding on the first patient; the others are prepared."""
    with pytest.raises(BadDataset, match=rf"1 of 6 cases cannot.*\n.*1 fatal.*\nfatal    PANCREAS_0001  {message}"):
        prepare(root, tmp_path / "out", Preprocessing(window=(340, 70)))
    data = prepare(root, tmp_path / "out", Preprocessing(window=(340, 70)), skip_bad=True)
    cases = {name for names in data.split.values() for name in names}
    assert cases == {f"PANCREAS_{number:04d}" for number in range(2, 7)}


def test_a_series_that_cannot_be_listed_is_a_finding_on_its_case(make_pancreas_ct, tmp_path):
    root = make_pancreas_ct()
    file = min(next(root.rglob("PANCREAS_0001")).rglob("*.dcm"))
    edit(file, announce("1.2.840.10008.1.2.1"))
    assert_only_the_first_is_bad(root, tmp_path, f"unreadable: {file.name} announces the transfer syntax")


def test_a_folder_without_a_readable_series_is_a_finding_on_its_case(make_pancreas_ct, tmp_path):
    root = make_pancreas_ct()
    for file in next(root.rglob("PANCREAS_0001")).rglob("*.dcm"):
        file.rename(file.with_suffix("")).write_bytes(b"junk" * 200)
    assert_only_the_first_is_bad(root, tmp_path, "unreadable: PANCREAS_0001 has files, but no readable DICOM series")


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (np.zeros((24, 26, 10, 2), "uint8"), r"label_channels: label0001\.nii\.gz has the shape \(24, 26, 10, 2\)"),
        (np.full((24, 26, 10), 2, "uint8"), r"unknown_label: label0001\.nii\.gz holds \[2\]; expected 0 and 1"),
        (
            np.full((24, 26, 10), np.nan, "float32"),
            r"label_not_finite: label0001\.nii\.gz: 100\.000% of the voxels are NaN",
        ),
    ],
)
def test_a_label_that_is_none_is_a_finding_on_its_case(make_pancreas_ct, tmp_path, voxels, message):
    root = make_pancreas_ct()
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-0.8, 0.8, 1.5, 1])), next(root.rglob("label0001.nii.gz")))
    assert_only_the_first_is_bad(root, tmp_path, message)


class Archive(http.server.BaseHTTPRequestHandler):
    """Lists and sends series as The Cancer Imaging Archive does: zips without a length, made anew, no ranges."""

    series: ClassVar[dict] = {}
    counts: ClassVar[dict] = {}
    asked: ClassVar[list] = []
    cut: ClassVar[set] = set()

    def do_GET(self):
        address = urllib.parse.urlparse(self.path)
        query = {name: values[0] for name, values in urllib.parse.parse_qs(address.query).items()}
        if address.path.endswith("/getSeries"):
            listed = [
                {
                    "Collection": query["Collection"],
                    "PatientID": patient,
                    "SeriesInstanceUID": uid,
                    "SeriesDescription": "Pancreas",
                    "ImageCount": self.counts.get(uid, len(files)),
                }
                for uid, (patient, files) in self.series.items()
            ]
            content = json.dumps(listed).encode()
        else:
            uid = query["SeriesInstanceUID"]
            self.asked.append(uid)
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                archive.writestr("LICENSE", "CC BY 3.0")
                for name, data in self.series[uid][1].items():
                    archive.writestr(name, data)
            content = packed.getvalue()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if query.get("SeriesInstanceUID") in self.cut else content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def tcia_server(tmp_path):
    for each in (Archive.series, Archive.counts, Archive.asked, Archive.cut):
        each.clear()
    for number in (1, 2, 3):
        files = sorted(write_case(tmp_path / "there", number).iterdir())
        Archive.series[f"1.2.3.{number}"] = (
            f"PANCREAS_{number:04d}",
            {f"1-{index:03d}.dcm": file.read_bytes() for index, file in enumerate(files, start=1)},
        )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Archive) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/v1"
        running.shutdown()


def test_a_collection_comes_series_by_series_and_is_taken_up(tcia_server, tmp_path):
    folder = tmp_path / "down"
    Archive.cut.add("1.2.3.2")
    with pytest.raises(DownloadError, match=r"series 1\.2\.3\.2 is damaged.*run the download again"):
        tcia.fetch_collection("Pancreas-CT", folder, base=tcia_server, progress=False)
    assert len(list((folder / "PANCREAS_0001").rglob("*.dcm"))) == 10
    assert not list((folder / "PANCREAS_0002").iterdir())
    Archive.cut.clear()
    Archive.asked.clear()
    found = tcia.fetch_collection("Pancreas-CT", folder, base=tcia_server, progress=False)
    assert [path.parent.name for path in found] == ["PANCREAS_0001", "PANCREAS_0002", "PANCREAS_0003"]
    assert Archive.asked == ["1.2.3.2", "1.2.3.3"]  # The first was there.
    assert not list(folder.rglob("*.zip"))
    assert not list(folder.rglob("*.part*"))


def test_a_series_with_another_number_of_images_is_not_taken(tcia_server, tmp_path):
    Archive.counts["1.2.3.1"] = 11
    with pytest.raises(DownloadError, match="not complete: it has 10 images instead of 11"):
        tcia.fetch_collection("Pancreas-CT", tmp_path / "down", base=tcia_server, progress=False)
    assert not list((tmp_path / "down").rglob("*.dcm"))


def test_series_are_chosen_by_description_and_nothing_is_an_error(tcia_server):
    assert len(tcia.list_series("Pancreas-CT", "PANCREAS", base=tcia_server)) == 3
    with pytest.raises(DownloadError, match="no series described as t2_tse_tra"):
        tcia.list_series("PROSTATEx", "t2_tse_tra", base=tcia_server)
    with pytest.raises(DownloadError, match="did not list"):
        tcia.list_series("Pancreas-CT", base="http://127.0.0.1:9/v1", timeout=1)


ENTRY = {"PatientID": "PANCREAS_0001", "SeriesInstanceUID": "1.2.3", "ImageCount": 10}


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (
            [{**ENTRY, "PatientID": "../../home"}],
            "expected `PatientID` to be a name of letters.*Received: '../../home'",
        ),
        ([{**ENTRY, "PatientID": "/etc"}], "`PatientID`"),
        ([{**ENTRY, "PatientID": ".."}], "`PatientID`"),
        ([{**ENTRY, "PatientID": "a\\b"}], "`PatientID`"),
        ([{**ENTRY, "PatientID": "C:x"}], "`PatientID`"),
        ([{**ENTRY, "PatientID": None}], "`PatientID`"),
        ([{**ENTRY, "SeriesInstanceUID": "1.2/../3"}], "expected `SeriesInstanceUID` to be numbers joined by dots"),
        ([{**ENTRY, "SeriesInstanceUID": "1.2&x=1"}], "`SeriesInstanceUID`"),
        ([{**ENTRY, "SeriesInstanceUID": ".."}], "`SeriesInstanceUID`"),
        ([{**ENTRY, "SeriesInstanceUID": "1." * 40 + "1"}], "`SeriesInstanceUID`"),
        ([{**ENTRY, "ImageCount": "ten"}], "expected `ImageCount` to be a whole number of at least 1"),
        ([{**ENTRY, "ImageCount": 0}], "`ImageCount`"),
        ([{**ENTRY, "SeriesDescription": 5}], "`SeriesDescription`"),
        ([{"PatientID": "P"}], "lacks SeriesInstanceUID, ImageCount"),
        ([ENTRY, 5], "expected an object"),
        ({"error": "busy"}, "its answer is no list"),
        (b"<html>", "its answer is not JSON"),
        (b"[" * 100_000, "its answer is not JSON"),
    ],
)
def test_what_the_server_lists_cannot_choose_where_files_go(listed, message, tmp_path, monkeypatch):
    class Answer:
        content = listed if isinstance(listed, bytes) else json.dumps(listed).encode()

        def raise_for_status(self):
            pass

    monkeypatch.setattr("requests.get", lambda *arguments, **named: Answer())
    with pytest.raises(DownloadError, match=f"did not list.*{message}"):
        tcia.list_series("Pancreas-CT")
    if isinstance(listed, list):
        with pytest.raises(ValueError, match=message):
            tcia.fetch_series(listed[-1], tmp_path / "down", progress=False)
    assert not (tmp_path / "down").exists()


def test_a_series_without_a_description_is_listed(monkeypatch):
    class Answer:
        content = json.dumps([{**ENTRY, "SeriesDescription": None}, ENTRY, {**ENTRY, "Extra": 1}]).encode()

        def raise_for_status(self):
            pass

    monkeypatch.setattr("requests.get", lambda *arguments, **named: Answer())
    assert len(tcia.list_series("Pancreas-CT")) == 3
    with pytest.raises(DownloadError, match="no series described as liver"):
        tcia.list_series("Pancreas-CT", "liver")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "http://127.0.0.1:9/..", "http://127.0.0.1:9/a?b=1", "http://x/%2e"]
)
def test_an_address_does_not_choose_a_path(url, tmp_path):
    with pytest.raises(ValueError, match="does not end in a file name"):
        fetch(url, None, tmp_path / "down", progress=False)
    assert not (tmp_path / "down").exists()


def test_a_folder_that_cannot_be_written_is_said_to_be_so(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match=r"a\.zip cannot be written to .*Not a directory"):
        fetch("http://127.0.0.1:9/a.zip", None, tmp_path / "file" / "down", progress=False)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download, "fetch_collection", full)
    assert download.main(["prostatex", "--to", str(tmp_path)]) == 2
    assert "No space left on device" in capsys.readouterr().err


def test_the_command_leaves_a_folder_that_can_be_prepared(tcia_server, tmp_path, monkeypatch, capsys):
    for number in (1, 2, 3):
        write_label(tmp_path / "labels", number)
    folder = tmp_path / "archives" / "pancreas_ct"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "labels.zip", "w") as archive:
        for path in (tmp_path / "labels").rglob("*.nii.gz"):
            archive.write(path, path.relative_to(tmp_path / "labels"))
    monkeypatch.setattr(download, "archives", lambda: {"pancreas_ct": []})
    monkeypatch.setattr(tcia.fetch_collection, "__defaults__", (None, tcia_server, False))
    assert download.main(["pancreas_ct", "--to", str(folder)]) == 0
    assert "3 series" in capsys.readouterr().out
    data = prepare(folder, tmp_path / "out", Preprocessing(window=(340, 70)), same_size=False)
    assert isinstance(data, Prepared)
    assert len(data.split["train"]) == 1


def test_addresses_and_checksums_are_those_of_the_owner():
    url, checksum = download.archives()["pancreas_ct"][0]
    assert url.endswith("TCIA_pancreas_labels-02-05-2017-1.zip")
    assert checksum == "sha256:cf8a553c37c80e3840ce7392987b308f7a98cd5f50019511b2ac0f3a54b0934b"
    assert download.COLLECTIONS["prostatex"] == ("PROSTATEx", "t2_tse_tra")
    assert tcia.BASE == "https://services.cancerimagingarchive.net/nbia-api/services/v1"
