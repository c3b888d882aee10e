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


def mean_interval(values, confidence=0.95, normal=False):
    """Mean of independent values, such as one score a seed, with the interval of Student's t.

    Args:
        values: Numbers; NaN are left out.
        confidence: Of the interval.
        normal: Use the normal distribution in place of t, for many values: `1.96 s / sqrt(n)` at 0.95.

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
    share = (1 + confidence) / 2
    reach = (stats.norm.ppf(share) if normal else stats.t.ppf(share, len(values) - 1)) * stats.sem(values)
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
    difference = _paired(first, second)
    low, high = np.quantile(_resampled_means(difference, resamples, seed), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(difference.mean()), float(low), float(high))


def paired_bootstrap_test(first, second, resamples=10_000, seed=0):
    """Whether the means of paired values differ: twice the smaller share of resampled differences beyond 0.

    Arguments and errors as in `paired_bootstrap`. With 100 resamples p is 0 or at least 0.02.

    Returns:
        Two-sided p in [0, 1].

    Reference:
        Efron and Tibshirani (1993), Chapter 16; Mehrtash et al. (2020), Section VI-E, with 100 resamples.
    """
    means = _resampled_means(_paired(first, second), resamples, seed)
    return float(min(2 * min(np.mean(means <= 0), np.mean(means >= 0)), 1.0))


def _paired(first, second):
    """Differences of the pairs without NaN."""
    first, second = np.asarray(first, dtype="float64"), np.asarray(second, dtype="float64")
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"Expected two lists of one length. Received: {first.shape} and {second.shape}.")
    difference = (first - second)[~np.isnan(first - second)]
    if len(difference) == 0:
        raise ValueError("There is no pair without NaN to compare.")
    return difference


def _resampled_means(values, resamples, seed):
    draws = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    return values[draws].mean(axis=1)


class GroupTest(NamedTuple):
    """A test of several groups.

    Attributes:
        statistic: F or chi-squared; NaN, like `p`, where the test is not defined.
        p: Probability of such a statistic if all groups were alike.
        effect: Size of the effect in `[0, 1]`, which does not grow with the number of values: eta squared or W.
        groups: How many groups.
        n: Values a group (ANOVA: of all groups together).
    """

    statistic: float
    p: float
    effect: float
    groups: int
    n: int


def anova(groups):
    """One-way analysis of variance of independent values.

    Args:
        groups: A list of sequences of numbers, one a group; NaN are left out.

    Returns:
        `GroupTest` with F and eta squared, the share of the variance that lies between the groups. NaN if no group
        varies.

    Raises:
        ValueError: If there are fewer than two groups or one has fewer than two values.

    Values of one patient are not independent: with slices or pixels for patients, F grows with their number and says
    nothing of patients. Groups that hold the same patients are paired, which `friedman` uses and this test ignores.

    Reference:
        Kethavath et al. (2025), Section 4.3.
    """
    groups = [values[~np.isnan(values)] for values in (np.asarray(group, dtype="float64") for group in groups)]
    if len(groups) < 2 or min(len(values) for values in groups) < 2:
        raise ValueError(
            f"Expected two groups or more of two values or more. Received: {[len(values) for values in groups]}."
        )
    everything = np.concatenate(groups)
    total = np.sum((everything - everything.mean()) ** 2)
    if total == 0 or all(np.ptp(values) == 0 for values in groups):
        return GroupTest(math.nan, math.nan, math.nan, len(groups), len(everything))
    between = sum(len(values) * (values.mean() - everything.mean()) ** 2 for values in groups)
    statistic, p = stats.f_oneway(*groups)
    return GroupTest(float(statistic), float(p), float(between / total), len(groups), len(everything))


def friedman(groups):
    """Friedman's test of paired values: do the groups rank the same within every case?

    Args:
        groups: Sequences of one length, one a group; place i of each is case i. Cases with a NaN are left out.

    Returns:
        `GroupTest` with chi-squared and Kendall's W: 1 if every case ranks the groups alike, 0 if nothing is shared.
        NaN if every case gives all groups one value.

    Raises:
        ValueError: If there are fewer than three groups or two whole cases, or the lengths differ.

    Reference:
        Friedman (1937); Kendall and Babington Smith (1939).
    """
    if len({len(group) for group in groups}) > 1 or len(groups) < 3:
        raise ValueError(f"Expected three groups or more of one length. Received: {[len(group) for group in groups]}.")
    table = np.asarray(groups, dtype="float64")
    table = table[:, ~np.isnan(table).any(axis=0)]
    cases = table.shape[1]
    if cases < 2:
        raise ValueError(f"Expected two cases or more without NaN. Received: {cases}.")
    if np.all(np.ptp(table, axis=0) == 0):
        return GroupTest(math.nan, math.nan, math.nan, len(table), cases)
    statistic, p = stats.friedmanchisquare(*table)
    return GroupTest(float(statistic), float(p), float(statistic / (cases * (len(table) - 1))), len(table), cases)


class PairTest(NamedTuple):
    """A test of two samples: its statistic, the two-sided p, and how many values or pairs went in."""

    statistic: float
    p: float
    n: int


def rank_sum(first, second):
    """Wilcoxon's rank-sum test of two independent samples, normal approximation without continuity correction.

    Args:
        first: Numbers; NaN are left out.
        second: Numbers.

    Returns:
        `PairTest` with z and the number of values of both.

    Raises:
        ValueError: If a sample is empty.

    Scores of two networks on the same cases are not independent: this test ignores the pairing, `signed_rank` uses it.

    Reference:
        Yeung et al. (2021), Section III-E; the p of 6e-8 that they print is this test's for two separate samples of 20.
    """
    first, second = (_known(values) for values in (first, second))
    if not len(first) or not len(second):
        raise ValueError(f"Expected two samples with values. Received: {len(first)} and {len(second)}.")
    statistic, p = stats.ranksums(first, second)
    return PairTest(float(statistic), float(p), len(first) + len(second))


def signed_rank(first, second):
    """Wilcoxon's signed-rank test of paired values, such as one score a case of two networks.

    Args:
        first: Numbers, one a case; pairs with a NaN are left out.
        second: Numbers of the same cases.

    Returns:
        `PairTest` with the smaller sum of ranks and the number of pairs; NaN if no pair differs.

    Raises:
        ValueError: If the lengths differ.

    Reference:
        Wilcoxon (1945). Pairs without a difference are dropped, as SciPy does by default.
    """
    first, second = np.asarray(first, dtype="float64"), np.asarray(second, dtype="float64")
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"Expected two lists of one length. Received: {first.shape} and {second.shape}.")
    difference = _known(first - second)
    if not np.any(difference):
        return PairTest(math.nan, math.nan, len(difference))
    statistic, p = stats.wilcoxon(difference)
    return PairTest(float(statistic), float(p), len(difference))


def _known(values):
    values = np.asarray(values, dtype="float64")
    return values[~np.isnan(values)]
