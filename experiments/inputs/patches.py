"""Parts of volumes: random patches to train on, fixed tiles to validate on."""

import functools
import itertools

import keras
import numpy as np

from experiments.inputs.batches import OPEN_FILES, targets
from keras_uq.inference import cut_window, window_starts

# Foreground voxels remembered of a case, to centre patches on.
CENTRES = 4096


class _Patches(keras.utils.PyDataset):
    """Batches of parts of a set's volumes, of one size."""

    def __init__(self, data, part, size, batch, classes):
        super().__init__(workers=1)  # As in `Batches`.
        self.cases = data.split[part]
        self._image = functools.lru_cache(OPEN_FILES)(data.image)
        self._mask = functools.lru_cache(OPEN_FILES)(data.mask)
        self.size, self.batch, self.classes = tuple(size), batch, classes

    def __getitem__(self, number):
        pairs = [cut(self._image(case), self._mask(case), corner, self.size) for case, corner in self.places(number)]
        images, masks = zip(*pairs)
        return np.stack(images), targets(np.stack(masks), self.classes)

    def places(self, number):
        """Case and first voxel of each patch of a batch."""
        raise NotImplementedError


class RandomPatches(_Patches):
    """Random patches of a set's volumes; every second one is centred on a voxel of the foreground.

    A case is drawn evenly for each patch, then a place. A patch lies within its volume; a volume smaller than the patch
    is padded with zeros behind. A case without foreground is drawn from at random.

    Args:
        data: `Cases`.
        part: `"train"`, `"validation"` or `"test"`.
        size: Sides of a patch, `(depth, height, width)`.
        batch: Patches a batch.
        steps: Batches per epoch; `None` for as many patches as there are volumes.
        seed: What is drawn is a function of it, of `epoch` and of the patch's number.
        classes: Classes with the background.

    Attributes:
        epoch: Set it before the epoch begins (`FollowEpoch`).
    """

    def __init__(self, data, part, size, batch, steps, seed, classes):
        super().__init__(data, part, size, batch, classes)
        self._centres = functools.lru_cache(None)(self._find_centres)
        self.steps = steps or -(-len(self.cases) // batch)
        self.seed = seed
        self.epoch = 0

    def __len__(self):
        return self.steps

    def places(self, number):
        return [self.place(number * self.batch + index) for index in range(self.batch)]

    def place(self, number):
        """Case and first voxel of a patch of this epoch, by its number."""
        rng = np.random.default_rng([self.seed, self.epoch, number])
        case = self.cases[rng.integers(len(self.cases))]
        space = self._mask(case).shape[:-1]
        centres = self._centres(case) if number % 2 else ()
        if len(centres):
            corner = centres[rng.integers(len(centres))] - np.array(self.size) // 2
        else:
            corner = rng.integers(0, np.maximum(np.array(space) - self.size, 0) + 1)
        return case, tuple(np.clip(corner, 0, np.maximum(np.array(space) - self.size, 0)).tolist())

    def _find_centres(self, case):
        voxels = np.flatnonzero(np.asarray(self._mask(case)))
        if len(voxels) > CENTRES:
            voxels = np.random.default_rng(self.seed).choice(voxels, CENTRES, replace=False)
        return np.stack(np.unravel_index(voxels, self._mask(case).shape[:-1]), axis=-1)


class Tiles(_Patches):
    """Every voxel of a set's volumes at least once, in windows side by side; the last of an axis is moved inwards.

    `data`, `part`, `batch` and `classes` are as in `RandomPatches`, `size` is that of a window.
    """

    def __init__(self, data, part, size, batch, classes):
        super().__init__(data, part, size, batch, classes)
        self.index = []
        for case in self.cases:
            axes = [window_starts(*sides, overlap=0) for sides in zip(self._mask(case).shape, self.size)]
            self.index += [(case, corner) for corner in itertools.product(*axes)]

    def __len__(self):
        return -(-len(self.index) // self.batch)

    def places(self, number):
        return self.index[number * self.batch : (number + 1) * self.batch]


def cut(image, mask, corner, size):
    """The patch of both that begins at `corner`, with zeros behind where the volume ends before it."""
    return tuple(cut_window(volume, corner, size) for volume in (image, mask))
