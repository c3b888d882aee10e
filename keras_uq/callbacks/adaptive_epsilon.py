"""Set the epsilon of each training image from the network's uncertainty about it, while the network trains."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from keras_uq.inference import MCDropout, UncertaintyMaps

MEASURES = ("mutual_information", "variance", "entropy")
REGIONS = ("gt", "pred", "union", "all")
# Added to the standard deviation of the difficulties before it divides.
TINY = 1e-9


def adaptive_epsilon(
    difficulty: npt.ArrayLike,
    percentile: float = 50,
    sensitivity: float = 1.0,
    epsilon_range: tuple[float, float] = (-0.4, 0.4),
) -> np.ndarray:
    """Compute one epsilon per image from the difficulties of all images.

    `low + (high - low) * sigmoid(sensitivity * (D - D_p) / (std + 1e-9))`: difficult images get a high epsilon.

    Args:
        difficulty: Difficulty `D` of each image, `(images,)`; NaN if unknown.
        percentile: Percentile of the difficulties that gives `D_p`. An image of this difficulty gets the middle of the
            range.
        sensitivity: Number above 0 that sets how fast epsilon rises with the difficulty.
        epsilon_range: `(low, high)`.

    Returns:
        float64 array `(images,)`. It holds the middle of the range for an image of unknown difficulty, and for every
        image if all difficulties are equal.

    Reference:
        Hiroike (2026), Eq. 11 and 12, with the standard deviation of the population.
    """
    difficulty = np.asarray(difficulty, dtype="float64")
    low, high = epsilon_range
    measured = difficulty[~np.isnan(difficulty)]
    if not len(measured):
        return np.full(difficulty.shape, (low + high) / 2)
    normalised = (difficulty - np.percentile(measured, percentile)) / (measured.std() + TINY)
    normalised = np.where(np.isnan(normalised), 0.0, normalised)
    # The sigmoid is written with tanh, which does not overflow.
    return low + (high - low) * 0.5 * (1 + np.tanh(0.5 * sensitivity * normalised))


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
        if len(images) != len(masks):
            raise ValueError(f"Expected as many masks as images. Received: {len(images)} and {len(masks)}.")
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

    def plain(self, ids: Sequence[int] | np.ndarray) -> Iterator[np.ndarray]:
        """Return two arrays, the images and the masks of these numbers, without augmentation."""
        return (
            np.stack([np.asarray(array[index], dtype="float32") for index in ids])
            for array in (self.images, self.masks)
        )


def no_epsilon(ids: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return epsilon 0 for every image, which is used before the first refresh."""
    return np.zeros(len(ids))


