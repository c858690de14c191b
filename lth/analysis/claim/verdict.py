"""The rule of verdicts: a paper's number, ours and its 95% interval -> one of a few sentences.

`RULE` says it for readers; `lth scorecard` prints it above its table.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from lth.analysis.claim.rows import SAME, Measured

# A factor of the paper's number, points of an accuracy, a level of pruning, and a tenth of an error.
FACTOR, CLOSE, WIDE, NEXT, TENTH = 2.0, 0.5, 2.0, 1.3, 1.1
REDUCED = "reduced: "
NOT_COMPARED, NOT_RUN = "not compared", "not run"

RULE = """\
A verdict needs an interval. "±" is the sample deviation over n replicates; the 95% interval is that of their mean
(Student's t, for values that are not all equal; of the lowest percentage of weights the bootstrap over replicates, from
n = 4 on). Ratios, such as of early-stop steps, have the geometric mean, with the deviation and the interval of their
logarithms. Differences are taken within a replicate, before the mean. A best or worst level is chosen on the same
replicates, of a best mask (Zhou et al. 2019) for each; the interval does not correct for that choice. "Down to" is the
lowest percentage whose mean is as good, whatever lies between, so that chance makes it low where many levels are about
as good. An early stop at the last step counts as that step, although it may be later. Configurations whose levels
differ are compared at a level of one of them, the other on the line through two of its levels; where neither has such a
line, the nearest levels are compared, which are at most 1.3 times apart.

Nothing corrects for the number of claims, nor for replicates that were added because a claim was not settled: more than
2.5% of the orders that do not exist are found "reproduced".

- reproduced: the interval contains the paper's number or lies beyond it, and none of it is off by more than a factor of
  2, counted from no effect (0, or 1 for a ratio). For a claim without a number ("more than 0"), the whole interval
  lies above 0. An accuracy, or the difference of two that are said to be the same: the whole interval lies within 0.5
  points. A percentage of weights that is named as such, a disagreement of nets and a ratio of about 1: our number is
  within a factor of 1.3, which is one level of pruning, and all of its interval within a factor of 2. An error, of a
  net that makes few: the whole interval within a factor of 1.1.
- within a factor of f: our number is off by f, at most 2, and the interval shows an effect of that sign. An accuracy:
  within 2 points, with all of its interval. A percentage of weights that is named as such, a disagreement, a ratio of
  about 1 and an error: within a factor of 2, with all of its interval.
- not settled: the interval is too wide to say which of these it is.
- not reproduced: the interval excludes the paper's number, and ours is off by more than a factor of 2 (or 2 points).
  A larger effect than the paper's counts as its number, and so does a lower percentage than one that it says "down to"
  of; a percentage at which accuracy or early stop is back to the dense net's has to be close on either side.
- agrees, within a factor of f, differs, each with its n: the same comparison of a number that has no interval, such as
  one of a single replicate. It is never "reproduced".
- not run that far: as good as dense at the sparsest level that was trained, so that where this ends is not known.
- full: everything that the paper specifies is as it says. What it leaves open is our choice, as are all settings of an
  experiment that is in no paper (structure).
- reduced: fewer steps, smaller batches, fewer rounds or another way of pruning, another net or data than the paper's.
  What it says of the paper stands behind the word, and it is never "reproduced": "agrees" at most.
