"""What a paper claims, measured on a table of tickets: one row per trained ticket, as `lth.table.tickets` has them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

NEAR = 1.3
VALUE_TOLERANCE = {"reproduced": 0.5, "within": 2.0}
EARLY, FINAL = "early_stop_test_accuracy", "final_test_accuracy"


@dataclass(frozen=True)
class Measured:
    """Our number: mean, sample deviation and n over replicates; `percent` of the weights it was measured at. `bound`:
    it might be lower if sparser tickets had been trained.
    """

    mean: float
    spread: float | None
    n: int
    percent: float | None = None
    bound: bool = False


Measure = Callable[[pd.DataFrame], Measured | None]


@dataclass(frozen=True)
class Claim:
    """text: what the paper says. paper: its number, in `unit`. measure: table -> our number. where: its rows, by what
    is in some columns: a value; None for no value; True for any.

    kind: "effect" (the larger the better reproduced), "lowest" (a percentage of weights, the smaller the better),
    "value" (an accuracy in percent, the closer the better) or "point" (a percentage of weights, likewise).
    """

    text: str
    paper: float
    unit: str
    measure: Measure
    where: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "effect"

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows that the claim is about."""
        for column, wanted in self.where.items():
            if column not in table:
                return table.iloc[:0]
            has = table[column].notna()
            table = table[~has if wanted is None else has if wanted is True else table[column] == wanted]
        return table

    def verdict(self, ours: Measured | None) -> str:
        """Reproduced, within how much, not reproduced, or not run (that far).

        An effect is reproduced if ours is at least the paper's, within the gap if it is at least half of it; one that
        the paper only says is there, if ours is positive. A lowest percentage likewise, the other way round. A value is
        reproduced within half a point, and "within" up to two; a point within a factor of 1.3, and "within" up to 2.
        """
        if ours is None:
            return "not run"
        if self.kind == "value":
            gap = abs(ours.mean - self.paper)
            near = [name for name, bound in VALUE_TOLERANCE.items() if gap <= bound]
            share, reached = (1.0 if near else 0.0), "reproduced" in near
        elif self.kind == "point":
            gap, ratio = abs(ours.mean - self.paper), ours.mean / self.paper
            share, reached = min(ratio, 1 / ratio), max(ratio, 1 / ratio) <= NEAR
        elif self.kind == "lowest":
            gap, share, reached = ours.mean - self.paper, self.paper / ours.mean, ours.mean <= 1.02 * self.paper
        else:
            gap, reached = self.paper - ours.mean, ours.mean >= self.paper if self.paper else ours.mean > 0
            share = ours.mean / self.paper if self.paper else 0.0
        if reached:
            return "reproduced"
        if ours.bound:
            return "not run that far"
        return f"within {gap:.2g} {self.unit}" if share >= 0.5 else "not reproduced"


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
        return _dense(rows)
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
