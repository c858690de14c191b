"""Learning-rate schedules: step -> factor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import many

from lth import lr


def test_a_constant_rate_is_1_at_every_step() -> None:
    assert [lr.constant(step) for step in (0, 1, 50_000)] == [1.0, 1.0, 1.0]


def test_warm_up_climbs_linearly_from_0_and_stays_at_1() -> None:
    assert [lr.constant(step, warmup=4) for step in range(6)] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


def test_the_rate_drops_at_the_named_step_and_not_one_before_or_after() -> None:
    factors = [lr.drop(step, at=[3, 5]) for step in range(7)]
    assert factors == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_drops_come_on_top_of_the_warm_up() -> None:
    factors = [lr.drop(step, at=[2], factor=0.5, warmup=4) for step in range(6)]
    assert factors == [0.0, 0.25, 0.25, 0.375, 0.5, 0.5]


@many
@given(st.integers(0, 100), st.integers(0, 100))
def test_a_drop_that_never_comes_is_a_constant_rate(step: int, warmup: int) -> None:
    assert lr.drop(step, at=[], warmup=warmup) == lr.constant(step, warmup=warmup)


@many
@given(st.integers(0, 100), st.lists(st.integers(0, 100)))
def test_the_order_in_which_drops_are_written_does_not_matter(step: int, at: list[int]) -> None:
    assert lr.drop(step, at=at) == lr.drop(step, at=sorted(at))
