"""The five picture datasets in their official layouts, traps included."""

import hashlib
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from data_prep import download, pictures, synthetic_nuclei
from data_prep.archive import BadDataset, Case
from data_prep.pictures import COLLECTIONS, split_counts
from data_prep.prepare import open_source, prepare
from experiments.inputs import datasets
from keras_uq.preprocessing import BadScan, Preprocessing

STEPS = Preprocessing(orientation=None, zscore=True, resampling="spline", size=(32, 48))


def disc(height, width, number):
    """A bright disc on a dark gradient, and where it is."""
    rows, columns = np.mgrid[:height, :width]
    mask = (rows - height / 2) ** 2 + (columns - width / 2 - number % 5) ** 2 < (height / 4) ** 2
    grey = 30 + 40 * rows / height + 120 * mask + np.random.default_rng(number).normal(0, 5, mask.shape)
    return np.clip(grey, 0, 255).astype("uint8"), mask


def save(path, array, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **how)


def make_drive(root, test_labels=False):
    for part, numbers in (("training", range(21, 41)), ("test", range(1, 21))):
        for number in numbers:
            grey, mask = disc(58, 56, number)
            save(root / part / "images" / f"{number:02d}_{part}.tif", np.stack([grey] * 3, -1))
            save(root / part / "mask" / f"{number:02d}_{part}_mask.gif", np.full_like(grey, 255))
            if part == "training" or test_labels:
                save(root / part / "1st_manual" / f"{number:02d}_manual1.gif", mask.astype("uint8") * 255)


def make_bus2017(root, numbers=range(1, 13)):
    for number in numbers:
        grey, mask = disc(40 + number, 60, number)
        save(root / "BUS" / "original" / f"{number:06d}.png", grey if number % 2 else np.stack([grey] * 3, -1))
        shaded = np.where(mask, 240, 20).astype("uint8")  # Converters found masks that are not clean.
        save(root / "BUS" / "GT" / f"{number:06d}.png", np.stack([shaded] * 3, -1) if number % 3 else shaded)
    (root / "BUS" / "DatasetB.xlsx").write_bytes(b"no picture")


def make_dsb2018(root, count=12):
    for number in range(count):
        name = hashlib.sha256(str(number).encode()).hexdigest()
        grey, mask = disc(*((48, 48), (40, 64), (72, 56))[number % 3], number)
        opaque = np.concatenate([np.stack([grey] * 3, -1), np.full((*grey.shape, 1), 128, "uint8")], axis=-1)
        save(root / name / "images" / f"{name}.png", opaque)
        for half, kept in enumerate((np.arange(mask.shape[1]) < 24, np.arange(mask.shape[1]) >= 24)):
            save(root / name / "masks" / f"{half:064d}.png", (mask & kept).astype("uint8") * 255)
        (root / name / "masks" / "._hidden.png").write_bytes(b"Mac OS X resource fork")
    (root / "__MACOSX").mkdir()


