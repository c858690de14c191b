"""Rows of a table -> the rows that are compared, and their mean over replicates."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
import pandas as pd

from lth import UserError
from lth.analysis.branches import several_settings
from lth.analysis.interval import Interval, mean_interval, ratio_interval
from lth.analysis.variants import variants

NEAR = 1.3  # factor within which a percentage is the one that was asked for
SAME = 1.02  # the digits of a printed percentage
Side = tuple[pd.DataFrame, float, str]  # rows of a configuration, a percentage, and a branch


@dataclass(frozen=True)
class Measured:
    """Our number: mean, sample deviation and n over replicates; `percent` of the weights it was measured at. `bound`:
    it might be lower if sparser tickets had been trained. interval: 95%, None where n is too small for one. neutral:
    the value of no effect, 1 for a ratio.
    """

    mean: float
    spread: float | None
    n: int
    percent: float | None = None
    bound: bool = False
    interval: Interval | None = None
    neutral: float = 0.0


def select(table: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    """The rows with these values in these columns: a value; None (missing, as in a column that is not there); True (see
    `is_on`); a predicate; or a tuple of them, of which one is enough.
    """
    if not where:
        return table
    absent = pd.Series(None, index=table.index, dtype="object")
    return table[np.logical_and.reduce([_matches(table.get(name, absent), wanted) for name, wanted in where.items()])]


def _matches(values: pd.Series, wanted: Any) -> pd.Series:
    if isinstance(wanted, tuple):
        return reduce(or_, (_matches(values, each) for each in wanted))
    if wanted is None:
        return values.isna()
    if wanted is True:
        return is_on(values)
    if callable(wanted):
        return values.notna() & values.map(wanted, na_action="ignore").eq(True)
    if isinstance(wanted, int | float) and not pd.api.types.is_numeric_dtype(values):
        return pd.to_numeric(values, errors="coerce") == wanted  # bits are text beside fp16
    return values == wanted


def is_on(values: pd.Series) -> pd.Series:
    """True where an option is on: there is a value, and it is neither 0, false nor "none"."""
    return values.notna() & ~values.isin([0, "none"])


def of_branch(rows: pd.DataFrame, branch: str) -> pd.DataFrame:
    """The rows of a branch, by its defaults if there are several settings of it. Raises UserError if they have several
    numbers of bits, which must not be averaged, or several settings and none of them the defaults.
    """
    part = _of_one_setting(rows[rows["branch"] == branch], branch)
    if "bits" in part and part["bits"].nunique() > 1:
        found = ", ".join(map(str, part["bits"].unique()))
        raise UserError(f"{branch} has several bits, {found}; name one in `where`")
    return part


def _of_one_setting(part: pd.DataFrame, branch: str) -> pd.DataFrame:
    several = several_settings(part)
    usual = part[~several | (part["branch_settings"].fillna("") == "")] if several.any() else part
    if several.any() and not usual.index.isin(part.index[several]).any():
        found = "; ".join(sorted(part["branch_settings"].unique()))
        raise UserError(f"{branch} has several settings, {found}; name one (branch_settings) in `where`")
    return usual


def near(rows: pd.DataFrame, percent: float, branch: str) -> pd.DataFrame:
    """The rows of the branch at the level nearest to `percent`, none if it is off by a factor of more than 1.3; of 100
    percent those of level 0.
    """
    part = of_branch(rows, branch)
    return part[part["level"] == 0] if percent == 100 else nearest(part[part["level"] > 0], percent)


def matched(ours: Side, theirs: Side, column: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of both sides, each near its percentage. Where their levels differ, one side is taken `along` its line to a
    level of the other, if there is such a line.
    """
    one, other = near(*ours), near(*theirs)
    if one.empty or other.empty:
        return one, other
    (rows, percent, branch), (their_rows, their_percent, their_branch) = ours, theirs
    at, their_at, ratio = 100 * one["density"].mean(), 100 * other["density"].mean(), percent / their_percent
    if is_same(at / their_at, ratio):
        return one, other
    if (moved := along(rows, their_at * ratio, branch, column)) is not None:
        return moved, other
    moved = along(their_rows, at / ratio, their_branch, column)
    return one, other if moved is None else moved


