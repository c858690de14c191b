"""A paper's claim and its verdict, given our number."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from lth.analysis.claim.rows import NEAR, Measured, select

Measure = Callable[[pd.DataFrame], Measured | None]
# Points by which an accuracy may miss the paper's.
REPRODUCED, WITHIN = 0.5, 2.0


@dataclass(frozen=True)
class Claim:
    """text: what the paper says. paper: its number, in `unit`. measure: table -> our number. where: the rows that the
    claim is about, as in `select`.

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
        return select(table, self.where)

    def verdict(self, ours: Measured | None) -> str:
        """One of reproduced, within how much, not reproduced, not run that far, not run.

        An effect is reproduced if ours is at least the paper's, within the gap if it is at least half of it; an effect
        without a number (0) is reproduced if ours is positive. A lowest percentage likewise, the other way round. A
        value is reproduced within half a point, and "within" up to two; a point within a factor of 1.3, and "within"
        up to 2.
        """
        if ours is None:
            return "not run"
        gap, reproduced, within = _KINDS[self.kind](ours.mean, self.paper)
        if reproduced:
            return "reproduced"
        if ours.bound:
            return "not run that far"
        return f"within {gap:.2g} {self.unit}" if within else "not reproduced"


# (our number, the paper's) -> distance, reproduced, within.
Comparison = tuple[float, bool, bool]


def _effect(ours: float, paper: float) -> Comparison:
    return paper - ours, ours >= paper if paper else ours > 0, paper != 0 and ours / paper >= 0.5


def _lowest(ours: float, paper: float) -> Comparison:
    return ours - paper, ours <= 1.02 * paper, paper / ours >= 0.5


def _value(ours: float, paper: float) -> Comparison:
    gap = abs(ours - paper)
    return gap, gap <= REPRODUCED, gap <= WITHIN


def _point(ours: float, paper: float) -> Comparison:
    ratio = ours / paper
    return abs(ours - paper), max(ratio, 1 / ratio) <= NEAR, min(ratio, 1 / ratio) >= 0.5


_KINDS = {"effect": _effect, "lowest": _lowest, "value": _value, "point": _point}