def make_isic2018(root, count=12):
    for number in range(count):
        grey, mask = disc(45, 60 + number, number)
        images, masks = root / "ISIC2018_Task1-2_Training_Input", root / "ISIC2018_Task1_Training_GroundTruth"
        save(images / f"ISIC_{number:07d}.jpg", np.stack([grey, grey // 2, grey // 2], -1))
        save(images / f"ISIC_{number:07d}_superpixels.png", grey)
        save(masks / f"ISIC_{number:07d}_segmentation.png", mask.astype("uint8") * 255)
    (images / "ATTRIBUTION.txt").write_text("terms")


def make_cvc(root, count=12, suffix="tif", sequences=False):
    for number in range(1, count + 1):
        grey, mask = disc(36, 48, number)
        save(root / "CVC-ClinicDB" / "Original" / f"{number}.{suffix}", np.stack([grey, grey // 3, grey // 3], -1))
        save(root / "CVC-ClinicDB" / "Ground Truth" / f"{number}.{suffix}", mask.astype("uint8") * 255)
    if sequences:
        lines = ["frame_id,sequence_id", *[f"{number},{(number - 1) // 2}" for number in range(1, count + 1)]]
        (root / "CVC-ClinicDB" / "metadata.csv").write_text("\n".join(lines))


MAKERS = {
    "drive": (make_drive, 20, ["21_training", "22_training"]),
    "bus2017": (make_bus2017, 12, ["000001", "000002"]),
    "dsb2018": (make_dsb2018, 12, None),
    "isic2018": (make_isic2018, 12, ["ISIC_0000000", "ISIC_0000001"]),
    "cvc": (make_cvc, 12, ["1", "2"]),
}


@pytest.mark.parametrize("key", MAKERS)
def test_each_collection_is_recognised_and_prepared(key, tmp_path):
    make, count, first = MAKERS[key]
    make(tmp_path / key)
    archive = open_source(tmp_path / key, tmp_path / "unpacked")
    assert archive.name == COLLECTIONS[key].name
    assert len(archive.cases) == count
    assert first is None or [case.name for case in archive.cases[:2]] == first  # By number: 2 before 10.
    data = prepare(tmp_path / key, tmp_path / "out", STEPS)
    assert sum(map(len, data.split.values())) == count
    assert data.classes == 2
    for part in data.split.values():
        for case in part:
            image, mask, full = data.image(case), data.mask(case), data.full_mask(case)
            assert image.shape == (1, 32, 48, 3)
            assert mask.shape == (1, 32, 48, 1)
            assert full.shape[0] == 1
            assert set(np.unique(full)) == {0, 1}
            np.testing.assert_allclose(np.mean(mask), np.mean(full), atol=0.02)
            # The disc is the brightest: image and mask were turned alike.
            assert image[..., 0][mask[..., 0] == 1].mean() > image[..., 0][mask[..., 0] == 0].mean() + 1
    data.verify()


def test_masks_of_single_nuclei_are_one_mask(tmp_path):
    make_dsb2018(tmp_path / "dsb", count=3)
    (case, *_) = open_source(tmp_path / "dsb", tmp_path).cases
    number = next(n for n in range(3) if hashlib.sha256(str(n).encode()).hexdigest() == case.name)
    expected = disc(*((48, 48), (40, 64), (72, 56))[number], number)[1]
    np.testing.assert_array_equal(pictures.read_masks(case.label).voxels[:, :, 0].T, expected)
    picture = pictures.read_picture(case.image)
    assert picture.voxels.shape == (*expected.T.shape, 1, 3)
    assert picture.voxels.dtype == np.uint8


def test_a_z_score_is_over_all_channels(tmp_path):
    make_isic2018(tmp_path / "isic")
    steps = Preprocessing(orientation=None, zscore=True)
    voxels = pictures.read_picture(open_source(tmp_path / "isic", tmp_path).cases[0].image).voxels
    image, _ = steps.image(voxels, np.eye(4))
    assert abs(image.mean()) < 1e-5
    assert image.std() == pytest.approx(1, abs=1e-5)
    assert image[..., 0].mean() > image[..., 1].mean() + 0.5  # Channels keep their distance.


def test_an_archive_without_a_folder_above_is_found_and_hidden_files_are_not(tmp_path):
    make_dsb2018(tmp_path / "content", count=6)
    folder = tmp_path / "data" / "dsb2018"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "stage1_train.zip", "w") as archive:
        for path in sorted((tmp_path / "content").rglob("*")):
            archive.write(path, path.relative_to(tmp_path / "content"))
    source = datasets._official(tmp_path / "data", "dsb2018")
    assert source == folder / "stage1_train.zip"
    assert len(open_source(source, tmp_path / "unpacked").cases) == 6


def zipped(folder, archive):
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder.parent))


def test_two_archives_of_one_collection_are_unpacked_side_by_side(tmp_path, monkeypatch):
    make_drive(tmp_path / "content")
    (tmp_path / "drive").mkdir()
    for part in ("training", "test"):
        zipped(tmp_path / "content" / part, tmp_path / "drive" / f"{part}.zip")
    data = prepare(tmp_path / "drive", tmp_path / "out" / "a", STEPS)
    assert sum(map(len, data.split.values())) == 20
    assert data.description["origin"]["official_archive"] is False  # Not the published checksum.
    assert [path.name for path in (tmp_path / "out" / "unpacked").glob("drive-*/*")] == ["drive"]
    for part in ("training", "test"):
        checksum = f"sha256:{pictures.sha256(tmp_path / 'drive' / f'{part}.zip')}"
        monkeypatch.setitem(pictures.FILES, f"{part}.zip", ("drive", None, checksum))
    data = prepare(tmp_path / "drive", tmp_path / "out" / "b", STEPS)
    assert data.description["origin"]["official_archive"] is True


def test_a_damaged_archive_leaves_nothing_behind(tmp_path):
    make_drive(tmp_path / "content")
    (tmp_path / "drive").mkdir()
    for part in ("training", "test"):
        zipped(tmp_path / "content" / part, tmp_path / "drive" / f"{part}.zip")
    whole = (tmp_path / "drive" / "training.zip").read_bytes()
    (tmp_path / "drive" / "training.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="training.zip cannot be unpacked"):
        prepare(tmp_path / "drive", tmp_path / "out" / "a", STEPS)
    assert not list((tmp_path / "out").rglob("*.*"))


@pytest.mark.parametrize("key", COLLECTIONS)
def test_absent_data_are_explained(key, tmp_path):
    for data in (None, tmp_path):
        with pytest.raises(ValueError, match=r"Expected") as caught:
            datasets._official(data, key)
        assert any(words in str(caught.value) for words in ("http", "python -m data_prep.download"))


@pytest.mark.parametrize("key", ["bus2017", "dsb2018", "isic2018", "cvc"])
def test_printed_sizes_are_met_exactly(key):
    counts = COLLECTIONS[key].counts
    cases = [Case(f"c{number}", None, None) for number in range(sum(counts))]
    sets = split_counts(cases, 0, counts)
    assert tuple(len(sets[part]) for part in ("train", "validation", "test")) == counts
    assert len({name for part in sets.values() for name in part}) == len(cases)
    assert split_counts(cases[::-1], 0, counts) == sets
    assert split_counts(cases, 1, counts) != sets


def test_proportions_are_kept_for_another_number_of_pictures():
    cases = [Case(f"c{number}", None, None) for number in range(664)]
    sets = split_counts(cases, 0, COLLECTIONS["dsb2018"].counts)
    assert {part: len(names) for part, names in sets.items()} == {"train": 424, "validation": 107, "test": 133}
    few = split_counts(cases[:3], 0, COLLECTIONS["dsb2018"].counts)
    assert all(len(names) == 1 for names in few.values())
    with pytest.raises(BadDataset, match="at least three"):
        split_counts(cases[:2], 0, (1, 1, 1))


def test_sequences_stay_together(tmp_path):
    make_cvc(tmp_path / "cvc", count=24, suffix="png", sequences=True)
    archive = open_source(tmp_path / "cvc", tmp_path)
    assert list(archive.splits) == ["images", "sequences"]
    sets = archive.splits["sequences"](archive.cases, 0)
    sequence = {case.name: case.group for case in archive.cases}
    groups = [{sequence[name] for name in names} for names in sets.values()]
    assert not any(a & b for a in groups for b in groups if a is not b)
    assert all(groups)
    make_cvc(tmp_path / "plain")
    with pytest.raises(BadDataset, match="cannot be split by 'sequences'. Available splits: images"):
        prepare(tmp_path / "plain", tmp_path / "out", STEPS, split="sequences")


def test_drive_has_the_authors_split_or_five_folds(tmp_path):
    make_drive(tmp_path / "legacy", test_labels=True)
    archive = open_source(tmp_path / "legacy", tmp_path)
    sets = archive.splits["images"](archive.cases, 0)
    assert {part: len(names) for part, names in sets.items()} == {"train": 16, "validation": 4, "test": 20}
    assert sets["train"][0] == "21_training"
    assert sets["validation"] == [f"{number}_training" for number in range(37, 41)]
    assert all(name.endswith("_test") for name in sets["test"])
    make_drive(tmp_path / "official")
    archive = open_source(tmp_path / "official", tmp_path)
    assert list(archive.splits) == ["images", "fold0", "fold1", "fold2", "fold3", "fold4"]
    folds = [archive.splits[f"fold{number}"](archive.cases, 0) for number in range(5)]
    assert archive.splits["images"](archive.cases, 0) == folds[0]
    for sets in folds:
        assert {part: len(names) for part, names in sets.items()} == {"train": 13, "validation": 3, "test": 4}
        assert len({name for part in sets.values() for name in part}) == 20
    assert len({name for sets in folds for name in sets["test"]}) == 20


def test_one_report_names_every_bad_case_and_nothing_is_left(tmp_path):
    make_dsb2018(tmp_path / "dsb", count=12)
    cases = open_source(tmp_path / "dsb", tmp_path).cases
    names = [case.name for case in cases]
    save(next(cases[0].label.glob("0*.png")), np.zeros((9, 9), "uint8"))  # Two sizes among the masks.
    for path in [*cases[1].label.iterdir(), cases[1].label]:
        path.unlink() if path.is_file() else path.rmdir()
    cases[2].image.write_bytes(cases[2].image.read_bytes()[:200])
    cases[3].image.write_bytes(b"no picture")
    for path in cases[4].label.glob("0*.png"):
        save(path, np.zeros((5, 5), "uint8"))  # One size, but not the picture's.
    with pytest.raises(BadDataset) as caught:
        prepare(tmp_path / "dsb", tmp_path / "out", STEPS)
    report = str(caught.value)
    for name, code in zip(names, ("shape_mismatch", "missing", "truncated", "picture_kind", "shape_mismatch")):
        assert any(name in line and f"{code}:" in line for line in report.splitlines()), (name, code)
    assert "5 of 12 cases cannot be used" in report
    assert [path.name for path in tmp_path.iterdir()] == ["dsb"]
    data = prepare(tmp_path / "dsb", tmp_path / "out", STEPS, skip_bad=True)
    assert sum(map(len, data.split.values())) == 7


def test_pictures_need_a_size(tmp_path):
    make_cvc(tmp_path / "cvc")
    with pytest.raises(BadDataset, match="differ in size"):
        prepare(tmp_path / "cvc", tmp_path / "out", Preprocessing(orientation=None, zscore=True))


def test_a_bomb_is_refused_by_its_header(tmp_path, monkeypatch):
    save(tmp_path / "large.png", np.zeros((64, 64), "uint8"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(BadScan) as caught:
        pictures.read_picture(tmp_path / "large.png")
    assert caught.value.code == "too_large"


def test_synthetic_nuclei_are_a_collection_and_say_so(tmp_path):
    synthetic_nuclei.write_collection(tmp_path / "synthetic", 6)
    synthetic_nuclei.write_collection(tmp_path / "again", 6)
    files = sorted(path.relative_to(tmp_path / "synthetic") for path in (tmp_path / "synthetic").rglob("*.png"))
    assert all(
        (tmp_path / "again" / path).read_bytes() == (tmp_path / "synthetic" / path).read_bytes() for path in files
    )
    archive = open_source(tmp_path / "synthetic", tmp_path)
    assert len(archive.cases) == 6
    assert datasets.synthetic_name("nuclei") == "synthetic microscopy"
    for case in archive.cases:
        assert 0.02 < pictures.read_masks(case.label).voxels.mean() < 0.6


@pytest.mark.slow
def test_the_real_archive(real_data, tmp_path):
    archive = open_source(real_data / "dsb2018" / "stage1_train.zip", tmp_path)
    assert len(archive.cases) == 664
    sets = archive.splits["images"](archive.cases, 0)
    assert {part: len(names) for part, names in sets.items()} == {"train": 424, "validation": 107, "test": 133}
    sizes = {}
    for case in archive.cases[::40]:
        picture, mask = pictures.read_picture(case.image), pictures.read_masks(case.label)
        assert picture.voxels.shape[:3] == mask.voxels.shape
        sizes[picture.voxels.shape] = 0.005 < mask.voxels.mean() < 0.8
    assert len(sizes) > 2
    assert all(sizes.values())


def test_files_to_fetch_have_their_checksums():
    assert {entry[0] for entry in pictures.FILES.values()} == {"drive", "dsb2018", "isic2018"}
    assert {"dsb2018", "isic2018", "Task09_Spleen"} <= set(download.archives())
    assert "drive" not in download.archives()
    for name, (_, url, checksum) in pictures.FILES.items():
        assert url is None or url.endswith(name)
        assert checksum is None or (checksum.startswith("sha256:") and len(checksum) == 71)


def test_a_picture_in_memory_is_read_as_on_disk(tmp_path):
    grey, mask = disc(20, 30, 1)
    buffer = io.BytesIO()
    Image.fromarray(mask.astype("uint8") * 255).save(buffer, "GIF")
    (tmp_path / "mask.gif").write_bytes(buffer.getvalue())
    np.testing.assert_array_equal(pictures.read_mask(tmp_path / "mask.gif").voxels[:, :, 0].T, mask)
    save(tmp_path / "grey.png", grey)
    assert (np.ptp(pictures.read_picture(tmp_path / "grey.png").voxels, axis=-1) == 0).all()
