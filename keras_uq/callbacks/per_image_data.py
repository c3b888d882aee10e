"""Training images with an epsilon for each, in batches."""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_uq._kinds import Integer, argument, shown


class PerImageData(keras.utils.PyDataset):
    """Batches `(images, masks, epsilon)` for `PolyDice(epsilon="per_image")`, shuffled anew in each epoch.

    Another data set works with `AdaptiveEpsilon` if it has the same interface: `cases` (one entry per image),
    `plain(ids)` (images and masks without augmentation), `epoch`, and `epsilon_of`, a function that the callback
    replaces and that every batch calls.

    Args:
        images: `(images, *spatial, channels)`, an array or a memory map.
        masks: `(images, *spatial, classes)`, an array or a memory map.
        batch_size: Number of images per batch.
        seed: Random seed; the order of the images is a function of it and of `epoch`.
        augment: Function `(image, mask, rng) -> (image, mask)` applied to each image, or `None`.

    Pass it to `fit` with `shuffle=False`, because it shuffles its images itself. It uses one worker: several workers
    would prepare batches before the epoch begins, with the epsilons of the previous epoch.

    Raises:
        ValueError: For arrays of other shapes, without images or without numbers, for a wrong option, and for a batch
            with NaN or infinity in an image, or labels outside [0, 1].
    """

    def __init__(
        self,
        images: np.ndarray,
        masks: np.ndarray,
        batch_size: int = 8,
        seed: int = 0,
        augment: Callable[..., tuple[np.ndarray, np.ndarray]] | None = None,
    ) -> None:
        super().__init__(workers=1)
        for name, array in (("images", images), ("masks", masks)):
            dtype, shape = getattr(array, "dtype", None), getattr(array, "shape", ())
            if getattr(dtype, "kind", "O") not in "biuf" or len(shape) < 3 or not all(shape):
                raise ValueError(
                    f"PerImageData expects `{name}` to be an array of numbers, ({name}, *spatial, channels), with one "
                    f"image or more. Received: {shown(array) if dtype is None else f'{dtype} {shape}'}."
                )
        if images.shape[:-1] != masks.shape[:-1]:
            raise ValueError(
                f"PerImageData expects as many masks as images, of equal sides. Received: {images.shape} and "
                f"{masks.shape}."
            )
        argument("PerImageData", "batch_size", batch_size, Integer(least=1))
        argument("PerImageData", "seed", seed, Integer(least=0))
        if augment is not None and not callable(augment):
            raise ValueError(f"PerImageData expects `augment` to be a function, or None. Received: {shown(augment)}.")
        self.images, self.masks = images, masks
        self.batch_size = batch_size
        self.seed = seed
        self.augment = augment
        self.epoch = 0
        self.cases = range(len(images))
        self.epsilon_of = no_epsilon

    def __len__(self):
        return -(-len(self.cases) // self.batch_size)

    def __getitem__(self, number):
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.cases))
        ids = order[number * self.batch_size : (number + 1) * self.batch_size]
        images, masks = self.plain(ids)
        if self.augment is not None:
            pairs = [
                self.augment(image, mask, np.random.default_rng([self.seed, self.epoch, index]))
                for image, mask, index in zip(images, masks, ids)
            ]
            images, masks = (np.stack(parts) for parts in zip(*pairs))
        return images, masks, self.epsilon_of(ids).astype("float32")

    def plain(self, ids: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return two arrays, the images and the masks of these numbers, without augmentation."""
        images, masks = (
            np.stack([np.asarray(array[index], dtype="float32") for index in ids])
            for array in (self.images, self.masks)
        )
        check_images("PerImageData", ids, images)
        if not (masks.min() >= 0 and masks.max() <= 1):
            raise ValueError(
                f"PerImageData expects masks in [0, 1]. Received: {masks.min():g} to {masks.max():g} in images "
                f"{shown([int(index) for index in ids])}. Divide masks of 0 and 255 by 255."
            )
        return images, masks


def no_epsilon(ids: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return epsilon 0 for every image, which is used before the first refresh."""
    return np.zeros(len(ids))


def check_images(caller: str, ids: Sequence[int] | np.ndarray, images: np.ndarray) -> None:
    """Refuse images with NaN or infinity.

    Args:
        caller: What uses the images.
        ids: Their numbers, for the message.
        images: `(images, *spatial, channels)`.

    Raises:
        ValueError: With the numbers of the images and the share of their voxels.
    """
    finite = np.isfinite(images).reshape(len(images), -1).mean(axis=1)
    bad = {int(index): f"{1 - share:.2%}" for index, share in zip(ids, finite) if share < 1}
    if bad:
        raise ValueError(
            f"{caller} expects finite images. Received: NaN or infinity in these images, by number, with their "
            f"share of the voxels: {shown(bad)}."
        )
