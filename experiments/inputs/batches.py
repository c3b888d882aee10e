"""What a training sees: batches of slices or of whole volumes, in an order that is a function of seed and epoch."""

import functools

import keras
import numpy as np

from keras_uq.callbacks import no_epsilon

# A memory map keeps its file open.
OPEN_FILES = 128


class Batches(keras.utils.PyDataset):
    """Batches of images and masks.

    Args:
        data: `Cases`.
        part: `"train"`, `"validation"` or `"test"`.
        batch: Slices, or volumes, a batch.
        seed: Of the order, which changes with `epoch`; `None` keeps the order of the cases.
        steps: Batches per epoch; `None` for all.
        volumes: Whole volumes, padded to one depth, in place of slices.
        augment: `(image, mask, seed) -> (image, mask)` for each image, or `None`.
        classes: Classes with the background; those of the data by default. One class is the foreground alone.
        multilabel: Leave out the channel of the background.
        with_epsilon: Each batch has a third item, the epsilon of its images by `epsilon_of` (`AdaptiveEpsilon`).

    Masks have one channel for one class, and one channel per class (one-hot) for several.

    Attributes:
        epoch: Set it before the epoch begins (`FollowEpoch`). The data set's own hook has no number.
    """

    def __init__(
        self,
        data,
        part,
        batch,
        seed=None,
        steps=None,
        volumes=False,
        augment=None,
        classes=None,
        multilabel=False,
        with_epsilon=False,
    ):
        # One worker: with more, JAX and PyTorch consume batches that were made before the epoch began.
        super().__init__(workers=1)
        cases = data.split[part]
        self._image = functools.lru_cache(OPEN_FILES)(data.image)
        self._mask = functools.lru_cache(OPEN_FILES)(data.mask)
        self.depth = volume_depth(data) if volumes else None
        self.classes = classes or data.classes
        self.multilabel = multilabel
        if volumes:
            self.index = [(case, slice(None)) for case in cases]
        else:
            self.index = [(case, at) for case in cases for at in range(len(self._mask(case)))]
        self.batch = batch
        self.seed = seed
        self.steps = steps
        self.augment = augment
        self.with_epsilon = with_epsilon
        self.cases = range(len(self.index))
        self.epsilon_of = no_epsilon
        self.epoch = 0

    def __len__(self):
        full = -(-len(self.index) // self.batch)
        return full if self.steps is None else min(self.steps, full)

    def __getitem__(self, number):
        order = np.arange(len(self.index))
        if self.seed is not None:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.index))
        chosen = order[number * self.batch : (number + 1) * self.batch]
        batch = self._stacked(chosen)
        return (*batch, self.epsilon_of(chosen).astype("float32")) if self.with_epsilon else batch

    def plain(self, ids):
        """Images and masks by number, not augmented."""
        return self._stacked(ids, augmented=False)

    def _stacked(self, positions, augmented=True):
        images, masks = zip(*[self._pair(int(position), augmented) for position in positions])
        return np.stack(images), targets(np.stack(masks), self.classes, self.multilabel)

    def _pair(self, position, augmented):
        case, at = self.index[position]
        pair = tuple(np.asarray(opened(case)[at]) for opened in (self._image, self._mask))
        if self.augment is not None and augmented:
            # The same picture each time this epoch of this training meets this image.
            pair = self.augment(*pair, [self.seed or 0, self.epoch, position])
        return pair if self.depth is None else tuple(padded(part, self.depth) for part in pair)


def targets(masks, classes, multilabel=False):
    """Labels to train on, float32, of class numbers `(batch, *spatial, 1)`: one-hot for more than one class.

    `multilabel` leaves out the background's channel.
    """
    if classes == 1:
        return masks.astype("float32")
    return (masks == np.arange(int(multilabel), classes)).astype("float32")


class FollowEpoch(keras.callbacks.Callback):
    """Tell `Batches` which epoch begins."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.epoch = epoch


def volume_depth(data):
    """Slices of the deepest case, rounded up to the multiple that its slices are padded to."""
    multiple = data.description["preprocessing"]["multiple"]
    deepest = max(len(data.image(case)) for cases in data.split.values() for case in cases)
    return -(-deepest // multiple) * multiple


def padded(volume, depth):
    """A volume with empty slices behind, up to `depth`."""
    return np.pad(volume, [(0, depth - len(volume)), *[(0, 0)] * (volume.ndim - 1)])
