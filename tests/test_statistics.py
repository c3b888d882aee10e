"""Intervals against SciPy and against each other."""

import math

import numpy as np
import pytest
from scipy import stats

from keras_uq.statistics import (
    anova,
    friedman,
    mean_interval,
    paired_bootstrap,
    paired_bootstrap_test,
    rank_sum,
    signed_rank,
)
from tests.reference import VALUES


def test_mean_interval_is_students():
    values = [0.71, 0.74, 0.69, 0.75]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    got = mean_interval(values)
    np.testing.assert_allclose(got, (np.mean(values), *expected))
    assert mean_interval([0.5]) == pytest.approx((0.5, math.nan, math.nan), nan_ok=True)
    assert math.isnan(mean_interval([]).mean)
    assert mean_interval([0.4, math.nan, 0.6]).mean == pytest.approx(0.5)


def test_paired_bootstrap_is_about_the_differences():
    rng = np.random.default_rng(0)
    cases = rng.normal(0.7, 0.2, 200)
    first, second = cases + 0.01 + rng.normal(0, 0.01, 200), cases
    got = paired_bootstrap(first, second, resamples=2000)
    theirs = stats.bootstrap(
        (first - second,), np.mean, n_resamples=2000, method="percentile", rng=1
    ).confidence_interval
    np.testing.assert_allclose(got[1:], theirs, atol=3e-4)
    assert got.low > 0  # Found although the spread over cases is twenty times the difference.
    assert paired_bootstrap(first, second, resamples=2000) == got
    assert paired_bootstrap([1.0, math.nan], [0.5, 0.1], resamples=10).mean == 0.5
    with pytest.raises(ValueError, match="one length"):
        paired_bootstrap([1, 2], [1])
    with pytest.raises(ValueError, match="no pair"):
        paired_bootstrap([math.nan], [1.0])


def test_anova_by_hand_and_by_scipy():
    # Means 2 and 5 around 3.5: between = 2 * 3 * 1.5^2 = 13.5 with 1 degree of freedom, within = 4 with 4.
    got = anova([[1, 2, 3], [4, 5, 6]])
    assert got.statistic == pytest.approx(13.5 / (4 / 4))
    assert got.effect == pytest.approx(13.5 / 17.5)
    assert (got.groups, got.n) == (2, 6)
    rng = np.random.default_rng(0)
    groups = [rng.normal(mean, 1, size) for mean, size in ((0, 9), (0.3, 12), (1, 7))]
    assert anova(groups)[:2] == pytest.approx(tuple(stats.f_oneway(*groups)))
    assert anova([[*groups[0], math.nan], *groups[1:]]) == anova(groups)


def test_repeating_every_value_raises_f_but_not_the_effect():
    rng = np.random.default_rng(0)
    groups = [rng.normal(mean, 1, 8) for mean in (0, 0.3, 0.6)]
    once, often = anova(groups), anova([np.repeat(group, 1000) for group in groups])
    assert often.statistic > 1000 * once.statistic
    assert often.effect == pytest.approx(once.effect)


def test_friedman_is_about_ranks_within_cases():
    rng = np.random.default_rng(0)
    groups = [rng.normal(0, 1, 20) + shift for shift in (0, 0.2, 0.4)]
    got = friedman(groups)
    assert got[:2] == pytest.approx(tuple(stats.friedmanchisquare(*groups)))
    assert got.n == 20
    offsets = 100 * rng.normal(0, 1, 20)  # What all groups of a case share changes nothing.
    assert friedman([group + offsets for group in groups]).statistic == pytest.approx(got.statistic)
    # Three groups, four cases, always in one order: chi2 = 12 / (4 * 3 * 4) * (4^2 + 8^2 + 12^2) - 3 * 4 * 4 = 8.
    always = friedman([[1, 10, 5, 7], [2, 20, 6, 8], [3, 30, 7, 9]])
    assert always.statistic == pytest.approx(8)
    assert always.effect == pytest.approx(1)


