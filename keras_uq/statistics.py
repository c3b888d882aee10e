"""Confidence intervals and significance tests, as thin layers over `scipy.stats`."""

import math
import numbers
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from keras_uq._kinds import Flag, Integer, Number, argument, shown

CONFIDENCE = Number(above=0, below=1)


class Interval(NamedTuple):
    """An estimate and its confidence interval; `low` and `high` are NaN if there is no interval."""

    mean: float
    low: float
    high: float


def mean_interval(values: npt.ArrayLike, confidence: float = 0.95, normal: bool = False) -> Interval:
    """Return the mean of independent values, such as one score per seed, with its confidence interval (Student's t).

    Args:
        values: Numbers; NaN are ignored.
        confidence: Confidence level of the interval, in (0, 1).
        normal: Whether to use the normal distribution instead of t: `1.96 s / sqrt(n)` at 0.95. Use it for many values.

    Returns:
        `Interval`. A single value has no interval; without values the mean is NaN.

    Raises:
        ValueError: For what is no list of numbers, for infinity, and for a confidence outside (0, 1).
    """
    argument("mean_interval", "confidence", confidence, CONFIDENCE)
    argument("mean_interval", "normal", normal, Flag())
    values = _without_nan("mean_interval", "values", values)
    if len(values) == 0:
        return Interval(math.nan, math.nan, math.nan)
    mean = float(values.mean())
    if len(values) == 1:
        return Interval(mean, math.nan, math.nan)
    share = (1 + confidence) / 2
    half_width = (stats.norm.ppf(share) if normal else stats.t.ppf(share, len(values) - 1)) * stats.sem(values)
    return Interval(mean, mean - float(half_width), mean + float(half_width))


