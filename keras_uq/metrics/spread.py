"""Mean and spread of a map, over pixels and over slices, which can be pooled over cases."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from keras_uq._kinds import shown
from keras_uq.metrics._checks import real


class MapStatistics(NamedTuple):
    """Mean and spread of one map or of several.

    Attributes:
        pixels: Number of pixels.
        slices: Number of slices.
        mean: Mean over pixels.
        std_pixel: Population standard deviation over pixels.
        slice_mean: Mean of the slice means (equal to `mean` if all slices have the same size).
        std_slice: Population standard deviation of the slice means.
    """

    pixels: int
    slices: int
    mean: float
    std_pixel: float
    slice_mean: float
    std_slice: float


def map_statistics(volume: npt.ArrayLike) -> MapStatistics:
    """Compute the statistics of one map.

    Args:
        volume: `(depth, height, width)`; axis 0 counts slices.

    Raises:
        ValueError: If the map is empty, has fewer than two axes, or contains NaN or infinity.

    Reference:
        Kethavath et al. (2025), Eq. 14, 15, 17 and 18 (`std_pixel`). The printed Tables 2, 5 and 6 fit `std_slice`.
    """
    volume = real("map_statistics", "volume", volume)
    if volume.size == 0 or volume.ndim < 2:
        raise ValueError(
            f"map_statistics expects a map (depth, height, width) that is not empty. Received: shape={volume.shape}."
        )
    slice_means = np.mean(volume, axis=tuple(range(1, volume.ndim)), dtype="float64")
    # One NaN or infinity in the map is one in these means.
    if not np.isfinite(slice_means).all():
        share = 1 - np.isfinite(volume).mean()
        raise ValueError(f"map_statistics expects finite numbers. Received: NaN or infinity in {share:.2%} of the map.")
    return MapStatistics(
        pixels=volume.size,
        slices=len(volume),
        mean=float(np.mean(volume, dtype="float64")),
        std_pixel=float(np.std(volume, dtype="float64")),
        slice_mean=float(np.mean(slice_means)),
        std_slice=float(np.std(slice_means)),
    )


def pool_statistics(statistics: Iterable[MapStatistics]) -> MapStatistics:
    """Pool the statistics of several maps. The result is exact, by the law of total variance.

    Raises:
        ValueError: If there is no map, or a number of one is not finite.
    """
    statistics = list(statistics)
    if not statistics or not all(isinstance(s, MapStatistics) and np.isfinite(s).all() for s in statistics):
        raise ValueError(
            f"pool_statistics expects one `MapStatistics` of finite numbers or more. Received: {shown(statistics)}."
        )
    pixels, mean, std_pixel = _pool([(s.pixels, s.mean, s.std_pixel) for s in statistics])
    slices, slice_mean, std_slice = _pool([(s.slices, s.slice_mean, s.std_slice) for s in statistics])
    return MapStatistics(pixels, slices, mean, std_pixel, slice_mean, std_slice)


def _pool(groups):
    count = sum(n for n, _, _ in groups)
    mean = math.fsum(n * mean for n, mean, _ in groups) / count
    variance = math.fsum(n * (std**2 + (group_mean - mean) ** 2) for n, group_mean, std in groups) / count
    return int(count), mean, math.sqrt(variance)
