"""An epsilon for each training image that follows how uncertain the network is about it."""

import json
import math
import time

import keras
import numpy as np

from keras_uq.inference import MCDropout

MEASURES = ("mutual_information", "variance", "entropy")
REGIONS = ("gt", "pred", "union", "all")
# Added to the standard deviation of difficulties.
TINY = 1e-9


def adaptive_epsilon(difficulty, percentile=50, sensitivity=1.0, epsilon_range=(-0.4, 0.4)):
    """An epsilon for each image from the difficulties of all.

    `low + (high - low) * sigmoid(sensitivity * (D - D_p) / (std + 1e-9))`: difficult images get a high one.

    Args:
        difficulty: Numbers `(images,)`; NaN where it is not known.
        percentile: Of the difficulties, `D_p`: an image there gets the middle of the range.
        sensitivity: Above 0; how fast epsilon rises with the difficulty.
        epsilon_range: `(low, high)`.

    Returns:
        float64 `(images,)`; the middle of the range where the difficulty is not known or all are alike.

    Reference:
        Hiroike (2026), Eq. 11 and 12, with the standard deviation of the population.
    """
    difficulty = np.asarray(difficulty, dtype="float64")
    low, high = epsilon_range
    known = difficulty[~np.isnan(difficulty)]
    if not len(known):
        return np.full(difficulty.shape, (low + high) / 2)
    normalised = (difficulty - np.percentile(known, percentile)) / (known.std() + TINY)
    normalised = np.where(np.isnan(normalised), 0.0, normalised)
    # A sigmoid by tanh, which does not overflow.
    return low + (high - low) * 0.5 * (1 + np.tanh(0.5 * sensitivity * normalised))


class PerImageData(keras.utils.PyDataset):
    """Batches `(images, masks, epsilon)` for `PolyDice(epsilon="per_image")`, in a new order each epoch.

    What `AdaptiveEpsilon` needs of any data set: `len(data.cases)` images, `data.plain(ids)` that gives images and
    masks as they are, without augmentation, and `data.epsilon_of`, which the callback replaces and each batch asks.

    Args:
        images: `(images, *spatial, channels)`, an array or a memory map.
        masks: `(images, *spatial, classes)`, likewise.
        batch_size: Images a batch.
        seed: Of the order, which is a function of it and of `epoch`.
        augment: `(image, mask, rng) -> (image, mask)` for each image, or `None`.

    Give it to `fit` with `shuffle=False`; it shuffles itself. One worker: with more, batches are made before the epoch
    begins and carry the epsilon of the last one.
    """

    def __init__(self, images, masks, batch_size=8, seed=0, augment=None):
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
                self.augment(image, mask, np.random.default_rng([self.seed, self.epoch, at]))
                for image, mask, at in zip(images, masks, ids)
            ]
            images, masks = (np.stack(parts) for parts in zip(*pairs))
        return images, masks, self.epsilon_of(ids).astype("float32")

    def plain(self, ids):
        """Images and masks by number, not augmented."""
        return (np.stack([np.asarray(part[at], dtype="float32") for at in ids]) for part in (self.images, self.masks))


def no_epsilon(ids):
    """Epsilon 0 for every image: before the first refresh."""
    return np.zeros(len(ids))


