"""Patches and tiles: where they lie, what they hold, and that they are a function of seed and epoch."""

import numpy as np
import pytest

from experiments.inputs.patches import RandomPatches, Tiles, cut


class Volumes:
    """Three cases whose voxels tell where they are; one is smaller than the patch, one has no foreground."""

    SHAPES = {"a": (20, 24, 18), "b": (6, 30, 20), "c": (16, 16, 16)}
    split = {"train": ["a", "b", "c"], "validation": ["a", "b"]}

    @classmethod
    def image(cls, case):
        shape = cls.SHAPES[case]
        return np.arange(1, 1 + np.prod(shape), dtype="float32").reshape(*shape, 1) + 1e5 * ord(case)

    @classmethod
    def mask(cls, case):
        mask = np.zeros((*cls.SHAPES[case], 1), "uint8")
        if case != "c":
            mask[2:4, 20:23, 12:15] = 1
        return mask


SIZE = (8, 10, 12)


def make(**changes):
    return RandomPatches(Volumes, "train", SIZE, **{"batch": 4, "steps": 5, "seed": 3, "classes": 2} | changes)


def test_a_patch_is_a_part_of_its_volume_with_zeros_behind():
    patches = make()
    for number in range(40):
        case, corner = patches.place(number)
        image, mask = cut(Volumes.image(case), Volumes.mask(case), corner, SIZE)
        assert image.shape == mask.shape == (*SIZE, 1)
        whole = np.pad(Volumes.image(case), [(0, 8), (0, 10), (0, 12), (0, 0)])
        z, y, x = corner
        np.testing.assert_array_equal(image, whole[z : z + 8, y : y + 10, x : x + 12])
        # Inside where the volume is large enough.
        assert all(0 <= start <= max(side - size, 0) for start, side, size in zip(corner, Volumes.SHAPES[case], SIZE))


def test_every_second_patch_holds_foreground_where_there_is_any():
    patches = make()
    seen = {"a": [0, 0], "b": [0, 0], "c": [0, 0]}
    for number in range(400):
        case, corner = patches.place(number)
        held = cut(Volumes.image(case), Volumes.mask(case), corner, SIZE)[1].any()
        if number % 2 and case != "c":
            assert held
        seen[case][0] += 1
        seen[case][1] += held
    assert min(count for count, _ in seen.values()) > 90
    assert seen["c"][1] == 0
    assert 0.5 < seen["a"][1] / seen["a"][0] < 0.95


def test_places_are_a_function_of_seed_and_epoch():
    first, again, other = make(), make(), make(seed=4)
    assert len(first) == 5
    np.testing.assert_array_equal(first[2][0], again[2][0])
    assert (first[2][0] != other[2][0]).any()
    before = first[2][0]
    first.epoch = 1
    assert (first[2][0] != before).any()
    first.epoch = 0
    np.testing.assert_array_equal(first[2][0], before)
    places = {first.place(number) for number in range(100)}
    assert len(places) > 50


def test_batches_have_one_channel_a_class():
    images, labels = make()[0]
    assert images.shape == (4, *SIZE, 1)
    assert labels.shape == (4, *SIZE, 2)
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels.sum(axis=-1), 1)
    assert make(classes=1)[0][1].shape == (4, *SIZE, 1)
    assert len(make(steps=None)) == 1


@pytest.mark.parametrize("batch", [1, 5])
def test_tiles_cover_every_voxel(batch):
    tiles = Tiles(Volumes, "validation", SIZE, batch, 2)
    images = np.concatenate([tiles[number][0] for number in range(len(tiles))])
    assert len(images) == len(tiles.index) == 3 * 3 * 2 + 1 * 3 * 2
    for case in Volumes.split["validation"]:
        assert set(Volumes.image(case).ravel()) <= set(images.ravel())
    assert len(tiles) == -(-len(images) // batch)
