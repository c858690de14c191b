"""Measures on a table of tickets, one row per trained ticket, as `lth.store.table.tickets` makes it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from lth.analysis.claim.rows import (
    Measured,
    by_replicate,
    check_column,
    dense,
    in_both,
    is_on,
    matched,
    measured,
    near,
    of_branch,
    select,
)
from lth.analysis.interval import bootstrap

EARLY, FINAL, STEP = "early_stop_test_accuracy", "final_test_accuracy", "early_stop_step"


def earlier(rows: pd.DataFrame, *, percent: float) -> Measured | None:
    """Percent of the dense net's early-stop step that a ticket saves, with the interval of the ratio. An early stop
    at step 0 has no such number.
    """
    kept = _paired(rows, percent, lambda ticket, dense: _positive(ticket) / _positive(dense), STEP, ratio=True)
    if kept is None:
        return None
    spread = None if kept.spread is None else 100 * kept.spread
    interval = None if kept.interval is None else (100 * (1 - kept.interval[1]), 100 * (1 - kept.interval[0]))
    return replace(kept, mean=100 * (1 - kept.mean), spread=spread, interval=interval, neutral=0)


def faster(rows: pd.DataFrame, *, percent: float, than: str = "dense") -> Measured | None:
    """Early-stop step of the dense net, or of the control `than` at the same level, over the ticket's. A ticket whose
    early stop is step 0 has no such number.
    """
    return _paired(rows, percent, lambda ticket, other: _positive(other) / _positive(ticket), STEP, than, ratio=True)


def gain(
    rows: pd.DataFrame,
    *,
    percent: float,
    column: str = EARLY,
    than: str = "dense",
    of: str = "ticket",
    slack: float = 0.0,
) -> Measured | None:
    """Accuracy of the ticket, or of another branch, above that of the dense net, or of a control at the same level, in
    percentage points, and `slack` more: above 0 if no more than that is lost.
    """
    return _paired(rows, percent, lambda ours, other: 100 * (ours - other) + slack, column, than, of)


def added(rows: pd.DataFrame, *, option: str, column: str = EARLY) -> Measured | None:
    """Accuracy of the dense net with an option, such as model.dropout, above that of the dense net without it, in
    percentage points.
    """
    if rows.empty or option not in rows:
        return None
    given = is_on(rows[option])
    with_option = dense(rows[given])
    pair = in_both(with_option, dense(rows[~given]), column)
    return pair and measured(100 * (pair[0] - pair[1]), with_option)


def between(
    rows: pd.DataFrame,
    *,
    percent: float,
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    column: str = EARLY,
    their_percent: float | None = None,
) -> Measured | None:
    """Accuracy of one configuration above that of another, at the same percentage of weights unless theirs is another,
    in points; of column STEP their early-stop step over ours, as in `faster`. ours, theirs: their rows, as in `select`;
    of branch "ticket" unless they name another. Levels that differ are `matched`.
    """
    there = their_percent or percent
    mine = select(rows, ours), percent, ours.get("branch", "ticket")
    one, other = matched(mine, (select(rows, theirs), there, theirs.get("branch", "ticket")), column)
    pair, pruned = in_both(one, other, column), other if there < percent else one
    if column == STEP:
        return pair and measured(_positive(pair[1]) / _positive(pair[0]), pruned, ratio=True)
    return pair and measured(100 * (pair[0] - pair[1]), pruned)


def best_gain(rows: pd.DataFrame, *, column: str = EARLY) -> Measured | None:
    """`gain` at the level at which the tickets' mean accuracy is highest."""
    tickets = rows[(rows["branch"] == "ticket") & (rows["level"] > 0)]
    if tickets.empty:
        return None
    check_column(tickets, column)
    means = tickets.groupby("level")[column].mean()
    best = tickets[tickets["level"] == means.idxmax()]
    return gain(rows, percent=float(100 * best["density"].mean()), column=column)


