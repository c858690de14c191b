"""The rule of verdicts: a paper's number, ours and its 95% interval -> one of a few sentences.

`RULE` says it for readers; `lth scorecard` prints it above its table.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from lth.analysis.claim.rows import Measured

# A factor of the paper's number, points of an accuracy, a level of pruning, a tenth of an error, and the digits of a
# printed percentage.
FACTOR, CLOSE, WIDE, NEXT, TENTH, SAME = 2.0, 0.5, 2.0, 1.3, 1.1, 1.02
REDUCED = "reduced: "
NOT_COMPARED, NOT_RUN = "not compared", "not run"

RULE = """\
A verdict needs an interval. "±" is the sample deviation over n replicates; the 95% interval is that of their mean
(Student's t; of the lowest percentage of weights the bootstrap over replicates, from n = 4 on). Equal values have none.
Ratios, such as of early-stop steps, have the geometric mean, with the deviation and the interval of their logarithms.
Differences are taken within a replicate, before the mean. A best or worst level is chosen on the same replicates; the
interval does not correct for that choice.

- reproduced: the interval contains the paper's number or lies beyond it, and none of it is off by more than a factor of
  2, counted from no effect (0, or 1 for a ratio). For a claim without a number ("more than 0"), the whole interval
  lies above 0. An accuracy: the whole interval lies within 0.5 points. A percentage of weights that is named as such,
  and a disagreement of nets: within a factor of 1.3, which is one level of pruning. An error, of a net that makes few:
  the whole interval within a factor of 1.1.
- within a factor of f: our number is off by f, at most 2, and the interval shows an effect of that sign. An accuracy:
  within 2 points, with all of its interval.
- not settled: the interval is too wide to say. More replicates would.
- not reproduced: the interval excludes the paper's number, and ours is off by more than a factor of 2 (or 2 points).
  A larger effect than the paper's, or a lower percentage, counts as its number.
- agrees, within a factor of f, differs, each with its n: the same comparison of a number that has no interval, such as
  one of a single replicate. It is never "reproduced".
- not run that far: as good as dense at the sparsest level that was trained, which is not as sparse as the paper's.
- reduced: fewer steps, smaller batches, fewer rounds of pruning, another net or other data than the paper's. What it
  says of the paper stands behind the word, and it is never "reproduced": "agrees" at most.
- not compared: rows that can't be, such as those of several configurations under one name; the log says why.
- not run: no result."""


@dataclass(frozen=True)
class _Test:
    """meets: as the paper's number, or beyond. near: off by at most the factor. reaches: the interval contains the
    number or one that counts as the same, or lies beyond it. contains: the number itself, or one beyond it where that
    counts. shown: the interval has an effect. factor: by which a number is off.
    """

    meets: Callable[[float], bool]
    near: Callable[[float], bool]
    reaches: Callable[[float, float], bool]
    contains: Callable[[float, float], bool]
    shown: Callable[[float, float], bool]
    factor: Callable[[float], float]


def verdict(kind: str, paper: float, ours: Measured | None, *, reduced: bool = False) -> str:
    """The verdict on a claim of one of KINDS. paper: its number; 0 of an effect: "more than none"."""
    if ours is None:
        return NOT_RUN
    test = KINDS[kind](paper, ours.neutral)
    found = _alone(test, ours) if ours.interval is None else _settled(test, ours.mean, ours.interval)
    if ours.bound and not found.startswith(("reproduced", "agrees")):
        found = "not run that far"
    return REDUCED + _REDUCED.get(found, found) if reduced else found


# In reduced settings nothing is reproduced, and nothing is not reproduced.
_REDUCED = {"reproduced": "agrees", "not reproduced": "differs"}


def _settled(test: _Test, mean: float, interval: tuple[float, float]) -> str:
    low, high = interval
    if test.reaches(low, high) and test.near(low) and test.near(high):
        return "reproduced"
    if (factor := test.factor(mean)) <= FACTOR and test.shown(low, high):
        return _within(factor)
    return "not settled" if test.contains(low, high) or factor <= FACTOR else "not reproduced"


def _alone(test: _Test, ours: Measured) -> str:
    if test.meets(ours.mean):
        return f"agrees (n = {ours.n})"
    factor = test.factor(ours.mean)
    return f"{_within(factor) if factor <= FACTOR else 'differs'} (n = {ours.n})"


def _within(factor: float) -> str:
    """Such as "within a factor of 1.4", rounded up to 1.1 at least; 0 stands for an accuracy, which has a margin."""
    rounded = max(math.ceil(round(10 * factor, 6)), 11) / 10
    return f"within a factor of {rounded:g}" if factor else f"within {WIDE:g} points"


def _ratio(a: float, b: float) -> float:
    """The larger over the smaller; infinite unless both are above 0."""
    return max(a / b, b / a) if a > 0 and b > 0 else math.inf


def _effect(paper: float, none: float) -> _Test:
    if paper == 0:
        return _Test(
            meets=lambda x: x > none, near=lambda x: x > none, reaches=lambda _, high: high > none,
            contains=lambda _, high: high > none, shown=lambda _, __: False, factor=lambda _: math.inf,
        )  # fmt: skip
    size = paper - none
    return _Test(
        meets=lambda x: x >= paper,
        near=lambda x: x - none >= size / FACTOR,
        reaches=lambda _, high: high >= paper,
        contains=lambda _, high: high >= paper,
        shown=lambda low, _: low > none,
        factor=lambda x: _ratio(x - none, size),
    )


def _lowest(paper: float, _: float) -> _Test:
    return _Test(
        meets=lambda x: x <= SAME * paper,
        near=lambda x: x <= FACTOR * paper and x < 100,
        reaches=lambda low, _: low <= SAME * paper,
        contains=lambda low, _: low <= SAME * paper,
        shown=lambda _, high: high < 100,
        factor=lambda x: _ratio(x, paper) if x < 100 else math.inf,
    )


def _point(paper: float, _: float, *, same: float = NEXT, off: float = FACTOR) -> _Test:
    return _Test(
        meets=lambda x: _ratio(x, paper) <= same,
        near=lambda x: _ratio(x, paper) <= off and x < 100,
        reaches=lambda low, high: low <= same * paper and high >= paper / same,
        contains=lambda low, high: low <= paper <= high,
        shown=lambda low, high: low > 0 and high < 100,
        factor=lambda x: _ratio(x, paper) if x < 100 else math.inf,
    )


def _value(paper: float, _: float) -> _Test:
    """Margins in points: an accuracy has no factor."""

    def off(x: float) -> float:
        return round(abs(x - paper), 9)

    return _Test(
        meets=lambda x: off(x) <= CLOSE,
        near=lambda x: off(x) <= CLOSE,
        reaches=lambda low, high: low <= paper + WIDE and high >= paper - WIDE,
        contains=lambda low, high: low <= paper <= high,
        shown=lambda low, high: off(low) <= WIDE and off(high) <= WIDE,
        factor=lambda x: 0 if off(x) <= WIDE else math.inf,
    )


# effect: the larger the better reproduced. lowest: a percentage of weights, the smaller the better. point: likewise
# or a disagreement, the closer the better; error: likewise. value: an accuracy in percent or points, the closer the
# better.
KINDS: Mapping[str, Callable[[float, float], _Test]] = {
    "effect": _effect, "lowest": _lowest, "point": _point, "value": _value,
    "error": partial(_point, same=TENTH, off=TENTH),
}  # fmt: skip
