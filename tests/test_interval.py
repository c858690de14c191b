"""Intervals over replicates, against tables of Student's t and numbers counted by hand."""

import math

import pandas as pd
import pytest

from lth.analysis.interval import bootstrap, mean_interval, ratio_interval


# The 97.5% quantiles of Student's t, from printed tables.
@pytest.mark.parametrize(
    ("freedom", "t"),
    [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (30, 2.042), (31, 2.040), (40, 2.021), (60, 2.000), (120, 1.980)],
)
def test_the_interval_has_the_quantiles_of_the_printed_tables(freedom: int, t: float) -> None:
    values = pd.Series(range(freedom + 1), dtype=float)
    low, high = mean_interval(values) or (0, 0)
    assert (high - low) / 2 / values.sem() == pytest.approx(t, abs=1e-3)


def test_the_interval_of_a_mean() -> None:
    # 1, 2, 3: mean 2, deviation 1, t = 4.302653 for 2 degrees of freedom: 2 +- 4.302653 / sqrt(3)
    assert mean_interval(pd.Series([1.0, 2.0, 3.0])) == pytest.approx((-0.484138, 4.484138))
    assert mean_interval(pd.Series([5.0, 5.0, 5.0])) is None  # two equal early stops are no certainty
    assert mean_interval(pd.Series([0.3, 0.1 + 0.2])) is None
    assert mean_interval(pd.Series([5.0])) is None
    assert mean_interval(pd.Series([1.0, math.nan, 2.0])) == pytest.approx((-4.853102, 7.853102))  # 1.5 ± 12.706205 / 2
    assert mean_interval(pd.Series([1e-9, 2e-9, 3e-9])) == pytest.approx((-0.484138e-9, 4.484138e-9))
    assert mean_interval(pd.Series([3e-14, -1e-14])) is None  # rounding
    assert mean_interval(pd.Series([1e12, 1e12 + 1])) is None
    assert mean_interval(pd.Series([], dtype=float)) is None


def test_the_interval_of_ratios_is_that_of_their_logarithms() -> None:
    # 1, 2, 4: the logarithms to base 2 are 0, 1, 2
    low, high = ratio_interval(pd.Series([1.0, 2.0, 4.0])) or (0, 0)
    assert (low, high) == pytest.approx((2**-1.484138, 2**3.484138))
    assert ratio_interval(pd.Series([1.0, 0.5, 0.25])) == pytest.approx((1 / high, 1 / low))
    assert ratio_interval(pd.Series([3.0])) is None


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_of_fewer_than_4_replicates_there_is_no_bootstrap(n: int) -> None:
    assert bootstrap(n, sum) is None


def test_the_bootstrap_counts_all_resamples() -> None:
    # The first of 4 replicates is drawn 0, 1, 2, 3, 4 times with probability 81, 108, 54, 12, 1 of 256; the quantiles
    # are at 6.4 and 249.6 of 256.
    assert bootstrap(4, lambda counts: counts[0]) == (0, 3)
    # 4 times or not: 1 of 256 is below 2.5%; 3 times or more: 13 of 256 is above
    assert bootstrap(4, lambda counts: counts[0] == 4) == (False, False)
    assert bootstrap(4, lambda counts: counts[0] >= 3) == (False, True)


def test_the_bootstrap_of_many_replicates_is_drawn_and_always_the_same() -> None:
    def share(counts: list[int]) -> float:
        return sum(counts[:10]) / 20

    # of 20 draws, half are below: 10 +- 1.96 * sqrt(5), so 6 to 14
    assert bootstrap(20, share) == bootstrap(20, share) == (0.3, 0.7)  # type: ignore[arg-type]
