"""Ladders of a pruning run: level -> share of the weights that remains, and which level is pruned to which.

Frankle & Carbin 2019, Section 2: a rate p is the share of the *remaining* weights that one round prunes, so that
level n keeps (1 - p)^n. Imports no PyTorch, so that a wrong rate is found before anything heavy is loaded.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise

from lth import UserError

KINDS = ("conv", "linear", "output", "shortcut")


@dataclass(frozen=True)
class Ladder:
    """Levels, and the densities that they ask for.

    children: level scored -> levels pruned to.
    density: (level, kind) -> share that remains, in (0, 1].
    rounds: how often weights are scored on the way from one level to the next, with no training between.
    """

    children: Mapping[int, tuple[int, ...]]
    density: Callable[[int, str], float]
    rounds: int = 1

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise UserError(f"schedule.rounds={self.rounds}: weights are scored at least once; give 1 or more")

    def between(self, before: int, level: int, kind: str) -> list[float]:
        """The share that remains after each round on the way from one level to another: the same share of what remains
        each time (Tanaka et al. 2020, Algorithm 1).
        """
        start, end = self.density(before, kind), self.density(level, kind)
        return [start ** (1 - n / self.rounds) * end ** (n / self.rounds) for n in range(1, self.rounds + 1)]

    @cached_property
    def parents(self) -> dict[int, int]:
        """Level -> the level that it is pruned from."""
        return {level: parent for parent, levels in self.children.items() for level in levels}

    def towards(self, levels: Iterable[int]) -> "Ladder":
        """The part of the ladder that leads to these levels."""
        parents, wanted = self.parents, {0}
        for level in levels:
            while level not in wanted:
                wanted.add(level)
                level = parents[level]
        kept = {parent: tuple(c for c in children if c in wanted) for parent, children in self.children.items()}
        return replace(self, children={parent: children for parent, children in kept.items() if children})


def iterative(
    levels: int | Sequence[int],
    *,
    conv: float = 0.1,
    linear: float = 0.2,
    output: float = 0.1,
    shortcut: float = 0.0,
) -> Ladder:
    """Prune each level from the level before it; levels [0, 2, 4] climb two rungs at a time."""
    return Ladder(_step_by_step(levels), _geometric(conv=conv, linear=linear, output=output, shortcut=shortcut))


def one_shot(
    levels: int | Sequence[int],
    *,
    conv: float = 0.1,
    linear: float = 0.2,
    output: float | None = 0.1,
    shortcut: float = 0.0,
    rounds: int = 1,
) -> Ladder:
    """Prune every level from the dense net, to the density that iterative pruning has there. output: with None the
    output layer loses half the share that hidden linear layers do (Frankle & Carbin 2019, Appendix G.4). rounds: how
    often weights are scored on the way, and a part of them removed, with no training between (100 in Tanaka et al.
    2020).
    """
    rates = _geometric(conv=conv, linear=linear, output=linear if output is None else output, shortcut=shortcut)
    density = partial(_half_of_output, rates) if output is None else rates
    return Ladder({0: tuple(rungs(levels)[1:])}, density, rounds)


def exponential(levels: int | Sequence[int], *, density: float = 0.05, rounds: int = 6) -> Ladder:
    """Prune step by step, level n of all kinds to density^(n / rounds): the same share of what remains each time
    (Tanaka et al. 2020, Algorithm 1).
    """
    _check_target(levels, density, rounds)
    return Ladder(_step_by_step(levels), lambda level, _: float(density ** (level / rounds)))


def cubic(levels: int | Sequence[int], *, density: float = 0.05, rounds: int = 6) -> Ladder:
    """Prune step by step, level n of all kinds to density + (1 - density)(1 - n / rounds)^3: much at first, little at
    the end (Zhu & Gupta 2017, Equation 1).
    """
    _check_target(levels, density, rounds)
    return Ladder(_step_by_step(levels), lambda level, _: cubic_share(level / rounds, density))


def cubic_share(progress: float, density: float) -> float:
    """Share that remains after `progress`, in [0, 1], of a cubic schedule that ends at `density`."""
    return float(density + (1 - density) * (1 - progress) ** 3)


def rungs(levels: int | Sequence[int]) -> list[int]:
    """The levels of a run, dense level 0 always among them: 3 -> [0, 1, 2, 3]; [3, 7] -> [0, 3, 7]."""
    given = range(levels + 1) if isinstance(levels, int) else levels
    if not len(given) or min(given) < 0:
        raise UserError(
            f"levels={levels}: nothing to train. Give the number of prunings (levels=3; 0 is dense only) "
            "or the levels themselves (levels=[0,3,7])"
        )
    return sorted({0, *given})


def _step_by_step(levels: int | Sequence[int]) -> dict[int, tuple[int, ...]]:
    return {a: (b,) for a, b in pairwise(rungs(levels))}


def _geometric(**rates: float) -> Callable[[int, str], float]:
    for kind, rate in rates.items():
        if not 0 <= rate < 1:
            raise UserError(
                f"schedule.{kind}={rate}: a pruning rate is the share of the remaining weights that one level prunes, "
                "from 0 (this kind is left alone) to below 1; 0.2 prunes 20%"
            )
    return partial(_remaining, rates)


def _remaining(rates: Mapping[str, float], level: int, kind: str) -> float:
    return float((1 - rates[kind]) ** level)


def _half_of_output(rates: Callable[[int, str], float], level: int, kind: str) -> float:
    share = rates(level, kind)
    return (1 + share) / 2 if kind == "output" else share


def _check_target(levels: int | Sequence[int], density: float, rounds: int) -> None:
    if not 0 < density <= 1:
        raise UserError(f"schedule.density={density}: the share that remains in the end, above 0 and at most 1")
    if rounds < 1:
        raise UserError(f"schedule.rounds={rounds}: the rounds that lead to the density, at least 1")
    if rungs(levels)[-1] > rounds:
        raise UserError(f"schedule.rounds={rounds}: levels={levels} goes beyond it; the schedule ends after `rounds`")
