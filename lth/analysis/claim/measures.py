"""Measures on a table of tickets, one row per trained ticket, as `lth.store.table.tickets` makes it."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from lth.analysis.claim.rows import Measured, by_replicate, dense, measured, near, of_branch, select

EARLY, FINAL = "early_stop_test_accuracy", "final_test_accuracy"


def earlier(rows: pd.DataFrame, *, percent: float) -> Measured | None:
    """Percent of the dense net's early-stop step that the ticket saves."""
    return _paired(rows, percent, lambda ticket, dense: 100 * (1 - ticket / dense), "early_stop_step")


def faster(rows: pd.DataFrame, *, percent: float, than: str = "dense") -> Measured | None:
    """Early-stop step of the dense net, or of the control `than` at the same level, over the ticket's. A ticket whose
    early stop is step 0 has no such number.
    """
    return _paired(rows, percent, lambda ticket, other: other / ticket.where(ticket > 0), "early_stop_step", than)


def gain(
    rows: pd.DataFrame, *, percent: float, column: str = EARLY, than: str = "dense", of: str = "ticket"
) -> Measured | None:
    """Accuracy of the ticket, or of another branch, above that of the dense net, or of a control at the same level, in
    percentage points.
    """
    return _paired(rows, percent, lambda ours, other: 100 * (ours - other), column, than, of)


def added(rows: pd.DataFrame, *, option: str, percent: float = 100, column: str = EARLY) -> Measured | None:
    """Accuracy of the dense net, or of the ticket with `percent` of the weights, with an option, such as model.dropout,
    above that of the dense net without it, in percentage points.
    """
    if rows.empty or option not in rows:
        return None
    given = rows[option].notna()
    with_option = near(rows[given], percent, "ticket")
    ours, theirs = by_replicate(with_option, column), by_replicate(dense(rows[~given]), column)
    both = ours.index.intersection(theirs.index)
    return None if both.empty else measured(100 * (ours[both] - theirs[both]), with_option)


def between(
    rows: pd.DataFrame, *, percent: float, ours: Mapping[str, Any], theirs: Mapping[str, Any], column: str = EARLY
) -> Measured | None:
    """Accuracy of one configuration above that of another at about the same percentage of weights, in points.
    ours, theirs: their rows, as in `select`; of branch "ticket" unless they name another.
    """
    parts = [near(select(rows, which), percent, which.get("branch", "ticket")) for which in (ours, theirs)]
    one, other = (by_replicate(part, column) for part in parts)
    both = one.index.intersection(other.index)
    return None if both.empty else measured(100 * (one[both] - other[both]), parts[0])


def best_gain(rows: pd.DataFrame, *, column: str = EARLY) -> Measured | None:
    """`gain` at the level at which the tickets' mean accuracy is highest."""
    tickets = rows[(rows["branch"] == "ticket") & (rows["level"] > 0)]
    if tickets.empty:
        return None
    means = tickets.groupby("level")[column].mean()
    best = tickets[tickets["level"] == means.idxmax()]
    return gain(rows, percent=float(100 * best["density"].mean()), column=column)


def lowest(
    rows: pd.DataFrame, *, branch: str = "ticket", column: str = EARLY, slack: float = 0.0, over: str = "accuracy"
) -> Measured | None:
    """The lowest percentage of weights at which the mean is as good as the dense net's, over all replicates that have
    both: accuracy no more than `slack` percentage points below, or (over="step") an early stop no later.
    """
    wanted = "early_stop_step" if over == "step" else column
    levels = of_branch(rows, branch)
    levels = levels[levels["level"] > 0]
    theirs = by_replicate(dense(rows), wanted)
    if levels.empty or theirs.empty:
        return None
    good = []
    for _, part in levels.groupby("level"):
        ours = by_replicate(part, wanted)
        both = ours.index.intersection(theirs.index)
        difference = (ours[both] - theirs[both]).mean()
        if difference <= 0 if over == "step" else round(100 * difference, 9) >= -slack:
            good.append((float(100 * part["density"].mean()), len(both)))
    percent, n = min(good, default=(100.0, len(theirs)))
    return Measured(percent, None, n, percent, bound=percent <= 100 * levels["density"].min())


def value(rows: pd.DataFrame, *, percent: float, column: str, branch: str = "ticket") -> Measured | None:
    """An accuracy in percent."""
    part = near(rows, percent, branch)
    return None if part.empty else measured(100 * by_replicate(part, column), part)


def worst(rows: pd.DataFrame, *, column: str, down_to: float) -> Measured | None:
    """The lowest mean accuracy, in percent, of the tickets with at least `down_to` percent of the weights."""
    part = rows[(rows["branch"] == "ticket") & (100 * rows["density"] >= down_to) & (rows["level"] > 0)]
    if part.empty:
        return None
    level = part.groupby("level")[column].mean().idxmin()
    part = part[part["level"] == level]
    return measured(100 * by_replicate(part, column), part)


def _paired(
    rows: pd.DataFrame,
    percent: float,
    compare: Callable[..., Any],
    column: str,
    than: str = "dense",
    of: str = "ticket",
) -> Measured | None:
    """`compare` within each replicate, so that what replicates share cancels out."""
    tickets = near(rows, percent, of)
    others = dense(rows) if than == "dense" else near(rows, percent, than)
    ours, theirs = by_replicate(tickets, column), by_replicate(others, column)
    both = ours.index.intersection(theirs.index)
    return None if both.empty else measured(compare(ours[both], theirs[both]), tickets)