- not compared: rows that can't be, such as those of several configurations under one name; the log says why.
- not run: no result."""


Range = tuple[float, float]  # closed
UNPRUNED = math.nextafter(100, 0)  # the largest percentage of weights of a pruned net
NOTHING, ANY = (math.inf, math.inf), (-math.inf, math.inf)


@dataclass(frozen=True)
class _Margins:
    """Ranges of a claim. same: numbers that count as the paper's, and those beyond it where that counts. middle: our
    number, and near: all of the interval, lies there if it is reproduced. exact: as `same`, without what is rounded.
    shown: all of the interval lies there if there is an effect of that sign. factor: by which a number is off.
    """

    same: Range
    middle: Range
    near: Range
    exact: Range
    shown: Range
    factor: Callable[[float], float]


def verdict(kind: str, paper: float, ours: Measured | None, *, reduced: bool = False) -> str:
    """The verdict on a claim of one of KINDS. paper: its number; 0 of an effect: "more than none"."""
    if ours is None:
        return NOT_RUN
    margins = KINDS[kind](paper, ours.neutral)
    found = _alone(margins, ours) if ours.interval is None else _settled(margins, ours.mean, ours.interval)
    if ours.bound and not found.startswith(("reproduced", "agrees")):
        found = "not run that far"
    return REDUCED + _REDUCED.get(found, found) if reduced else found


# In reduced settings nothing is reproduced, and nothing is not reproduced.
_REDUCED = {"reproduced": "agrees", "not reproduced": "differs"}


def _settled(margins: _Margins, mean: float, interval: Range) -> str:
    if _overlap(interval, margins.same) and _within((mean, mean), margins.middle) and _within(interval, margins.near):
        return "reproduced"
    if (factor := margins.factor(mean)) <= FACTOR and _within(interval, margins.shown):
        return _off(factor)
    return "not settled" if _overlap(interval, margins.exact) or factor <= FACTOR else "not reproduced"


def _alone(margins: _Margins, ours: Measured) -> str:
    if _within((ours.mean, ours.mean), margins.same):
        return f"agrees (n = {ours.n})"
    factor = margins.factor(ours.mean)
    return f"{_off(factor) if factor <= FACTOR else 'differs'} (n = {ours.n})"


def _overlap(interval: Range, margin: Range) -> bool:
    return interval[0] <= margin[1] and interval[1] >= margin[0]


def _within(interval: Range, margin: Range) -> bool:
    return margin[0] <= interval[0] and interval[1] <= margin[1]


def _off(factor: float) -> str:
    """Such as "within a factor of 1.4", rounded up to 1.1 at least; 0 stands for an accuracy, which has a margin."""
    rounded = max(math.ceil(round(10 * factor, 6)), 11) / 10
    return f"within a factor of {rounded:g}" if factor else f"within {WIDE:g} points"


def _ratio(a: float, b: float) -> float:
    """The larger over the smaller; infinite unless both are above 0."""
    return max(a / b, b / a) if a > 0 and b > 0 else math.inf


def _share(paper: float) -> Callable[[float], float]:
    """The factor by which a percentage of weights is off; those of the dense net are off by any."""
    return lambda x: _ratio(x, paper) if x < 100 else math.inf


def _effect(paper: float, none: float) -> _Margins:
    more, beyond = (math.nextafter(none, math.inf), math.inf), (paper, math.inf)
    if paper == 0:
        return _Margins(more, ANY, more, more, NOTHING, lambda _: math.inf)
    half = (none + (paper - none) / FACTOR, math.inf)
    return _Margins(beyond, ANY, half, beyond, more, lambda x: _ratio(x - none, paper - none))


def _lowest(paper: float, _: float) -> _Margins:
    below = (-math.inf, SAME * paper)
    near, pruned = (-math.inf, min(FACTOR * paper, UNPRUNED)), (-math.inf, UNPRUNED)
    return _Margins(below, ANY, near, below, pruned, _share(paper))


def _point(paper: float, _: float, *, same: float = NEXT, off: float = FACTOR) -> _Margins:
    near, wide = ((paper / each, min(paper * each, UNPRUNED)) for each in (off, FACTOR))
    close = paper / same, paper * same
    return _Margins(close, close, near, (paper, paper), wide, _share(paper))


def _value(paper: float, _: float) -> _Margins:
    """Margins in points, to nine digits: an accuracy has no factor."""
    close, wide = ((paper - each - 5e-10, paper + each + 5e-10) for each in (CLOSE, WIDE))
    return _Margins(close, close, close, (paper, paper), wide, lambda x: 0 if _within((x, x), wide) else math.inf)


# effect: the larger the better reproduced. lowest: a percentage of weights, the smaller the better. point: likewise
# or a disagreement, the closer the better; error: likewise. value: an accuracy in percent or points, the closer the
# better.
KINDS: Mapping[str, Callable[[float, float], _Margins]] = {
    "effect": _effect, "lowest": _lowest, "point": _point, "value": _value,
    "error": partial(_point, same=TENTH, off=TENTH),
}  # fmt: skip
