"""95% confidence intervals over replicates: Student's t of a mean, the same of logarithms of ratios, and the bootstrap.

An interval is (low, high), or None where n replicates are too few to have one.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd

Interval = tuple[float, float]
TAIL = 0.025
# The 97.5% quantiles of Student's t for 1 to 30 degrees of freedom.
T = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
     2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
     2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423)  # fmt: skip
NORMAL = 1.959964
EQUAL, ROUNDING = 1e-9, 1e-12  # relative to the largest value; absolute, for values around 0
# Up to so many replicates all resamples are counted, above so many of them are drawn.
EXACT, DRAWS = 7, 10_000


def quantile(freedom: int) -> float:
    """The 97.5% quantile of Student's t; above 30 degrees of freedom by Fisher's expansion around the normal's."""
    if freedom <= len(T):
        return T[freedom - 1]
    first, second = (NORMAL**3 + NORMAL) / 4, (5 * NORMAL**5 + 16 * NORMAL**3 + 3 * NORMAL) / 96
    return NORMAL + first / freedom + second / freedom**2


def mean_interval(values: "pd.Series[float]") -> Interval | None:
    """Interval of the mean: mean ± t s / √n, with s the sample deviation; from 2 values that are not NaN. Equal
    ones, as of early stops on a grid of evaluations, have none: they do not say how far others would be.
    """
    values = values.dropna()
    if len(values) < 2 or values.max() - values.min() <= max(EQUAL * values.abs().max(), ROUNDING):
        return None
    middle, half = float(values.mean()), quantile(len(values) - 1) * float(values.std()) / math.sqrt(len(values))
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
    chances: dict[float, float] = {}
    for counts, chance in _resamples(n):
        value = statistic(counts)
        chances[value] = chances.get(value, 0.0) + chance
    return _quantile(chances, TAIL), _quantile(chances, 1 - TAIL)


def _resamples(n: int) -> Iterator[tuple[Sequence[int], float]]:
    """Resamples with their probability: how often each of n replicates is drawn."""
    if n > EXACT:
        drawn = np.random.default_rng(0).multinomial(n, [1 / n] * n, size=DRAWS)
        yield from ((counts, 1 / DRAWS) for counts in drawn.tolist())
        return
    for chosen in combinations_with_replacement(range(n), n):
        counts = [chosen.count(i) for i in range(n)]
        yield counts, math.factorial(n) / math.prod(map(math.factorial, counts)) / n**n


def _quantile(chances: dict[float, float], share: float) -> float:
    """The least value that, with all below it, has at least this share; 1e-9 of rounding aside."""
    total = 0.0
    for value in sorted(chances):
        total += chances[value]
        if total >= share - 1e-9:
            return value
    return max(chances)