def test_tests_of_groups_refuse_what_they_cannot_test():
    with pytest.raises(ValueError, match="two groups or more"):
        anova([[1, 2]])
    with pytest.raises(ValueError, match=r"\[3, 1\]"):
        anova([[1, 2, 3], [4, math.nan]])
    assert math.isnan(anova([[1, 1], [2, 2]]).statistic)
    with pytest.raises(ValueError, match="three groups or more"):
        friedman([[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="one length"):
        friedman([[1, 2], [3, 4], [5]])
    with pytest.raises(ValueError, match="Received: 1"):
        friedman([[1, 2], [3, math.nan], [5, 6]])
    assert math.isnan(friedman([[1, 2]] * 3).p)


def test_the_interval_of_many_values_is_normal():
    values = np.random.default_rng(0).normal(0.8, 0.1, 30)
    mean, low, high = mean_interval(values, normal=True)
    assert high - mean == pytest.approx(1.959964 * values.std(ddof=1) / math.sqrt(30))
    assert mean - low == pytest.approx(high - mean)


def test_rank_sum_is_that_of_the_printed_p():
    """Two separate samples of 20 give the p that the paper prints, and no continuity correction."""
    (check,) = [check for check in VALUES["checks"] if check["id"] == "y.ranksum"]
    found = rank_sum(np.arange(20), 100 + np.arange(20))
    assert found.p == pytest.approx(check["expected"], rel=1e-9)
    assert found.n == 40
    assert rank_sum([1.0, math.nan, 2.0], [3.0]).n == 3
    with pytest.raises(ValueError, match="two samples with values. Received: 0 and 1"):
        rank_sum([math.nan], [1.0])


def test_signed_rank_knows_the_pairs():
    rng = np.random.default_rng(0)
    cases = rng.normal(0.7, 0.2, 40)
    first = cases + 0.01 + rng.normal(0, 0.005, 40)
    assert signed_rank(first, cases).p < 1e-6
    assert rank_sum(first, cases).p > 0.5
    assert signed_rank(first, cases).p == pytest.approx(stats.wilcoxon(first, cases).pvalue)
    assert signed_rank([1.0, math.nan, 3.0], [0.5, 1.0, 4.0]).n == 2
    assert math.isnan(signed_rank([1.0, 2.0], [1.0, 2.0]).p)
    with pytest.raises(ValueError, match="one length"):
        signed_rank([1.0], [1.0, 2.0])


def test_p_of_the_paired_bootstrap_is_twice_the_smaller_tail():
    rng = np.random.default_rng(0)
    first = rng.normal(size=40)
    second = first - rng.normal(0.3, 1, 40)
    p = paired_bootstrap_test(first, second, resamples=20_000)
    # For this many pairs the t-test agrees.
    assert p == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=0.35)
    assert paired_bootstrap_test(second, first, resamples=20_000) == pytest.approx(p)
    assert paired_bootstrap_test(first, first - 5) == 0
    assert paired_bootstrap_test(first, first) == 1
    assert paired_bootstrap_test([1.0, math.nan, 2.0], [0.5, 3.0, 1.0], resamples=100) == 0
    with pytest.raises(ValueError, match="no pair"):
        paired_bootstrap_test([math.nan], [1.0])


TWO = ([0.1, 0.2, 0.4], [0.2, 0.1, 0.3])
REFUSED = {
    "text": (lambda: mean_interval(["a"]), "mean_interval expects `values` to be a list of numbers.*U1"),
    "None": (lambda: mean_interval([0.1, None]), "mean_interval expects `values` to be a list of numbers"),
    "a number": (lambda: mean_interval(0.5), "mean_interval expects `values` to be a list"),
    "a table": (lambda: mean_interval([[0.5]]), "mean_interval expects `values` to be a list"),
    "infinity": (lambda: mean_interval([0.5, math.inf]), "finite numbers.*infinity"),
    "all of it": (lambda: mean_interval([0.5], 1.0), "mean_interval expects `confidence`.*confidence=1.0"),
    "percent": (lambda: paired_bootstrap(*TWO, confidence=95), "paired_bootstrap expects `confidence`"),
    "NaN": (lambda: paired_bootstrap(*TWO, confidence=math.nan), "paired_bootstrap expects `confidence`"),
    "normal": (lambda: mean_interval([0.5], normal="yes"), "mean_interval expects `normal`"),
    "resamples": (lambda: paired_bootstrap(*TWO, resamples=0), "paired_bootstrap expects `resamples`"),
    "half": (
        lambda: paired_bootstrap_test(*TWO, resamples=0.5),
        "paired_bootstrap_test expects `resamples`",
    ),
    "seed": (lambda: paired_bootstrap_test(*TWO, seed=-1), "paired_bootstrap_test expects `seed`"),
    "pairs of infinities": (
        lambda: signed_rank([math.inf, 1, 2], [math.inf, 2, 3]),
        "signed_rank expects `first` to hold finite numbers",
    ),
    "infinite ranks": (lambda: rank_sum([1, math.inf], [2]), "rank_sum expects `first` to hold finite"),
    "groups": (lambda: anova([[1, 2], [1, math.inf]]), r"anova expects `groups\[1\]` to hold finite"),
    "cases": (
        lambda: friedman([[1, 2], ["a", "b"], [1, 2]]),
        r"friedman expects `groups\[1\]` to be a list",
    ),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_list_of_numbers_and_options_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=f"{message}"):
        call()


def test_numbers_of_a_table_with_text_are_numbers():
    assert mean_interval(np.array([1, 2.0, math.nan], dtype=object)).mean == 1.5
    assert math.isnan(mean_interval([]).mean)
