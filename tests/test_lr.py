"""Learning-rate schedules: step -> factor."""

import re
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import many
from torch.optim import lr_scheduler as schedulers
from torch.optim.lr_scheduler import LRScheduler

from lth import UserError, lr


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


def test_half_a_cosine_falls_to_its_end_and_stays() -> None:
    assert [lr.cosine(step, steps=4) for step in range(6)] == pytest.approx([1, 0.8535534, 0.5, 0.1464466, 0, 0])
    assert [lr.cosine(step, steps=2, end=0.1) for step in range(4)] == pytest.approx([1, 0.55, 0.1, 0.1])


def test_a_line_falls_to_its_end_and_stays() -> None:
    assert [lr.linear(step, steps=4) for step in range(6)] == pytest.approx([1, 0.75, 0.5, 0.25, 0, 0])
    assert [lr.linear(step, steps=2, end=0.5) for step in range(4)] == pytest.approx([1, 0.75, 0.5, 0.5])


def test_exponential_decay_divides_by_the_same_number_in_every_step() -> None:
    assert [lr.exponential(step, steps=2) for step in range(4)] == pytest.approx([1, 0.1, 0.01, 0.01])
    assert [lr.exponential(step, steps=3, end=0.125) for step in range(4)] == pytest.approx([1, 0.5, 0.25, 0.125])


def test_one_cycle_rises_to_1_and_falls_to_its_end() -> None:
    factors = [lr.one_cycle(step, steps=6, rise=1 / 3, start=0.2, end=0.0) for step in range(8)]
    assert factors == pytest.approx([0.2, 0.6, 1, 0.8535534, 0.5, 0.1464466, 0, 0])


def test_what_follows_a_warm_up_begins_at_1_when_it_ends() -> None:
    assert [lr.linear(step, steps=6, warmup=2) for step in range(7)] == pytest.approx([0, 0.5, 1, 0.75, 0.5, 0.25, 0])
    assert [lr.cosine(step, steps=4, warmup=2) for step in range(5)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert [lr.exponential(step, steps=4, warmup=2) for step in range(5)] == pytest.approx([0, 0.5, 1, 0.1, 0.01])


PYTORCH: list[tuple[Callable[[int], float], Callable[..., LRScheduler]]] = [
    (partial(lr.cosine, steps=20, end=0.2), partial(schedulers.CosineAnnealingLR, T_max=20, eta_min=0.2)),
    (
        partial(lr.linear, steps=20, end=0.2),
        partial(schedulers.LinearLR, start_factor=1, end_factor=0.2, total_iters=20),
    ),
    (partial(lr.exponential, steps=20, end=0.2), partial(schedulers.ExponentialLR, gamma=0.2 ** (1 / 20))),
    # PyTorch's cycle turns at pct_start * total_steps - 1 and ends at total_steps - 1.
    (
        partial(lr.one_cycle, steps=20, rise=0.3),
        partial(schedulers.OneCycleLR, max_lr=1, total_steps=21, pct_start=7 / 21),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), PYTORCH)
def test_schedules_are_those_of_pytorch(ours: Callable[[int], float], theirs: Callable[..., LRScheduler]) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
    schedule, rates = theirs(optimizer), list[float]()
    for _ in range(21):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if len(rates) < 21:
            schedule.step()
    assert [ours(step) for step in range(21)] == pytest.approx(rates)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (partial(lr.cosine, 0, steps=5, warmup=5), "lr.warmup=5: must be below lr.steps=5"),
        (partial(lr.linear, 0, steps=5, warmup=9), "lr.warmup=9: must be below lr.steps=5"),
        (partial(lr.exponential, 0, steps=5, end=0), "lr.end=0: an exponential decay never reaches 0"),
        (partial(lr.one_cycle, 0, steps=5, rise=1), "lr.rise=1: the share of the steps"),
        (partial(lr.one_cycle, 0, steps=5, rise=0.0), "lr.rise=0.0: the share of the steps"),
    ],
)
def test_schedules_that_can_not_be_are_refused(call: Callable[[], float], sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        call()
