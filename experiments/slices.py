"""Slices of a prepared folder, batch by batch, in an order that is a function of seed and epoch."""

import keras
import numpy as np


class Slices(keras.utils.PyDataset):
    """Batches of slices and masks.

    Args:
        prepared: `data_prep.prepared.Prepared`.
        cases: Names of the cases.
        batch: Slices a batch.
        seed: Of the order, which changes with `epoch`; `None` keeps the order of the cases.
        steps: Batches an epoch; `None` for all.

    Attributes:
        epoch: Set it before the epoch begins (`FollowEpoch`). The data set's own hook has no number.
    """

    def __init__(self, prepared, cases, batch, seed=None, steps=None):
        # One worker: with more, JAX and PyTorch consume batches that were made before the epoch began.
        super().__init__(workers=1)
        self.images = [prepared.image(case) for case in cases]
        self.masks = [prepared.mask(case) for case in cases]
        self.index = [(case, slice_) for case, image in enumerate(self.images) for slice_ in range(len(image))]
        self.batch = batch
        self.seed = seed
        self.steps = steps
        self.epoch = 0

    def __len__(self):
        full = -(-len(self.index) // self.batch)
        return full if self.steps is None else min(self.steps, full)

    def __getitem__(self, number):
        order = np.arange(len(self.index))
        if self.seed is not None:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.index))
        chosen = [self.index[position] for position in order[number * self.batch : (number + 1) * self.batch]]
        images = np.stack([self.images[case][slice_] for case, slice_ in chosen])
        masks = np.stack([self.masks[case][slice_] for case, slice_ in chosen])
        return images, masks.astype("float32")


class FollowEpoch(keras.callbacks.Callback):
    """Tell a `Slices` which epoch begins."""

    def __init__(self, slices):
        super().__init__()
        self.slices = slices

    def on_epoch_begin(self, epoch, logs=None):
        self.slices.epoch = epoch
