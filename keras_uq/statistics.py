"""Intervals and tests, thin on `scipy.stats`."""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """An estimate and its confidence interval; `low` and `high` are NaN where there is none."""

    mean: float
    low: float
    high: float


def mean_interval(values, confidence=0.95):
    """Mean of independent values, such as one score a seed, with the interval of Student's t.

    Args:
        values: Numbers; NaN are left out.
        confidence: Of the interval.

    Returns:
        `Interval`. One value has no interval; no value gives NaN.
    """
    values = np.asarray(values, dtype="float64")
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return Interval(math.nan, math.nan, math.nan)
    mean = float(values.mean())
    if len(values) == 1:
        return Interval(mean, math.nan, math.nan)
    reach = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * stats.sem(values)
    return Interval(mean, mean - float(reach), mean + float(reach))


def paired_bootstrap(first, second, resamples=10_000, confidence=0.95, seed=0):
    """Difference of the means of paired values, such as one score a case of two networks, resampled over pairs.

    Args:
        first: Numbers, one a case.
        second: Numbers of the same cases.
        resamples: Number of bootstrap samples.
        confidence: Of the percentile interval.
        seed: Of the resampling.

    Returns:
        `Interval` of `mean(first) - mean(second)`. Pairs with a NaN are left out.

    Raises:
        ValueError: If the lengths differ or no pair is left.
    """
    first, second = np.asarray(first, dtype="float64"), np.asarray(second, dtype="float64")
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"Expected two lists of one length. Received: {first.shape} and {second.shape}.")
    difference = (first - second)[~np.isnan(first - second)]
    if len(difference) == 0:
        raise ValueError("There is no pair without NaN to compare.")
    draws = np.random.default_rng(seed).integers(0, len(difference), (resamples, len(difference)))
    low, high = np.quantile(difference[draws].mean(axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(difference.mean()), float(low), float(high))
