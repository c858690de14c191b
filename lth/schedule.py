"""level -> the density of each kind of weight, and which level is scored for which: the ladder of a pruning run.

Frankle & Carbin 2019, Section 2: a rate p is the share of the *remaining* weights that one round prunes, so that
level n keeps (1 - p)^n. Imports no torch, so that a wrong rate is found before anything heavy is loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Ladder:
    """rate: kind -> share of the remaining weights pruned per level. children: level scored -> levels pruned to."""

    rate: Mapping[str, float]
    children: Mapping[int, tuple[int, ...]]

    def density(self, level: int, kind: str) -> float:
        """Density of a `kind` of weight at `level`, in (0, 1]."""
        return float((1 - self.rate[kind]) ** level)


def iterative(
    levels: int | Sequence[int],
    *,
    conv: float = 0.1,
    linear: float = 0.2,
    output: float = 0.1,
    shortcut: float = 0.0,
) -> Ladder:
    """Each level is pruned from the level before it; levels [0, 2, 4] climb two rungs at a time."""
    rates = _rates(conv=conv, linear=linear, output=output, shortcut=shortcut)
    return Ladder(rates, {a: (b,) for a, b in pairwise(rungs(levels))})


def one_shot(
    levels: int | Sequence[int],
    *,
    conv: float = 0.1,
    linear: float = 0.2,
    output: float = 0.1,
    shortcut: float = 0.0,
) -> Ladder:
    """Every level is pruned in one go from the dense net, to the density that iterative pruning has there."""
    rates = _rates(conv=conv, linear=linear, output=output, shortcut=shortcut)
    return Ladder(rates, {0: tuple(rungs(levels)[1:])})


def rungs(levels: int | Sequence[int]) -> list[int]:
    """The levels of a run, dense level 0 always among them: 3 -> [0, 1, 2, 3]; [3, 7] -> [0, 3, 7]."""
    chosen = range(levels + 1) if isinstance(levels, int) else levels
    if not len(chosen) or min(chosen) < 0:
        raise ValueError(
            f"levels={levels}: nothing to train. Give the number of prunings (levels=3; 0 is dense only) "
            "or the levels themselves (levels=[0,3,7])"
        )
    return sorted({0, *chosen})


def _rates(**rates: float) -> dict[str, float]:
    for kind, rate in rates.items():
        if not 0 <= rate < 1:
            raise ValueError(
                f"density.{kind}={rate}: a pruning rate is the share of the remaining weights that one level prunes, "
                "from 0 (this kind is left alone) to below 1; 0.2 prunes 20%"
            )
    return rates
