"""The timer that compares calls."""

from collections.abc import Callable, Iterator

import pytest

from lth.engine.timing import in_turn, rounds_in_turn, seconds, spread


class Clock:
    """A clock that advances only through calls."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def call(self, durations: Iterator[float], log: list[str], name: str) -> Callable[[], None]:
        def spend() -> None:
            log.append(name)
            self.now += next(durations)

        return spend


def test_seconds_are_the_total_of_all_calls() -> None:
    clock = Clock()
    assert seconds(clock.call(iter([1.0, 2.0, 4.0]), [], "a"), 3, clock) == 7


def test_the_median_of_the_rounds_counts_and_the_first_call_does_not() -> None:
    clock = Clock()
    calls = {
        "a": clock.call(iter([100.0, 1.0, 9.0, 2.0]), [], "a"),
        "b": clock.call(iter([0.0, 5.0, 6.0, 7.0]), [], "b"),
    }
    assert in_turn(calls, 3, clock=clock) == {"a": 2, "b": 6}


def test_calls_are_interleaved_and_the_order_rotates() -> None:
    clock, log = Clock(), list[str]()
    in_turn({name: clock.call(iter([1.0] * 9), log, name) for name in "abc"}, 4, clock=clock)
    assert "".join(log) == "abc" + "abc" + "bca" + "cab" + "abc"


def test_a_call_shorter_than_a_measurement_is_repeated_after_one_that_is_not_timed() -> None:
    clock, log = Clock(), list[str]()
    # One call that is not timed, one that tells how often to repeat (8 / 2), then in each round one not timed and four.
    durations = iter([50.0, 2.0, 70.0, 2.0, 2.0, 2.0, 6.0, 70.0, 2.0, 2.0, 2.0, 2.0])
    assert in_turn({"a": clock.call(durations, log, "a")}, 2, at_least=8.0, clock=clock) == {"a": (3 + 2) / 2}
    assert len(log) == 12


def test_the_rounds_of_a_call_are_kept_and_their_spread_is_the_middle_half_over_the_median() -> None:
    clock = Clock()
    calls = {"a": clock.call(iter([100.0, 4.0, 1.0, 3.0, 9.0, 5.0]), [], "a")}
    assert rounds_in_turn(calls, 5, clock=clock) == {"a": [4, 1, 3, 9, 5]}
    assert spread([4, 1, 3, 9, 5]) == pytest.approx((5 - 3) / 4)
    assert spread([2.0, 2.0, 2.0]) == 0
