"""Intervals against SciPy and against each other."""

import math

import numpy as np
import pytest
from scipy import stats

from keras_uq.statistics import mean_interval, paired_bootstrap


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
