"""Our numbers: measures of a table of tickets, one row per trained ticket, as `lth.store.table.tickets` has them."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from lth.analysis.claim.claim import NEAR, Measured, chosen

EARLY, FINAL = "early_stop_test_accuracy", "final_test_accuracy"


def earlier(rows: pd.DataFrame, *, percent: float) -> Measured | None:
    """By how many percent the ticket's early stop is before the dense net's."""
    return _paired(rows, percent, lambda ticket, dense: 100 * (1 - ticket / dense), "early_stop_step")


def faster(rows: pd.DataFrame, *, percent: float, than: str = "dense") -> Measured | None:
    """How many times earlier the ticket stops than the dense net, or than the control `than` at the same level. One
    that never got better than at step 0 has no such number.
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
    given, dense = rows[option].notna(), _dense(rows)
    with_it = _near(rows[given], percent, "ticket")
    ours, theirs = _by_replicate(with_it, column), _by_replicate(dense[dense[option].isna()], column)
    both = ours.index.intersection(theirs.index)
    return None if both.empty else _measured(100 * (ours[both] - theirs[both]), with_it)


def between(
    rows: pd.DataFrame, *, percent: float, ours: Mapping[str, Any], theirs: Mapping[str, Any], column: str = EARLY
) -> Measured | None:
    """Accuracy of one configuration above that of another at about the same percentage of weights, in points.
    ours, theirs: their rows, as of `chosen`; of the branch "ticket" unless they name another.
    """
    near = [_near(chosen(rows, which), percent, which.get("branch", "ticket")) for which in (ours, theirs)]
    one, other = (_by_replicate(part, column) for part in near)
    both = one.index.intersection(other.index)
    return None if both.empty else _measured(100 * (one[both] - other[both]), near[0])


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
    levels = rows[(rows["branch"] == branch) & (rows["level"] > 0)]
    dense = _by_replicate(_dense(rows), wanted)
    if levels.empty or dense.empty:
        return None
    good = []
    for _, part in levels.groupby("level"):
        ours = _by_replicate(part, wanted)
        both = ours.index.intersection(dense.index)
        difference = (ours[both] - dense[both]).mean()
        if difference <= 0 if over == "step" else round(100 * difference, 9) >= -slack:
            good.append((float(100 * part["density"].mean()), len(both)))
    percent, n = min(good, default=(100.0, len(dense)))
    return Measured(percent, None, n, percent, bound=percent <= 100 * levels["density"].min())


def value(rows: pd.DataFrame, *, percent: float, column: str, branch: str = "ticket") -> Measured | None:
    """An accuracy in percent."""
    part = _near(rows, percent, branch)
    return None if part.empty else _measured(100 * _by_replicate(part, column), part)


def worst(rows: pd.DataFrame, *, column: str, down_to: float) -> Measured | None:
    """The lowest mean accuracy, in percent, of the tickets with at least `down_to` percent of the weights."""
    part = rows[(rows["branch"] == "ticket") & (100 * rows["density"] >= down_to) & (rows["level"] > 0)]
    if part.empty:
        return None
    level = part.groupby("level")[column].mean().idxmin()
    part = part[part["level"] == level]
    return _measured(100 * _by_replicate(part, column), part)


def _paired(
    rows: pd.DataFrame,
    percent: float,
    compare: Callable[..., Any],
    column: str,
    than: str = "dense",
    of: str = "ticket",
) -> Measured | None:
    """`compare` within each replicate, so that what replicates share cancels out."""
    tickets = _near(rows, percent, of)
    others = _dense(rows) if than == "dense" else _near(rows, percent, than)
    ours, theirs = _by_replicate(tickets, column), _by_replicate(others, column)
    both = ours.index.intersection(theirs.index)
    return None if both.empty else _measured(compare(ours[both], theirs[both]), tickets)


def _near(rows: pd.DataFrame, percent: float, branch: str) -> pd.DataFrame:
    """The rows of the level nearest to `percent`, if one is within a factor of 1.3."""
    if percent == 100:
        return rows[(rows["branch"] == branch) & (rows["level"] == 0)]
    part = rows[(rows["branch"] == branch) & (rows["level"] > 0)]
    ratio = (100 * part["density"] / percent).map(lambda r: max(r, 1 / r))
    close = ratio[ratio <= NEAR]
    return part.iloc[:0] if close.empty else part[part["level"] == part["level"][close.idxmin()]]


def _dense(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["branch"] == "ticket") & (rows["level"] == 0)]


def _by_replicate(rows: pd.DataFrame, column: str) -> pd.Series:
    """Mean over the draws of each replicate."""
    return rows.groupby("replicate")[column].mean()


def _measured(values: pd.Series, rows: pd.DataFrame) -> Measured | None:
    values = values.dropna()
    if values.empty:
        return None
    spread = float(values.std()) if len(values) > 1 else None
    return Measured(float(values.mean()), spread, len(values), float(100 * rows["density"].mean()))