class AdaptiveEpsilon(keras.callbacks.Callback):
    """Set the epsilon of each training image from the network's uncertainty about it.

    At each refresh, the current network predicts the training images (without augmentation) with Monte Carlo dropout.
    The difficulty of an image is the mean of an uncertainty map over its foreground. `adaptive_epsilon` converts the
    difficulties to the epsilons that the images keep until the next refresh. Refreshes change neither the statistics of
    batch normalisation nor the random numbers of the training.

        data = PerImageData(images, masks, batch_size=8)
        model.compile("adam", loss=losses.PolyDice(epsilon="per_image"))
        model.fit(data, epochs=100, shuffle=False, callbacks=[AdaptiveEpsilon(data, start_epoch=20, every=5)])

    Args:
        data: The training data: a `PerImageData`, or an object with its `cases`, `plain(ids)`, `epsilon_of` and
            `epoch`.
        start_epoch: The first refresh takes place before this epoch, counted from 1. Until then every epsilon is 0.
        every: Number of epochs between refreshes.
        samples: Number of Monte Carlo samples per image.
        measure: Map that measures uncertainty: `"mutual_information"`, `"variance"` (mean over classes) or `"entropy"`.
        region: Region over which the map is averaged: `"gt"`, the labelled foreground; `"pred"`, the predicted
            foreground; `"union"`, both; or `"all"`, the whole image. `"gt"` and `"pred"` replace each other if one is
            empty; if no foreground is left, the whole image is used.
        percentile: As in `adaptive_epsilon`.
        sensitivity: As in `adaptive_epsilon`.
        epsilon_range: `(low, high)`, both above -1/2.
        statistics: `"dataset"` computes percentile and standard deviation over all images, at the refresh. `"batch"`
            computes them over the images of each batch, as the thesis describes.
        subset: Share of the images that a refresh samples, beginning with those sampled longest ago. The other images
            keep their difficulty; images that were never sampled get the middle of the range.
        batch_size: Number of images predicted at a time in a refresh.
        seed: Random seed of the dropout masks and of the subsets.

    Attributes:
        difficulties: Array `(images,)`; NaN for images that were never sampled.
        refreshes: One dictionary per refresh with `epoch` (from 1), `seconds`, `sampled`, and the lists `difficulty`
            and `epsilon`.

    The logs of an epoch contain `epsilon_mean`, `epsilon_std`, `epsilon_min` and `epsilon_max` over all images, and
    `refresh_seconds`. `callbacks.Resume` saves and restores the state of this callback.

    Raises:
        ValueError: For an invalid option, and at the start of training if the loss is not `PolyDice("per_image")`.

    Reference:
        Hiroike (2026), Section 3.4 and Eq. 7 to 12. The thesis gives no values for these parameters; the defaults are
        our choice.
    """

    def __init__(
        self,
        data: Any,
        start_epoch: int = 20,
        every: int = 5,
        samples: int = 20,
        measure: str = "mutual_information",
        region: str = "gt",
        percentile: float = 50,
        sensitivity: float = 1.0,
        epsilon_range: tuple[float, float] = (-0.4, 0.4),
        statistics: str = "dataset",
        subset: float = 1.0,
        batch_size: int = 8,
        seed: int = 0,
    ) -> None:
        super().__init__()
        low, high = epsilon_range
        for name, value, options in (
            ("measure", measure, MEASURES),
            ("region", region, REGIONS),
            ("statistics", statistics, ("dataset", "batch")),
        ):
            if value not in options:
                raise ValueError(f"`{name}` must be one of {options}. Received: {name}={value!r}.")
        if not -0.5 < low <= high:
            raise ValueError(f"Expected -1/2 < low <= high. Received: epsilon_range={epsilon_range!r}.")
        if not 0 < subset <= 1 or start_epoch < 1 or every < 1 or not 0 <= percentile <= 100 or not sensitivity > 0:
            raise ValueError(
                "Expected 0 < subset <= 1, start_epoch and every of at least 1, a percentile in [0, 100] and a "
                f"positive sensitivity. Received: subset={subset!r}, start_epoch={start_epoch!r}, every={every!r}, "
                f"percentile={percentile!r}, sensitivity={sensitivity!r}."
            )
        self.data = data
        self.start_epoch, self.every = start_epoch, every
        self.samples, self.measure, self.region = samples, measure, region
        self.rule = {"percentile": percentile, "sensitivity": sensitivity, "epsilon_range": (low, high)}
        self.statistics = statistics
        self.subset = subset
        self.batch_size = batch_size
        self.seed = seed
        self._reset()

    def _reset(self):
        count = len(self.data.cases)
        self.difficulties = np.full(count, math.nan)
        self._last = np.full(count, -1)
        self._epsilon = np.zeros(count)
        self.refreshes = []

    def on_train_begin(self, logs=None):
        loss = self.model.loss
        if getattr(loss, "epsilon", None) != "per_image":
            raise ValueError(
                'AdaptiveEpsilon needs a model compiled with losses.PolyDice(epsilon="per_image"). '
                f"Received: loss={loss!r}."
            )
        self._reset()
        self._sampler = None
        self.data.epsilon_of = self.epsilon_of

    def on_epoch_begin(self, epoch, logs=None):
        self.data.epoch = epoch
        self._seconds = 0.0
        since = epoch + 1 - self.start_epoch
        if since >= 0 and since % self.every == 0:
            self.refresh(epoch + 1)

    def on_epoch_end(self, epoch, logs=None):
        epsilon = self.epsilon_of(np.arange(len(self.difficulties)))
        for name in ("mean", "std", "min", "max"):
            logs[f"epsilon_{name}"] = float(getattr(epsilon, name)())
        logs["refresh_seconds"] = self._seconds

    def refresh(self, epoch: int) -> None:
        """Sample the next subset of the images with the current weights, and update every epsilon.

        Args:
            epoch: The epoch that begins, counted from 1.
        """
        begin = time.monotonic()
        if self._sampler is None:
            self._sampler = MCDropout(self.model, samples=self.samples, seed=self.seed)
        ids = self._next_subset()
        for start in range(0, len(ids), self.batch_size):
            batch = ids[start : start + self.batch_size]
            images, masks = self.data.plain(batch)
            maps = self._sampler.predict(images, batch_size=self.batch_size, case=epoch)
            self.difficulties[batch] = difficulties(maps, masks, self.measure, self.region)
        self._last[ids] = epoch
        self._epsilon = adaptive_epsilon(self.difficulties, **self.rule)
        self._seconds = time.monotonic() - begin
        self.refreshes.append(
            {
                "epoch": epoch,
                "seconds": self._seconds,
                "sampled": len(ids),
                "difficulty": _plain(self.difficulties),
                "epsilon": _plain(self._epsilon),
            }
        )

    def epsilon_of(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the epsilons of the images of one batch, by number. The batch matters for `statistics="batch"`."""
        if not self.refreshes or self.statistics == "dataset":
            return self._epsilon[np.asarray(ids)]
        return adaptive_epsilon(self.difficulties[np.asarray(ids)], **self.rule)

    def get_state(self) -> dict[str, Any]:
        """Return everything that later epochs depend on, for `Resume`."""
        return {"last": self._last.tolist(), "refreshes": self.refreshes}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore a state that `get_state` returned."""
        state = json.loads(json.dumps(state))
        self._last = np.array(state["last"])
        self.refreshes = state["refreshes"]
        if self.refreshes:
            latest = self.refreshes[-1]
            self.difficulties = np.array([math.nan if d is None else d for d in latest["difficulty"]])
            self._epsilon = np.array(latest["epsilon"])

    def _next_subset(self):
        """The images that a refresh samples: those sampled longest ago, in random order among equals."""
        count = len(self._last)
        chosen = math.ceil(self.subset * count)
        shuffled = np.random.default_rng([self.seed, len(self.refreshes)]).permutation(count)
        return np.sort(shuffled[np.argsort(self._last[shuffled], kind="stable")][:chosen])


def difficulties(
    maps: UncertaintyMaps, masks: npt.ArrayLike, measure: str = "mutual_information", region: str = "gt"
) -> np.ndarray:
    """Return the mean of an uncertainty map over the foreground of each image, `(images,)`.

    Args:
        maps: `UncertaintyMaps` of the images.
        masks: `(images, *spatial, classes)`, one channel or one-hot with the background first.
        measure: As in `AdaptiveEpsilon`.
        region: As in `AdaptiveEpsilon`.
    """
    values = maps.variance.mean(axis=-1) if measure == "variance" else getattr(maps, measure)
    masks = np.asarray(masks)
    labelled = masks[..., 0] > 0.5 if masks.shape[-1] == 1 else masks.argmax(axis=-1) > 0
    predicted = maps.mask > 0
    candidates = {
        "gt": (labelled, predicted),
        "pred": (predicted, labelled),
        "union": (labelled | predicted,),
        "all": (),
    }
    means = []
    for index, image_map in enumerate(values):
        regions = [foreground[index] for foreground in candidates[region] if foreground[index].any()]
        means.append(float(image_map[regions[0]].mean() if regions else image_map.mean()))
    return np.array(means)


def _plain(values):
    return [None if math.isnan(value) else float(value) for value in values]