def along(rows: pd.DataFrame, percent: float, branch: str, column: str) -> pd.DataFrame | None:
    """A column at exactly `percent`, a row for each replicate: on the line through the nearest levels on both sides of
    it, over the logarithm of the percentage. None if there are no two, or they are more than 1.7 times apart.
    """
    part = of_branch(rows, branch)
    levels = 100 * part[part["level"] > 0].groupby("level")["density"].mean()
    below, above = levels[levels <= percent], levels[levels >= percent]
    if below.empty or above.empty or (low := below.max()) * NEAR**2 < (high := above.min()):
        return None
    share = math.log(percent / low) / math.log(high / low) if high > low else 0.0
    ends = (by_replicate(part[part["level"] == level], column) for level in (below.idxmax(), above.idxmin()))
    values = (1 - share) * next(ends) + share * next(ends)
    return values.dropna().rename(column).reset_index().assign(density=percent / 100)


def is_same(one: float, other: float) -> bool:
    """True of percentages, or ratios of them, that are the same in the digits of a printed one."""
    return other / SAME <= one <= other * SAME


def nearest(rows: pd.DataFrame, percent: float, most: float = NEAR) -> pd.DataFrame:
    """The rows of the level whose density is nearest to `percent` by ratio; none if it is off by more than `most`."""
    ratio = (100 * rows["density"] / percent).map(lambda r: max(r, 1 / r) if r > 0 else math.inf)
    close = ratio[ratio <= most]
    return rows.iloc[:0] if close.empty else rows[rows["level"] == rows["level"][close.idxmin()]]


def dense(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the unpruned net."""
    return rows[(rows["branch"] == "ticket") & (rows["level"] == 0)]


def by_replicate(rows: pd.DataFrame, column: str) -> pd.Series:
    """Mean over the draws of each replicate. Raises UserError if the rows have no such column, as of another task, or
    are of several configurations.
    """
    check_column(rows, column)
    if "config" in rows and rows["config"].nunique() > 1:
        found = " and ".join(sorted(set(variants(rows))))
        raise UserError(
            f"these results are of several configurations, not replicates of one: {found}; give the others a name of "
            "their own (name=...)"
        )
    return rows.groupby("replicate")[column].mean()


def in_both(ours: pd.DataFrame, theirs: pd.DataFrame, column: str) -> tuple[pd.Series, pd.Series] | None:
    """`by_replicate` of two tables, for the replicates that both have; None if there are none."""
    if ours.empty or theirs.empty:
        return None
    one, other = by_replicate(ours, column), by_replicate(theirs, column)
    both = one.index.intersection(other.index)
    return None if both.empty else (one[both], other[both])


def check_column(rows: pd.DataFrame, column: str) -> None:
    """Raise UserError if the rows have no such column."""
    if column not in rows:
        raise UserError(f"a claim is about {column}, and its experiment has no such column: name one of its own")


def measured(values: pd.Series, rows: pd.DataFrame, *, ratio: bool = False) -> Measured | None:
    """Mean, sample deviation and interval of a value for each replicate, at the mean density of the rows; None without
    values. ratio: they are ratios, all above 0, of which the mean is the geometric one, and the deviation that of the
    logarithms, times this mean.
    """
    values = values.dropna()
    if values.empty:
        return None
    logs = values.map(math.log) if ratio else values
    mean = math.exp(logs.mean()) if ratio else float(values.mean())
    spread = float(logs.std()) * (mean if ratio else 1) if len(values) > 1 else None
    interval = ratio_interval(values) if ratio else mean_interval(values)
    percent = float(100 * rows["density"].mean())
    return Measured(mean, spread, len(values), percent, interval=interval, neutral=float(ratio))