class AdaptiveEpsilon(keras.callbacks.Callback):
    """Give each image the epsilon that the network's own uncertainty about it asks for.

    At each refresh the current weights are sampled by Monte Carlo dropout on the training images as they are, an
    image's difficulty is the mean of a map over its foreground, and `adaptive_epsilon` turns the difficulties into the
    epsilon that each image carries until the next refresh. Batch normalisation and the training's own random numbers
    are not touched.

        data = PerImageData(images, masks, batch_size=8)
        model.compile("adam", loss=losses.PolyDice(epsilon="per_image"))
        model.fit(data, epochs=100, shuffle=False, callbacks=[AdaptiveEpsilon(data, start_epoch=20, every=5)])

    Args:
        data: The training data, a `PerImageData` or what has its `cases`, `plain(ids)`, `epsilon_of` and `epoch`.
        start_epoch: The first refresh is before this epoch, counted from 1; until then every epsilon is 0.
        every: Epochs between refreshes.
        samples: Monte Carlo samples of an image.
        measure: `"mutual_information"`, `"variance"` (mean over classes) or `"entropy"`.
        region: Over which the map is averaged: `"gt"`, the labelled foreground; `"pred"`, the predicted; `"union"`; or
            `"all"`. If the first is empty the second is taken, and the whole image if both are.
        percentile: As in `adaptive_epsilon`, like the next two.
        sensitivity: See `percentile`.
        epsilon_range: Both above -1/2.
        statistics: `"dataset"`: percentile and standard deviation over all images, at the refresh; `"batch"`: over the
            images of each batch, as the thesis words it.
        subset: Share of the images that a refresh samples, those whose difficulty is oldest first; the others keep
            theirs, and images not sampled yet have the middle of the range.
        batch_size: Images at a time when sampling.
        seed: Of the dropout masks and of the subsets.

    Attributes:
        difficulties: `(images,)`, NaN where not known.
        refreshes: One dictionary a refresh: `epoch` (from 1), `seconds`, `sampled`, and the lists `difficulty` and
            `epsilon`.

    The logs of an epoch have `epsilon_mean`, `epsilon_std`, `epsilon_min`, `epsilon_max` of all images and
    `refresh_seconds`. `callbacks.Resume` keeps its state.

    Raises:
        ValueError: For an option that cannot be; when training starts, if the loss is not `PolyDice("per_image")`.

    Reference:
        Hiroike (2026), Section 3.4 and Eq. 7 to 12. The thesis leaves every number open; the defaults were chosen here.
    """

    def __init__(
        self,
        data,
        start_epoch=20,
        every=5,
        samples=20,
        measure="mutual_information",
        region="gt",
        percentile=50,
        sensitivity=1.0,
        epsilon_range=(-0.4, 0.4),
        statistics="dataset",
        subset=1.0,
        batch_size=8,
        seed=0,
    ):
        super().__init__()
        low, high = epsilon_range
        for name, value, known in (
            ("measure", measure, MEASURES),
            ("region", region, REGIONS),
            ("statistics", statistics, ("dataset", "batch")),
        ):
            if value not in known:
                raise ValueError(f"`{name}` must be one of {known}. Received: {name}={value!r}.")
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
        self._forget()

    def _forget(self):
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
        self._forget()
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

    def refresh(self, epoch):
        """Sample the images whose turn it is with the current weights, and renew every epsilon.

        Args:
            epoch: Which begins, counted from 1.
        """
        begin = time.monotonic()
        if self._sampler is None:
            self._sampler = MCDropout(self.model, samples=self.samples, seed=self.seed)
        ids = self._turn()
        for start in range(0, len(ids), self.batch_size):
            some = ids[start : start + self.batch_size]
            images, masks = self.data.plain(some)
            maps = self._sampler.predict(images, batch_size=self.batch_size, case=epoch)
            self.difficulties[some] = difficulties(maps, masks, self.measure, self.region)
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

    def epsilon_of(self, ids):
        """Epsilon of images by number, those of one batch where it counts (`statistics="batch"`)."""
        if not self.refreshes or self.statistics == "dataset":
            return self._epsilon[np.asarray(ids)]
        return adaptive_epsilon(self.difficulties[np.asarray(ids)], **self.rule)

    def get_state(self):
        """Everything that later epochs depend on, for `Resume`."""
        return {"last": self._last.tolist(), "refreshes": self.refreshes}

    def set_state(self, state):
        """Take up a state that `get_state` gave."""
        state = json.loads(json.dumps(state))
        self._last = np.array(state["last"])
        self.refreshes = state["refreshes"]
        if self.refreshes:
            latest = self.refreshes[-1]
            self.difficulties = np.array([math.nan if d is None else d for d in latest["difficulty"]])
            self._epsilon = np.array(latest["epsilon"])

    def _turn(self):
        """The images that a refresh samples: the oldest, by lot among equals."""
        count = len(self._last)
        chosen = math.ceil(self.subset * count)
        lot = np.random.default_rng([self.seed, len(self.refreshes)]).permutation(count)
        return np.sort(lot[np.argsort(self._last[lot], kind="stable")][:chosen])


def difficulties(maps, masks, measure="mutual_information", region="gt"):
    """Mean of a map over the foreground of each image, `(images,)`.

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
    order = {"gt": (labelled, predicted), "pred": (predicted, labelled), "union": (labelled | predicted,), "all": ()}
    found = []
    for at, of_image in enumerate(values):
        regions = [each[at] for each in order[region] if each[at].any()]
        found.append(float(of_image[regions[0]].mean() if regions else of_image.mean()))
    return np.array(found)


def _plain(values):
    return [None if math.isnan(value) else float(value) for value in values]
