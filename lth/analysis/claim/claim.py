"""A paper's claim, measured on a table of tickets (`lth.store.table.tickets`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

NEAR = 1.3
VALUE_TOLERANCE = {"reproduced": 0.5, "within": 2.0}


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


def chosen(table: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    """The rows with these values in these columns: a value; None for no value; True for any; or a function of the value
    that says whether it is one.
    """
    for column, wanted in where.items():
        if column not in table:
            return table.iloc[:0]
        has = table[column].notna()
        if callable(wanted):
            table = table[has & table[column].map(wanted, na_action="ignore").eq(True)]
        else:
            table = table[~has if wanted is None else has if wanted is True else table[column] == wanted]
    return table


@dataclass(frozen=True)
class Claim:
    """text: what the paper says. paper: its number, in `unit`. measure: table -> our number. where: its rows, as of
    `chosen`.

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
        return chosen(table, self.where)

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
