"""Timing of several calls by interleaved rounds: medians, and the spread of the rounds."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import median, quantiles
from typing import TypeVar

Call = Callable[[], object]
Clock = Callable[[], float]
Key = TypeVar("Key", bound=Hashable)


def seconds(call: Call, times: int = 1, clock: Clock = time.perf_counter) -> float:
    """Seconds of `times` consecutive calls."""
    start = clock()
    for _ in range(times):
        call()
    return clock() - start


def in_turn(
    calls: Mapping[Key, Call], rounds: int, *, at_least: float = 0.0, clock: Clock = time.perf_counter
) -> dict[Key, float]:
    """Median seconds of each call over the rounds; see `rounds_in_turn`."""
    taken = rounds_in_turn(calls, rounds, at_least=at_least, clock=clock)
    return {key: median(each) for key, each in taken.items()}


def rounds_in_turn(
    calls: Mapping[Key, Call], rounds: int, *, at_least: float = 0.0, clock: Clock = time.perf_counter
) -> dict[Key, list[float]]:
    """Seconds of each call in each round, after one warm-up call. The order rotates every round, so that cache
    effects and the load of other processes average out.

    at_least: seconds of one measurement. A shorter call is repeated, after one warm-up call in every round.
    """
    times = {key: _times(call, at_least, clock) for key, call in calls.items()}
    taken: dict[Key, list[float]] = {key: [] for key in calls}
    for first in range(rounds):
        for key in _rotated([*calls], first):
            if at_least:
                calls[key]()
            taken[key].append(seconds(calls[key], times[key], clock) / times[key])
    return taken


def spread(taken: Sequence[float]) -> float:
    """The width of the middle half of two or more times, as a share of their median."""
    low, middle, high = quantiles(taken, n=4, method="inclusive")
    return (high - low) / middle


def _times(call: Call, at_least: float, clock: Clock) -> int:
    call()
    return max(1, round(at_least / max(seconds(call, clock=clock), 1e-9))) if at_least else 1


def _rotated(keys: list[Key], first: int) -> list[Key]:
    start = first % len(keys)
    return keys[start:] + keys[:start]
