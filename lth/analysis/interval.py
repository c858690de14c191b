"""95% confidence intervals over replicates: Student's t of a mean, the same of logarithms of ratios, and the bootstrap.

An interval is (low, high), or None where n replicates are too few to have one.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
from scipy.special import stdtrit

Interval = tuple[float, float]
TAIL = 0.025
EQUAL, ROUNDING = 1e-9, 1e-12  # relative to the largest value; absolute, for values around 0
# Up to so many replicates all resamples are counted, above so many of them are drawn.
EXACT, DRAWS = 7, 10_000


def mean_interval(values: "pd.Series[float]") -> Interval | None:
    """Interval of the mean: mean ± t s / √n, with s the sample deviation; from 2 values that are not NaN. Equal
    ones, as of early stops on a grid of evaluations, have none: they do not say how far others would be.
    """
    values = values.dropna()
    if len(values) < 2 or values.max() - values.min() <= max(EQUAL * values.abs().max(), ROUNDING):
        return None
    middle, half = float(values.mean()), float(stdtrit(len(values) - 1, 1 - TAIL) * values.sem())
    return middle - half, middle + half


def ratio_interval(ratios: "pd.Series[float]") -> Interval | None:
    """Interval of the geometric mean of positive ratios: that of the mean of their logarithms. It is the same whichever
    of the two is divided by the other, and never reaches 0, as that of the ratios themselves can.
    """
    found = mean_interval(ratios.map(math.log))
    return None if found is None else (math.exp(found[0]), math.exp(found[1]))


def bootstrap(n: int, statistic: Callable[[Sequence[int]], float]) -> Interval | None:
    """The 2.5% and 97.5% quantiles of a statistic over resamples of n replicates with replacement; from 4 replicates,
    since of 3 the resample that is one of them alone has 3.7% already. statistic: how often each is in it -> value.
    """
    if n < 1 or n**-n > TAIL:
        return None
    values, times = zip(*((statistic(counts), times) for counts, times in _resamples(n)), strict=True)
    low, high = np.quantile(np.array(values, float), (TAIL, 1 - TAIL), weights=times, method="inverted_cdf")
    return float(low), float(high)


def _resamples(n: int) -> Iterator[tuple[Sequence[int], int]]:
    """Resamples with their weight: how often each of n replicates is drawn."""
    if n > EXACT:
        drawn = np.random.default_rng(0).multinomial(n, [1 / n] * n, size=DRAWS)
        yield from ((counts, 1) for counts in drawn.tolist())
        return
    for chosen in combinations_with_replacement(range(n), n):
        counts = [chosen.count(i) for i in range(n)]
        yield counts, math.factorial(n) // math.prod(map(math.factorial, counts))