def lowest(
    rows: pd.DataFrame, *, branch: str = "ticket", column: str = EARLY, slack: float = 0.0, over: str = "accuracy"
) -> Measured | None:
    """The lowest percentage of weights at which the mean is as good as the dense net's, of levels that most replicates
    have: accuracy no more than `slack` percentage points below, or (over="step") an early stop no later.
    """
    wanted = STEP if over == "step" else column
    levels, theirs = of_branch(rows, branch), by_replicate(dense(rows), wanted)
    levels = levels[(levels["level"] > 0) & levels["replicate"].isin(theirs.index)]
    if levels.empty:
        return None
    most = levels["replicate"].nunique() / 2
    parts = [part for _, part in levels.groupby("level") if part["replicate"].nunique() > most]
    percents = np.array([100 * part["density"].mean() for part in parts])
    # A row for each replicate that has them all, a column for each level: how much worse than dense.
    worse = pd.DataFrame({i: by_replicate(part, wanted) - theirs for i, part in enumerate(parts)}).dropna()
    if worse.empty:
        return None
    worse, allowed = (worse, 0.0) if over == "step" else (-100 * worse, slack)

    def down_to(counts: Sequence[int]) -> float:
        """The lowest percentage on average over replicates of which each counts so often."""
        return float(percents[np.average(worse, axis=0, weights=counts).round(9) <= allowed].min(initial=100))

    percent, interval = down_to([1] * len(worse)), bootstrap(len(worse), down_to)
    return Measured(percent, None, len(worse), percent, bound=percent <= percents.min(), interval=interval)


def value(rows: pd.DataFrame, *, percent: float, column: str, branch: str = "ticket") -> Measured | None:
    """An accuracy in percent."""
    part = near(rows, percent, branch)
    return None if part.empty else measured(100 * by_replicate(part, column), part)


def highest(rows: pd.DataFrame, *, branch: str, column: str) -> Measured | None:
    """The accuracy in percent of each replicate's best pruned level of a branch."""
    part = of_branch(rows, branch)
    if (part := part[part["level"] > 0]).empty:
        return None
    levels = pd.DataFrame({level: by_replicate(at, column) for level, at in part.groupby("level")}).dropna(how="all")
    at_best = part[part["level"] == part["replicate"].map(levels.idxmax(axis=1))]
    return measured(100 * levels.max(axis=1), at_best)


def margin(
    rows: pd.DataFrame, *, limit: float, percent: float, column: str, branch: str = "ticket", above: bool = False
) -> Measured | None:
    """Points by which a share, in percent, is below a limit, or above it."""
    part = near(rows, percent, branch)
    if part.empty:
        return None
    points = 100 * by_replicate(part, column) - limit
    return measured(points if above else -points, part)


def worst(rows: pd.DataFrame, *, column: str, down_to: float, branch: str = "ticket") -> Measured | None:
    """The lowest mean accuracy, in percent, of the pruned levels with at least `down_to` percent of the weights."""
    part = of_branch(rows, branch)
    if (part := part[(100 * part["density"] >= down_to) & (part["level"] > 0)]).empty:
        return None
    check_column(part, column)
    part = part[part["level"] == part.groupby("level")[column].mean().idxmin()]
    return measured(100 * by_replicate(part, column), part)


OVER_LEVELS = frozenset({best_gain, highest, lowest, worst})


def _paired(
    rows: pd.DataFrame,
    percent: float,
    compare: Callable[..., Any],
    column: str,
    than: str = "dense",
    of: str = "ticket",
    *,
    ratio: bool = False,
) -> Measured | None:
    """`compare` within each replicate, so that what replicates share cancels out."""
    tickets = near(rows, percent, of)
    others = dense(rows) if than == "dense" else near(rows, percent, than)
    pair = in_both(tickets, others, column)
    return pair and measured(compare(*pair), tickets, ratio=ratio)


def _positive(steps: pd.Series) -> pd.Series:
    """Steps that can be divided; NaN in the place of 0."""
    return steps.where(steps > 0)
