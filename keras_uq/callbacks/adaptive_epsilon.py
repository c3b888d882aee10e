"""Set the epsilon of each training image from the network's uncertainty about it, while the network trains."""

import json
import math
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from keras_uq._kinds import Anything, Choice, Integer, Items, Mapping, Number, argument, shown
from keras_uq.callbacks.per_image_data import check_images
from keras_uq.files import check
from keras_uq.inference import MCDropout, UncertaintyMaps

MEASURES = Choice("mutual_information", "variance", "entropy")
REGIONS = Choice("gt", "pred", "union", "all")
PERCENTILE = Number(0, 100)
SENSITIVITY = Number(above=0)
EPSILON_RANGE = Items(Number(above=-0.5), count=2)
# What `get_state` returns.
STATE = {"last": Items(Integer(least=-1)), "refreshes": Items(Mapping(Anything()))}
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
        epsilon_range: `(low, high)`, both above -1/2.

    Returns:
        float64 array `(images,)`. It holds the middle of the range for an image of unknown difficulty, and for every
        image if all difficulties are equal.

    Reference:
        Hiroike (2026), Eq. 11 and 12, with the standard deviation of the population.
    """
    low, high = _checked_rule("adaptive_epsilon", percentile, sensitivity, epsilon_range)
    difficulty = np.asarray(difficulty)
    if difficulty.dtype.kind not in "iuf" or difficulty.ndim != 1 or np.isinf(difficulty).any():
        raise ValueError(
            "adaptive_epsilon expects `difficulty` to hold one finite number per image, or NaN. "
            f"Received: {difficulty.dtype} {difficulty.shape}{', with infinity' * (difficulty.dtype.kind == 'f')}."
        )
    difficulty = difficulty.astype("float64")
    measured = difficulty[~np.isnan(difficulty)]
    if not len(measured):
        return np.full(difficulty.shape, (low + high) / 2)
    normalised = (difficulty - np.percentile(measured, percentile)) / (measured.std() + TINY)
    normalised = np.where(np.isnan(normalised), 0.0, normalised)
    # The sigmoid is written with tanh, which does not overflow.
    return low + (high - low) * 0.5 * (1 + np.tanh(0.5 * sensitivity * normalised))


def _checked_rule(caller, percentile, sensitivity, epsilon_range):
    """The two ends of the range, after a check of all three arguments."""
    argument(caller, "percentile", percentile, PERCENTILE)
    argument(caller, "sensitivity", sensitivity, SENSITIVITY)
    low, high = argument(caller, "epsilon_range", epsilon_range, EPSILON_RANGE)
    if low > high:
        raise ValueError(
            f"{caller} expects `epsilon_range` to be (low, high), low first. Received: epsilon_range={epsilon_range!r}."
        )
    return epsilon_range


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
        samples: Number of Monte Carlo samples per image, at least 2 (1 for the entropy).
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
        ValueError: For an invalid option, at the start of training if the loss is not `PolyDice("per_image")`, and at a
            refresh for images that are not finite.

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
        for name, value, kind in (
            ("start_epoch", start_epoch, Integer(least=1)),
            ("every", every, Integer(least=1)),
            ("measure", measure, MEASURES),
            # One sample has no variance, and no mutual information.
            ("samples", samples, Integer(least=1 if measure == "entropy" else 2)),
            ("region", region, REGIONS),
            ("statistics", statistics, Choice("dataset", "batch")),
            ("subset", subset, Number(above=0, most=1)),
            ("batch_size", batch_size, Integer(least=1)),
            ("seed", seed, Integer(least=0)),
        ):
            argument("AdaptiveEpsilon", name, value, kind)
        low, high = _checked_rule("AdaptiveEpsilon", percentile, sensitivity, epsilon_range)
        missing = [name for name in ("cases", "plain", "epsilon_of", "epoch") if not hasattr(data, name)]
        if missing or not len(data.cases):
            raise ValueError(
                "AdaptiveEpsilon expects `data` to be a PerImageData, or an object with its `cases`, `plain`, "
                f"`epsilon_of` and `epoch`. Received: {shown(data)} without {', '.join(missing) or 'a case'}."
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
            check_images("AdaptiveEpsilon", batch, images)
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
        state = check(json.loads(json.dumps(state)), STATE, "The state of AdaptiveEpsilon")
        count, refreshes = len(self.data.cases), [dict(refresh) for refresh in state["refreshes"]]
        lengths = [len(values) for r in refreshes for values in (r.get("difficulty", ()), r.get("epsilon", ()))]
        if {len(state["last"]), *lengths} != {count}:
            raise ValueError(f"Expected values of {count} images. Received: {[len(state['last']), *lengths]}.")
        self._last = np.array(state["last"])
        self.refreshes = refreshes
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
    argument("difficulties", "measure", measure, MEASURES)
    argument("difficulties", "region", region, REGIONS)
    values = maps.variance.mean(axis=-1) if measure == "variance" else getattr(maps, measure)
    masks = np.asarray(masks)
    if masks.shape[:-1] != values.shape or masks.dtype.kind not in "biuf":
        raise ValueError(
            f"difficulties expects `masks` (images, *spatial, classes) of the maps' size, {values.shape}. "
            f"Received: {masks.dtype} {masks.shape}."
        )
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
        # NaN would stand for an image that was never sampled.
        if not math.isfinite(means[-1]):
            raise ValueError(
                f"difficulties expects finite maps. Received: a mean {measure} of {means[-1]} in image {index}."
            )
    return np.array(means)


def _plain(values):
    return [None if math.isnan(value) else float(value) for value in values]
