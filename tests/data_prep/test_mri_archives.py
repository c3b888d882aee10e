"""ACDC, BraTS 2017, PROSTATEx and PROMISE12 as they come, traps included; DICOM and MHD written by SimpleITK."""

import locale

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from data_prep import acdc, brats, itk, prostate
from data_prep.archive import BadDataset
from data_prep.prepare import open_source, prepare
from keras_uq.preprocessing import BadScan, Preprocessing

STEPS = Preprocessing(percentiles=(0, 100), crop=(32, 32))


def save(array, path, zooms, sform=None):
    """NIfTI; with `sform`, a header as ACDC has it: true zooms, another affine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(array, np.diag([-zooms[0], -zooms[1], zooms[2], 1.0]))
    if sform is not None:
        image.header.set_sform(sform, code=2)
        image = nibabel.Nifti1Image(array, None, image.header)
    nibabel.save(image, path)


def organ(shape, values=(1, 2, 3)):
    labels = np.zeros(shape, "uint8")
    for index, value in enumerate(values):
        labels[4 + 3 * index : 8 + 3 * index, 6:12, 1:-1] = value
    return labels


@pytest.fixture
def make_acdc(tmp_path):
    def make(top=("ACDC", "database"), patients=(1, 2, 3, 4, 5, 6, 7, 8, 9, 90)):
        root = tmp_path.joinpath("acdc", *top)
        for part, numbers in (("training", patients), ("testing", (101,))):
            for number in numbers:
                name = f"patient{number:03d}"
                folder = root / part / name
                frames = (4, 11) if number == 90 else (1, 9)
                rng = np.random.default_rng(number)
                for frame in frames:
                    labels = organ((20, 18, 6))
                    image = (rng.normal(50, 5, labels.shape) + 40 * labels + 100 * (frame in (1, 4))).astype("int16")
                    for kind, array in (("", image), ("_gt", labels)):
                        file = folder / f"{name}_frame{frame:02d}{kind}.nii.gz"
                        save(array, file, (1.5, 1.5, 10.0), sform=np.diag([-1.0, -1.0, 1.0, 1.0]))
                save(np.zeros((4, 4, 2, 3), "int16"), folder / f"{name}_4d.nii.gz", (1.5, 1.5, 10.0))
                (folder / "Info.cfg").write_text(f"ED: {frames[0]}\nES: {frames[1]}\nGroup: DCM\nNbFrame: 30\n")
                (folder / "MANDATORY_CITATION.md").write_text("Bernard et al.")
        return tmp_path / "acdc"

    return make


@pytest.mark.parametrize("top", [("ACDC", "database"), ("database",), ()])
def test_acdc_takes_end_diastole_of_the_training_patients(make_acdc, top):
    archive = open_source(make_acdc(top), None)
    assert archive.name == "ACDC"
    assert [case.name for case in archive.cases][-2:] == ["patient009", "patient090"]
    assert len(archive.cases) == 10
    assert archive.cases[-1].image.name == "patient090_frame04.nii.gz"
    assert archive.cases[0].label.name == "patient001_frame01_gt.nii.gz"
    split = archive.splits["patients"](archive.cases, 0)
    assert {name: len(cases) for name, cases in split.items()} == {"train": 4, "validation": 1, "test": 5}


def test_acdc_is_resampled_by_the_spacing_of_the_header_not_of_the_affine(make_acdc, tmp_path):
    steps = Preprocessing(percentiles=(0, 100), spacing=(None, 3.0, 3.0), crop=(16, 16))
    data = prepare(make_acdc(), tmp_path / "out", steps)
    assert data.spacing("patient001") == pytest.approx((10.0, 3.0, 3.0))
    assert data.image("patient001").shape == (6, 16, 16, 1)
    assert (np.asarray(data.image("patient090")) > 0.5).any()
    assert set(np.unique(data.mask("patient001"))) == {0, 1, 2, 3}
    assert data.classes == 4


def test_acdc_names_what_is_missing(make_acdc):
    folder = make_acdc()
    file = next(folder.rglob("patient002_frame01_gt.nii.gz"))
    file.unlink()
    with pytest.raises(BadDataset, match="patient002 has no patient002_frame01_gt"):
        acdc.open_archive(folder)
    next(folder.rglob("patient001/Info.cfg")).write_text("Group: NOR\n")
    with pytest.raises(BadDataset, match="end-diastole"):
        acdc.open_archive(folder)


NAMES = ("CBICA_AAB", "CBICA_AAG", "CBICA_ABE", "CBICA_ABM", "TCIA_101", "TCIA_105", "2013_10")


@pytest.fixture
def make_brats(tmp_path):
    def make(names=NAMES, low=("TCIA_330", "2013_0"), prefix="Brats17", values=(1, 2, 4)):
        root = tmp_path / "brats2017" / "MICCAI_BraTS17_Data_Training"
        for grade, of_grade in (("HGG", names), ("LGG", low)):
            for number, site in enumerate(of_grade):
                case = f"{prefix}_{site}_1"
                labels = organ((22, 20, 8), values)
                for index, kind in enumerate(("flair", "t1", "t1ce", "t2")):
                    rng = np.random.default_rng(10 * number + index)
                    image = ((labels > 0) * (100 * (index + 1)) + rng.integers(1, 50, labels.shape)).astype("int16")
                    image[0] = 0
                    save(image, root / grade / case / f"{case}_{kind}.nii.gz", (1.0, 1.0, 1.0))
                save(labels, root / grade / case / f"{case}_seg.nii.gz", (1.0, 1.0, 1.0))
        (root / "survival_data.csv").write_text("Brats17ID,Age,Survival\n")
        return tmp_path / "brats2017"

    return make


def test_brats_is_split_by_site_and_grade(make_brats):
    archive = open_source(make_brats(), None)
    by_sites = archive.splits["sites"](archive.cases, 0)
    assert by_sites["test"] == ["Brats17_TCIA_101_1", "Brats17_TCIA_105_1"]
    assert {name: len(cases) for name, cases in by_sites.items()} == {"train": 3, "validation": 1, "test": 2}
    assert all("CBICA" in name for part in ("train", "validation") for name in by_sites[part])
    assert len(archive.splits["sites_all_grades"](archive.cases, 0)["test"]) == 3


def test_brats_has_three_channels_and_labels_without_a_gap(make_brats, tmp_path):
    data = prepare(make_brats(), tmp_path / "out", STEPS)
    assert data.classes == 4
    case = data.split["train"][0]
    image, mask = np.asarray(data.image(case)), np.asarray(data.mask(case))
    assert image.shape[-1] == 3
    assert set(np.unique(mask)) == {0, 1, 2, 3}
    # Channels are T1CE, T2 and FLAIR: their contrast rises in another order in the files.
    inside = (mask[..., 0] > 0) & (image[..., 0] > 0)
    assert all(
        np.corrcoef(image[..., channel][inside | ~inside], (mask[..., 0] > 0).ravel())[0, 1] > 0.5
        for channel in range(3)
    )
    assert "Brats17_2013_10_1" not in {name for names in data.split.values() for name in names}


def test_brats_refuses_what_it_cannot_split_or_read(make_brats, tmp_path):
    folder = make_brats(names=("CBICA_AAB",), low=())
    with pytest.raises(BadDataset, match="split by site"):
        archive = brats.open_archive(folder)
        archive.splits["sites"](archive.cases, 0)
    label = next(folder.rglob("*_seg.nii.gz"))
    save(np.full((22, 20, 8), 3, "uint8"), label, (1.0, 1.0, 1.0))
    with pytest.raises(BadScan, match=r"\[3\]"):
        brats.read_label(label)
    next(folder.rglob("*_t2.nii.gz")).unlink()
    with pytest.raises(BadDataset, match=r"_t2\.nii\.gz"):
        brats.open_archive(folder)
    (tmp_path / "b20" / "BraTS20_Training_001").mkdir(parents=True)
    assert brats.is_brats(tmp_path / "b20")
    with pytest.raises(BadDataset, match="do not tell their site"):
        brats.open_archive(tmp_path / "b20")


OBLIQUE = (0.98, 0.0, 0.199, 0.04, 0.98, -0.195, -0.195, 0.2, 0.96)


def grid(size=(24, 22, 8), spacing=(1.0, 1.0, 3.0), origin=(-10.0, 5.0, 30.0)):
    """An empty image with oblique slices."""
    direction = np.linalg.qr(np.array(OBLIQUE).reshape(3, 3))[0]
    direction *= np.sign(np.diag(direction))
    image = sitk.Image(size, sitk.sitkInt16)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction.ravel())
    return image


def ball(image, fine=1 / 3):
    """A ball around the centre of an image, on a finer isotropic grid that lies along the same axes.

    At a third of the voxel size each voxel has a finer one in its middle, so that nearest neighbours are not a toss-up.
    """
    size = [round(n * s / fine) for n, s in zip(image.GetSize(), image.GetSpacing())]
    label = sitk.Image(size, sitk.sitkUInt8)
    label.SetSpacing((fine,) * 3)
    label.SetDirection(image.GetDirection())
    label.SetOrigin(image.TransformContinuousIndexToPhysicalPoint([fine / 2 / s - 0.5 for s in image.GetSpacing()]))
    places = np.stack(np.meshgrid(*((np.arange(n) + 0.5) / n - 0.5 for n in size[::-1]), indexing="ij"))
    inside = sitk.GetImageFromArray(((places**2).sum(axis=0) < 0.3**2).astype("uint8"))
    inside.CopyInformation(label)
    return inside


def write_series(image, folder, description, series, patient, reverse=False, **further):
    """One DICOM file a slice; file names in an order that is not that of space."""
    folder.mkdir(parents=True)
    before = locale.setlocale(locale.LC_ALL)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    direction = image.GetDirection()
    depth = image.GetSize()[2]
    for number in range(depth):
        part = image[:, :, number]
        tags = {
            "0008|0060": "MR",
            "0008|103e": description,
            "0010|0020": patient,
            "0020|000e": f"1.2.826.0.1.3680043.2.1125.{series}",
            "0020|000d": "1.2.826.0.1.3680043.2.1125.9",
            "0008|0018": f"1.2.826.0.1.3680043.2.1125.{series}.{number + 1}",
            "0020|0032": "\\".join(map(str, image.TransformIndexToPhysicalPoint((0, 0, number)))),
            "0020|0037": "\\".join(str(direction[index]) for index in (0, 3, 6, 1, 4, 7)),
            "0020|0013": str(number + 1),
            **further,
        }
        for tag, value in tags.items():
            part.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{(depth - number if reverse else number):06d}.dcm"))
        writer.Execute(part)
    locale.setlocale(locale.LC_ALL, before)  # GDCM leaves the locale C behind, in which files are read as ASCII.


@pytest.fixture
def make_prostatex(tmp_path):
    def make(patients=4):
        root = tmp_path / "prostatex"
        for number in range(patients):
            patient, image = f"ProstateX-{number:04d}", grid()
            label = ball(image)
            bright = sitk.Resample(label, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
            signal = sitk.GetArrayFromImage(bright).astype("int16") * 300
            signal += np.random.default_rng(number).integers(50, 90, signal.shape).astype("int16")
            filled = sitk.GetImageFromArray(signal)
            filled.CopyInformation(image)
            study = root / "PROSTATEx" / patient / "07-07-2011-MR"
            write_series(filled, study / "4.000000-t2 tse tra-1", "t2_tse_tra", 10 * number + 1, patient, reverse=True)
            write_series(filled, study / "3.000000-t2 tse sag-2", "t2_tse_sag", 10 * number + 2, patient)
            far = sitk.Image(filled)
            far.SetOrigin((400.0, 0.0, 0.0))
            write_series(far, study / "9.000000-t2 tse tra-3", "t2_tse_tra", 10 * number + 3, patient)
            (root / "masks").mkdir(exist_ok=True)
            sitk.WriteImage(label, str(root / "masks" / f"{patient}_segmentation.nrrd"))
        return root

    return make


def test_prostatex_masks_are_brought_to_the_oblique_series_in_space(make_prostatex, tmp_path):
    archive = open_source(make_prostatex(), None)
    assert archive.name == "PROSTATEx"
    assert [case.name for case in archive.cases] == [f"ProstateX-{number:04d}" for number in range(4)]
    for case in archive.cases[:2]:
        image, label = archive.read_image(case.image), archive.read_label(case.label)
        assert image.voxels.shape == label.voxels.shape == (24, 22, 8)
        np.testing.assert_allclose(image.affine, label.affine, atol=1e-4)
        assert image.zooms == pytest.approx((1.0, 1.0, 3.0), rel=1e-3)
        # The bright voxels are those of the mask: slices are in the order of space, and the far series is not taken.
        np.testing.assert_array_equal(label.voxels > 0, image.voxels > 200)
        assert 100 < label.voxels.sum() < 2000
    data = prepare(tmp_path / "prostatex", tmp_path / "out", STEPS)
    assert data.spacing("ProstateX-0000") == pytest.approx((3.0, 1.0, 1.0), rel=1e-3)
    assert {name: len(cases) for name, cases in data.split.items()} == {"train": 1, "validation": 1, "test": 2}


def test_prostatex_with_a_slice_missing_is_reported(make_prostatex, tmp_path):
    folder = make_prostatex(3)
    series = next(folder.rglob("ProstateX-0001/*/4.*"))
    sorted(series.iterdir())[3].unlink()
    with pytest.raises(BadDataset, match="some are missing"):
        prepare(folder, tmp_path / "out", STEPS)


def test_prostatex_files_that_cannot_be_read_are_a_finding_on_their_patient(make_prostatex, tmp_path):
    folder = make_prostatex(4)
    # Their data are not of the form that they announce. Nobody needs the files of a patient without a mask; the mask of
    # the last one is in DICOM and is found among those files.
    for number in (0, 1, 3):
        for file in next(folder.rglob(f"ProstateX-000{number}/*/4.*")).iterdir():
            file.write_bytes(file.read_bytes().replace(b"1.2.840.10008.1.2\0", b"1.2.840.10008.1.9\0"))
    for number in (0, 3):
        (folder / "masks" / f"ProstateX-000{number}_segmentation.nrrd").unlink()
    mask = {"0008|0060": "SEG", "0008|0016": "1.2.840.10008.5.1.4.1.1.7"}
    write_series(grid(size=(24, 22, 1)), folder / "seg" / "ProstateX-0003", "mask", 99, "ProstateX-0003", **mask)
    archive = prostate.open_prostatex(folder)
    assert [case.name for case in archive.cases] == ["ProstateX-0001", "ProstateX-0002", "ProstateX-0003"]
    for read in (archive.read_image, archive.read_label, archive.read_geometry):
        for case in (archive.cases[0], archive.cases[2]):
            with pytest.raises(BadScan, match=r"00000\d\.dcm announces the transfer syntax 1\.2\.840\.10008\.1\.9"):
                read(case.image)
    assert archive.read_image(archive.cases[1].image).voxels.shape == (24, 22, 8)
    with pytest.raises(BadDataset, match=r"2 of 3 cases cannot.*\n.*\nfatal    ProstateX-0001  unreadable"):
        prepare(folder, tmp_path / "out", STEPS)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda mask: mask.astype("float32") * np.nan, "label_not_finite"),
        (lambda mask: mask.astype("float32") / 2, "label_not_integer"),
        (lambda mask: mask.astype("int16") - 1, "unknown_label"),
        (lambda mask: mask + np.uint8(1), "unknown_label"),
        (lambda mask: mask + (np.arange(mask.size).reshape(mask.shape) == 0) * np.uint8(7), "unknown_label"),
    ],
)
def test_a_prostate_mask_that_is_not_one_structure_is_refused(make_promise12, change, code):
    folder = make_promise12(cases=3)
    label = next(folder.rglob("Case00_segmentation.mhd"))
    mask = sitk.ReadImage(str(label))
    changed = sitk.GetImageFromArray(change(sitk.GetArrayFromImage(mask).astype("uint8")))
    changed.CopyInformation(mask)
    sitk.WriteImage(changed, str(label))
    with pytest.raises(BadScan, match=label.name) as error:
        prostate.open_promise12(folder).read_label(label)
    assert error.value.code == code


def test_prostatex_without_masks_says_where_they_are(make_prostatex):
    folder = make_prostatex(1)
    for path in (folder / "masks").iterdir():
        path.unlink()
    with pytest.raises(BadDataset, match="PROSTATEx-Seg-HiRes"):
        prostate.open_prostatex(folder)


@pytest.fixture
def make_promise12(tmp_path):
    def make(parts=("training_data",), cases=4, spacing=(0.6, 0.6, 3.6)):
        root = tmp_path / "promise12"
        for part in parts:
            (root / part).mkdir(parents=True)
            for number in range(cases):
                image = grid(size=(26 + number, 24, 7), spacing=spacing)
                inside = sitk.Resample(ball(image), image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
                signal = sitk.Cast(inside, sitk.sitkInt16) * (100 * 10**number) + 7
                sitk.WriteImage(signal, str(root / part / f"Case{number:02d}.mhd"))
                sitk.WriteImage(
                    sitk.Cast(inside, sitk.sitkInt8), str(root / part / f"Case{number:02d}_segmentation.mhd")
                )
        return root

    return make


def test_promise12_is_read_from_mhd_and_numbers_may_start_again(make_promise12, tmp_path):
    archive = open_source(make_promise12(), None)
    assert [case.name for case in archive.cases] == ["Case00", "Case01", "Case02", "Case03"]
    case = archive.cases[1]
    image, label = archive.read_image(case.image), archive.read_label(case.label)
    assert image.voxels.shape == label.voxels.shape == (27, 24, 7)
    np.testing.assert_array_equal(label.voxels > 0, image.voxels > 100)
    data = prepare(tmp_path / "promise12", tmp_path / "out", STEPS)
    assert data.spacing("Case00") == pytest.approx((3.6, 0.6, 0.6), rel=1e-3)


def test_promise12_cases_of_both_parts_keep_apart(make_promise12):
    folder = make_promise12(("training_data", "test_data"), cases=3)
    names = [case.name for case in prostate.open_promise12(folder).cases]
    assert len(set(names)) == 6
    assert "test_data-Case00" in names


def test_an_mhd_without_its_raw_is_reported(make_promise12, tmp_path):
    folder = make_promise12()
    next(folder.rglob("Case02.raw")).unlink()
    with pytest.raises(BadDataset, match=r"Case02\.mhd cannot be read: Case02\.raw, .* is not beside it"):
        prepare(folder, tmp_path / "out", STEPS)
    data = prepare(folder, tmp_path / "out", STEPS, skip_bad=True)
    assert "Case02" not in {name for names in data.split.values() for name in names}


def test_places_of_itk_are_those_of_nifti():
    image = grid()
    scan = itk.to_scan(image)
    for index in ((0, 0, 0), (5, 3, 2), (23, 0, 7)):
        x, y, z = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((scan.affine @ [*index, 1])[:3], (-x, -y, z), atol=1e-4)
    assert scan.zooms == pytest.approx((1.0, 1.0, 3.0))