def paired_bootstrap(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the difference of the means of paired values with a bootstrap interval, resampled over pairs.

    Args:
        first: One number per case, such as the scores of one network.
        second: Numbers of the same cases, such as the scores of another network.
        resamples: Number of bootstrap samples, at least 1.
        confidence: Confidence level of the percentile interval, in (0, 1).
        seed: Random seed of the resampling.

    Returns:
        `Interval` of `mean(first) - mean(second)`. Pairs with a NaN are ignored.

    Raises:
        ValueError: If the lengths differ, no pair without NaN is left, a value is infinite or no number, or an option
            is out of range.
    """
    argument("paired_bootstrap", "confidence", confidence, CONFIDENCE)
    difference = _paired("paired_bootstrap", first, second)
    low, high = np.quantile(
        _resampled_means("paired_bootstrap", difference, resamples, seed), [(1 - confidence) / 2, (1 + confidence) / 2]
    )
    return Interval(float(difference.mean()), float(low), float(high))


def paired_bootstrap_test(first: npt.ArrayLike, second: npt.ArrayLike, resamples: int = 10_000, seed: int = 0) -> float:
    """Test whether the means of paired values differ, by resampling over pairs.

    The p-value is twice the share of resampled differences on the less frequent side of 0. Arguments and errors are
    those of `paired_bootstrap`. With 100 resamples, p is 0 or at least 0.02.

    Returns:
        Two-sided p-value in [0, 1].

    Reference:
        Efron and Tibshirani (1993), Chapter 16; Mehrtash et al. (2020), Section VI-E, with 100 resamples.
    """
    means = _resampled_means("paired_bootstrap_test", _paired("paired_bootstrap_test", first, second), resamples, seed)
    return float(min(2 * min(np.mean(means <= 0), np.mean(means >= 0)), 1.0))


def _paired(caller, first, second):
    """Differences of the pairs that contain no NaN."""
    difference = _differences(caller, first, second)
    if len(difference) == 0:
        raise ValueError(f"{caller} expects a pair without NaN or more. Received: no pair without NaN.")
    return difference


def _differences(caller, first, second):
    first, second = _numbers(caller, "first", first), _numbers(caller, "second", second)
    if first.shape != second.shape:
        raise ValueError(f"{caller} expects two lists of one length. Received: {len(first)} and {len(second)} values.")
    return (first - second)[~np.isnan(first - second)]


def _numbers(caller, name, values):
    """A list of numbers as float64, NaN included."""
    array = np.asarray(values)
    if array.dtype == object and array.ndim == 1 and all(isinstance(value, numbers.Real) for value in array):
        array = array.astype("float64")
    # A list without entries is of float64 too.
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise ValueError(
            f"{caller} expects `{name}` to be a list of numbers. Received: {shown(values)}, "
            f"{array.dtype} of shape {array.shape}."
        )
    array = array.astype("float64")
    if np.isinf(array).any():
        raise ValueError(f"{caller} expects `{name}` to hold finite numbers, or NaN for none. Received: infinity.")
    return array


def _without_nan(caller, name, values):
    array = _numbers(caller, name, values)
    return array[~np.isnan(array)]


def _resampled_means(caller, values, resamples, seed):
    argument(caller, "resamples", resamples, Integer(least=1))
    argument(caller, "seed", seed, Integer(least=0))
    draws = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    return values[draws].mean(axis=1)


class GroupTest(NamedTuple):
    """Result of a test of several groups.

    Attributes:
        statistic: F or chi-squared; NaN, like `p`, if the test is not defined.
        p: p-value of the hypothesis that there is no difference between the groups.
        effect: Effect size in `[0, 1]`, which does not grow with the number of values: eta squared or Kendall's W.
        groups: Number of groups.
        n: Number of values per group (ANOVA: in all groups together).
    """

    statistic: float
    p: float
    effect: float
    groups: int
    n: int


def anova(groups: Sequence[npt.ArrayLike]) -> GroupTest:
    """Test several groups of independent values by one-way analysis of variance.

    Args:
        groups: One sequence of numbers per group; NaN are ignored.

    Returns:
        `GroupTest` with F and eta squared, the share of the variance that lies between the groups. NaN if no group
        varies.

    Raises:
        ValueError: If there are fewer than two groups or a group has fewer than two values.

    Values of one patient are not independent: if the values are slices or pixels, F grows with their number and does
    not show a difference between patients. If the groups contain the same patients, they are paired; `friedman` uses
    the pairing, this test ignores it.

    Reference:
        Kethavath et al. (2025), Section 4.3.
    """
    groups = [_without_nan("anova", f"groups[{number}]", group) for number, group in enumerate(groups)]
    if len(groups) < 2 or min(len(values) for values in groups) < 2:
        raise ValueError(
            f"anova expects two groups or more of two values or more. Received: {[len(values) for values in groups]}."
        )
    everything = np.concatenate(groups)
    total = np.sum((everything - everything.mean()) ** 2)
    if total == 0 or all(np.ptp(values) == 0 for values in groups):
        return GroupTest(math.nan, math.nan, math.nan, len(groups), len(everything))
    between = sum(len(values) * (values.mean() - everything.mean()) ** 2 for values in groups)
    statistic, p = stats.f_oneway(*groups)
    return GroupTest(float(statistic), float(p), float(between / total), len(groups), len(everything))


def friedman(groups: Sequence[npt.ArrayLike]) -> GroupTest:
    """Test several groups of paired values with Friedman's test, which compares the ranks within each case.

    Args:
        groups: One sequence per group, all of equal length; entry i of each is case i. Cases with a NaN are ignored.

    Returns:
        `GroupTest` with chi-squared and Kendall's W, which is 1 if every case ranks the groups equally and 0 if the
        rankings do not agree at all. NaN if all groups are equal in every case.

    Raises:
        ValueError: If there are fewer than three groups or fewer than two cases without NaN, or if the lengths differ.

    Reference:
        Friedman (1937); Kendall and Babington Smith (1939).
    """
    groups = [_numbers("friedman", f"groups[{number}]", group) for number, group in enumerate(groups)]
    if len({len(group) for group in groups}) > 1 or len(groups) < 3:
        raise ValueError(
            f"friedman expects three groups or more of one length. Received: {[len(group) for group in groups]} values."
        )
    table = np.array(groups)
    table = table[:, ~np.isnan(table).any(axis=0)]
    cases = table.shape[1]
    if cases < 2:
        raise ValueError(f"friedman expects two or more cases without NaN. Received: {cases}.")
    if np.all(np.ptp(table, axis=0) == 0):
        return GroupTest(math.nan, math.nan, math.nan, len(table), cases)
    statistic, p = stats.friedmanchisquare(*table)
    return GroupTest(float(statistic), float(p), float(statistic / (cases * (len(table) - 1))), len(table), cases)


class PairTest(NamedTuple):
    """Result of a test of two samples: the statistic, the two-sided p-value, and the number of values or pairs."""

    statistic: float
    p: float
    n: int


def rank_sum(first: npt.ArrayLike, second: npt.ArrayLike) -> PairTest:
    """Test two independent samples with Wilcoxon's rank-sum test (normal approximation, no continuity correction).

    Args:
        first: Numbers; NaN are ignored.
        second: Numbers; NaN are ignored.

    Returns:
        `PairTest` with z and the number of values in both samples.

    Raises:
        ValueError: If a sample is empty.

    Scores of two networks on the same cases are paired. This test ignores the pairing, `signed_rank` uses it.

    Reference:
        Yeung et al. (2021), Section III-E; the p of 6e-8 that they print is this test's for two separate samples of 20.
    """
    first, second = _without_nan("rank_sum", "first", first), _without_nan("rank_sum", "second", second)
    if not len(first) or not len(second):
        raise ValueError(f"rank_sum expects two samples with values. Received: {len(first)} and {len(second)}.")
    statistic, p = stats.ranksums(first, second)
    return PairTest(float(statistic), float(p), len(first) + len(second))


def signed_rank(first: npt.ArrayLike, second: npt.ArrayLike) -> PairTest:
    """Test paired values, such as the scores of two networks per case, with Wilcoxon's signed-rank test.

    Args:
        first: One number per case; pairs with a NaN are ignored.
        second: Numbers of the same cases.

    Returns:
        `PairTest` with the smaller sum of ranks and the number of pairs; NaN if no pair differs.

    Raises:
        ValueError: If the lengths differ.

    Reference:
        Wilcoxon (1945). Pairs without a difference are dropped, which is SciPy's default.
    """
    difference = _differences("signed_rank", first, second)
    if not np.any(difference):
        return PairTest(math.nan, math.nan, len(difference))
    statistic, p = stats.wilcoxon(difference)
    return PairTest(float(statistic), float(p), len(difference))
