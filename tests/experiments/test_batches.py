"""Batches and cases: a function of seed and epoch; a split over slices that leaks as it says."""

import json

import numpy as np
import pytest

from data_prep.prepared import DamagedData
from experiments.inputs.batches import Batches, volume_depth
from experiments.inputs.cases import Cases, SliceSplit


class Pair:
    """Two cases of six slices that tell where they are."""

    split = {"train": [0, 1]}
    classes = 1

    def image(self, case):
        return np.arange(6 * 4, dtype="float32").reshape(6, 2, 2, 1) + 100 * case

    def mask(self, case):
        return np.zeros((6, 2, 2, 1), "uint8")


def test_the_order_of_batches_is_a_function_of_seed_and_epoch():
    def seen(epoch, seed=0, steps=None):
        batches = Batches(Pair(), "train", batch=5, seed=seed, steps=steps)
        batches.epoch = epoch
        return np.concatenate([batches[number][0][:, 0, 0, 0] for number in range(len(batches))])

    assert len(seen(0)) == 12
    np.testing.assert_array_equal(seen(3), seen(3))
    np.testing.assert_array_equal(np.sort(seen(3)), np.sort(seen(4)))
    assert not np.array_equal(seen(3), seen(4))
    assert not np.array_equal(seen(3), seen(3, seed=1))
    assert len(seen(0, steps=1)) == 5
    np.testing.assert_array_equal(seen(0, seed=None), np.sort(seen(0)))


@pytest.fixture
def prepared(tmp_path):
    """A prepared folder of four cases of 1186 slices, 4744 in all as in Table 4."""
    split = {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}
    described = {"split": split, "fingerprint": "f", "foreground": [1], "labels": {}, "origin": {}}
    (tmp_path / "dataset.json").write_text(json.dumps(described))
    for case in "abcd":
        folder = tmp_path / "cases" / case
        folder.mkdir(parents=True)
        image = np.full((1186, 1, 1, 1), ord(case), "float32")
        np.save(folder / "image.npy", image + np.linspace(0, 0.5, 1186)[:, None, None, None].astype("float32"))
        np.save(folder / "mask.npy", (image > ord("b")).astype("uint8"))
        (folder / "case.json").write_text(json.dumps({"grid_z_mm": 3.0, "grid_y_mm": 1.0, "grid_x_mm": 2.0}))
    return tmp_path


def test_a_split_over_slices_has_the_printed_counts_and_leaks(prepared):
    split = SliceSplit(prepared, "atlas23", "MRI")
    count = {part: sum(len(split.image(case)) for case in cases) for part, cases in split.split.items()}
    assert (sum(count.values()), count["test"]) == (4744, 949)  # 3,795 of 4,744 for training, as printed.
    assert set(split.split["test"]) == {f"{case}/test" for case in "abcd"}  # Everybody is everywhere.
    images = [np.asarray(split.image(case)).ravel() for cases in split.split.values() for case in cases]
    assert len(np.unique(np.concatenate(images))) == 4744
    assert split.image("a/test")[3] == np.asarray(split.image("a/test"))[3]
    assert np.asarray(split.mask("c/train")).all()
    assert not np.asarray(split.mask("b/train")).any()
    assert split.spacing("a/test") == (3.0, 1.0, 2.0)
    assert split.channels == 1
    plain = Cases(prepared, "atlas23", "MRI")
    assert split.fingerprint != plain.fingerprint == "f"
    assert len(Batches(split, "train", batch=100)) == -(-count["train"] // 100)


def test_pictures_are_measured_in_pixels(prepared):
    (prepared / "cases" / "a" / "case.json").write_text("{}")
    cases = Cases(prepared, "dsb2018", "microscopy")
    assert cases.spacing("a") == (1.0, 1.0, 1.0)
    assert cases.spacing("b") == (3.0, 1.0, 2.0)
    with pytest.raises(DamagedData, match="full of case a"):
        cases.full_mask("a")


def test_plain_images_are_not_augmented():
    batches = Batches(Pair(), "train", batch=5, seed=0, augment=lambda image, mask, seed: (image + 1000, mask))
    assert batches[0][0].min() >= 1000
    images, masks = batches.plain([0, 7])
    np.testing.assert_array_equal(images[:, 0, 0, 0], [0, 104])
    assert masks.shape == (2, 2, 2, 1)


def test_volumes_are_padded_to_the_deepest_of_any_set():
    class Depths:
        description = {"preprocessing": {"multiple": 4}}
        split = {"train": [3], "validation": [2], "test": [5]}

        def image(self, case):
            return np.zeros((case, 2, 2, 1))

    assert volume_depth(Depths()) == 8
