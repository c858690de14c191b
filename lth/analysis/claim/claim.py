"""A paper's claim, and the rows that it is about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from lth.analysis.claim.measures import OVER_LEVELS
from lth.analysis.claim.rows import Measured, select
from lth.analysis.claim.verdict import verdict
from lth.keywords import unbound

Measure = Callable[[pd.DataFrame], Measured | None]


@dataclass(frozen=True)
class Claim:
    """A number or a direction that a paper claims.

    text: what the paper says.
    paper: its number, in `unit`.
    measure: table -> our number.
    where: the rows that the claim is about, as in `select`.
    source: of the claim, if it is another than SOURCE of its experiment (see `lth.analysis.scorecard`).
    net: of the paper, if it is another than ours, which is reduced then.
    kind: "effect" (the larger the better reproduced; 0: more than none), "lowest" (a percentage of weights, the
        smaller the better), "value" (an accuracy in percent, the closer the better), "point" (a percentage of weights,
        or a share such as a disagreement, likewise) or "error" (in percent, likewise).
    """

    text: str
    paper: float
    unit: str
    measure: Measure
    where: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "effect"
    source: str = ""
    net: str = ""

    @property
    def name(self) -> str:
        """The text, with the paper's net if that is another."""
        return f"{self.text} ({self.net})" if self.net else self.text

    def fewest(self, rows: pd.DataFrame) -> float:
        """The lowest share of weights that its branch reaches in these rows; 1 for a claim that is not about a range of
        levels, such as the best of them.
        """
        function, given = unbound(self.measure)
        if function not in OVER_LEVELS:
            return 1.0
        return min(rows.loc[rows["branch"] == given.get("branch", "ticket"), "density"], default=1.0)

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows that the claim is about."""
        return select(table, self.where)

    def verdict(self, ours: Measured | None, *, reduced: bool = False) -> str:
        """The verdict by the rule of `lth.analysis.claim.verdict`. reduced: ours was not measured in full settings."""
        return verdict(self.kind, self.paper, ours, reduced=reduced)
