"""Augmentation moves image and mask together, and is a function of its seed."""

import numpy as np
import pytest

from experiments.inputs.batches import Batches
from experiments.yeung2021.augmentation import augment

pytest.importorskip("batchgenerators")


def pair(side=64):
    """An image whose first channel is its mask."""
    rows, columns = np.mgrid[:side, :side]
    mask = ((rows - 24) ** 2 + (columns - 34) ** 2 < 144)[..., None]
    image = np.concatenate([mask, ~mask, mask], axis=-1).astype("float32")
    return image, mask.astype("uint8")


def test_image_and_mask_move_together():
    image, mask = pair()
    disagreement, moved = [], 0
    for number in range(60):
        new_image, new_mask = augment(image, mask, [0, number])
        assert new_image.shape == image.shape
        assert new_image.dtype == np.float32
        assert new_mask.dtype == np.uint8
        assert set(np.unique(new_mask)) <= {0, 1}
        moved += not np.array_equal(new_mask, mask)
        brightness = new_image[..., 0].max()
        disagreement.append(((new_image[..., 0] > brightness / 2) != (new_mask[..., 0] > 0)).mean())
    assert moved > 40  # Mirrored for three in four, and more.
    assert max(disagreement) < 0.01  # Splines and nearest neighbour differ at the edge alone.


def test_shares_are_the_printed_ones():
    image, mask = pair()
    flips = {tuple(mask[::a, ::b].ravel()) for a in (1, -1) for b in (1, -1)}
    brighter = warped = 0
    for number in range(300):
        new_image, new_mask = augment(image, mask, [1, number])
        warped += tuple(new_mask.ravel()) not in flips
        brighter += not np.isclose(new_image[..., 2].max() / new_image[..., 0].max(), 1, atol=1e-3)
    # 15 in 100 for brightness; 1 - 0.85^3 = 0.39 for scaling, rotation and elastic deformation together.
    assert 0.09 < brighter / 300 < 0.22
    assert 0.29 < warped / 300 < 0.48


def test_equal_seeds_give_equal_pictures_and_leave_the_global_generator_alone():
    image, mask = pair()
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    first, second = augment(image, mask, [5, 1]), augment(image, mask, [5, 1])
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert any(not np.array_equal(augment(image, mask, [5, n])[0], first[0]) for n in range(2, 6))
    np.testing.assert_array_equal(np.random.get_state()[1], before)


class Memory:
    """Prepared data of three pictures."""

    classes = 2
    split = {"train": ["a", "b", "c"], "validation": ["a"]}

    def image(self, case):
        return pair()[0][np.newaxis] + ord(case)

    def mask(self, case):
        return pair()[1][np.newaxis]


def test_batches_augment_by_seed_epoch_and_picture():
    def seeds(image, mask, seed):
        return np.full_like(image, seed[-1]) + 100 * seed[1] + 1000 * seed[0], mask

    batches = Batches(Memory(), "train", batch=2, seed=7, augment=seeds)
    for epoch in (0, 3):
        batches.epoch = epoch
        values = sorted(float(image.flat[0]) for number in range(2) for image in batches[number][0])
        assert values == [7000 + 100 * epoch + picture for picture in range(3)]
    images, masks = Batches(Memory(), "validation", batch=2)[0]
    assert images.shape == (1, 64, 64, 3)
    np.testing.assert_array_equal(masks.sum(-1), 1)


def test_targets_of_independent_channels_have_no_background():
    labels = np.arange(4 * 3 * 3, dtype="uint8").reshape(4, 3, 3, 1) % 3

    class Data:
        split = {"train": ["a"]}
        classes = 3

        def image(self, case):
            return np.zeros((4, 3, 3, 1), "float32")

        def mask(self, case):
            return labels

    together = Batches(Data(), "train", batch=4)[0][1]
    independent = Batches(Data(), "train", batch=4, multilabel=True)[0][1]
    assert together.shape == (4, 3, 3, 3)
    np.testing.assert_array_equal(independent, together[..., 1:])
    # One foreground class of a softmax has two channels.
    Data.classes = 1
    pair = Batches(Data(), "train", batch=4, classes=2)[0][1]
    np.testing.assert_array_equal(pair[..., 1:], labels == 1)
