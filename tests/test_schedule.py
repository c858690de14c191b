"""Schedules: level -> density."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import many

from lth import UserError
from lth.schedule import Ladder, cubic, exponential, iterative, one_shot, rungs

LENET = {"linear": 784 * 300 + 300 * 100, "output": 1000}
CONV_2 = {"conv": 27 * 64 + 576 * 64, "linear": 16384 * 256 + 256 * 256, "output": 2560}
CONV_4 = {"conv": 27 * 64 + 576 * 64 + 576 * 128 + 1152 * 128, "linear": 8192 * 256 + 256 * 256, "output": 2560}
CONV_6 = {"conv": 1_144_512, "linear": 4096 * 256 + 256 * 256, "output": 2560}
RESNET_20 = {"conv": 267_696, "shortcut": 2560, "output": 640}
VGG_19 = {"conv": 20_018_880, "output": 5120}


@pytest.mark.parametrize(
    ("sizes", "rates", "printed"),
    [
        (LENET, {}, {3: 51.28, 7: 21.07, 9: 13.52, 15: 3.58, 16: 2.87, 18: 1.85}),
        (CONV_2, {}, {11: 8.81, 14: 4.57}),
        (CONV_4, {}, {11: 11.06, 12: 9.18, 15: 5.37}),
        (RESNET_20, {"conv": 0.2, "linear": 0.0, "output": 0.0}, {4: 41.66, 6: 27.09, 7: 21.91, 10: 11.79}),
        (VGG_19, {"conv": 0.2, "linear": 0.0, "output": 0.0}, {12: 6.90, 15: 3.54, 19: 1.47}),
    ],
)
def test_the_ladder_gives_the_percentages_that_frankle_and_carbin_2019_print(
    sizes: dict[str, int], rates: dict[str, float], printed: dict[int, float]
) -> None:
    ladder = iterative(20, **rates)
    for level, percent in printed.items():
        kept = sum(round(ladder.density(level, kind) * size) for kind, size in sizes.items())
        assert round(100 * kept / sum(sizes.values()), 2) == percent


def test_level_0_is_dense_and_each_level_keeps_one_minus_the_rate_of_the_one_before() -> None:
    ladder = iterative(2, conv=0.1, linear=0.2, output=0.5)
    assert [ladder.density(0, kind) for kind in ("conv", "linear", "output")] == [1.0, 1.0, 1.0]
    assert [ladder.density(2, kind) for kind in ("conv", "linear", "output")] == pytest.approx([0.81, 0.64, 0.25])


def test_the_usual_rates_are_those_of_figure_2_with_the_output_layer_at_half_the_rate() -> None:
    usual = {"conv": 0.1, "linear": 0.2, "output": 0.1, "shortcut": 0.0}
    for ladder in (iterative(1), one_shot(1)):
        assert {kind: 1 - ladder.density(1, kind) for kind in usual} == pytest.approx(usual)


def test_the_described_conv_6_keeps_more_than_the_labels_of_the_paper_say() -> None:
    # the paper prints 26.4 and 15.1, for a net of 1.7M weights that its own description does not give (see test_model)
    ladder = iterative(10, conv=0.15)
    kept = {n: sum(round(ladder.density(n, kind) * size) for kind, size in CONV_6.items()) for n in (7, 10)}
    assert {n: round(100 * count / 2_261_184, 2) for n, count in kept.items()} == {7: 26.61, 10: 15.29}


def test_shortcuts_are_left_alone_unless_a_rate_is_given() -> None:
    assert iterative(9).density(9, "shortcut") == 1.0
    assert one_shot(2, shortcut=0.5).density(2, "shortcut") == 0.25


def test_iterative_pruning_makes_each_level_from_the_one_before_it() -> None:
    assert iterative(3).children == {0: (1,), 1: (2,), 2: (3,)}
    assert iterative([0, 2, 4]).children == {0: (2,), 2: (4,)}


def test_one_shot_pruning_makes_every_level_from_the_dense_net() -> None:
    assert one_shot(3).children == {0: (1, 2, 3)}
    assert one_shot([3, 7]).children == {0: (3, 7)}


def test_in_one_go_the_output_layer_loses_half_the_share_of_the_others_if_it_has_no_rate() -> None:
    # Frankle & Carbin 2019, Appendix G.4: k% of each layer, k/2% of the output layer
    ladder = one_shot([1, 2], linear=0.5, output=None, conv=0.1)
    assert [ladder.density(2, kind) for kind in ("linear", "output")] == [0.25, 0.625]
    assert [ladder.density(1, kind) for kind in ("linear", "output", "conv")] == [0.5, 0.75, 0.9]
    assert ladder.density(0, "output") == 1.0
    once = one_shot(1, linear=0.95, output=None)  # 5.17% of LeNet, which Section 2 prints
    kept = {kind: round(once.density(1, kind) * size) for kind, size in LENET.items()}
    assert kept == {"linear": 13_260, "output": 525}
    assert sum(kept.values()) / 266_200 == pytest.approx(0.0517, abs=1e-4)
    with pytest.raises(UserError, match=r"schedule\.linear=1\.5"):
        one_shot(1, linear=1.5, output=None)


def test_an_exponential_schedule_keeps_the_same_share_of_what_remains_at_each_level() -> None:
    ladder = exponential(3, density=0.125, rounds=3)
    assert [ladder.density(level, "conv") for level in range(4)] == pytest.approx([1, 0.5, 0.25, 0.125])
    assert ladder.density(2, "output") == pytest.approx(0.25)
    assert dict(ladder.children) == {0: (1,), 1: (2,), 2: (3,)}


def test_a_cubic_schedule_prunes_much_at_first_and_little_at_the_end() -> None:
    ladder = cubic(2, density=0.2, rounds=2)
    assert [ladder.density(level, "linear") for level in range(3)] == pytest.approx([1, 0.2 + 0.8 / 8, 0.2])


@pytest.mark.parametrize("schedule", [exponential, cubic])
def test_a_schedule_towards_a_density_refuses_none_and_levels_beyond_its_end(schedule: Callable[..., Ladder]) -> None:
    with pytest.raises(UserError, match=r"schedule\.density=0: "):
        schedule(2, density=0, rounds=2)
    with pytest.raises(UserError, match=r"schedule\.rounds=2: levels=3 goes beyond it"):
        schedule(3, density=0.5, rounds=2)


def test_zero_levels_are_the_dense_net_alone() -> None:
    assert rungs(0) == [0]
    assert iterative(0).children == {}
    assert one_shot(0).children.get(0, ()) == ()


def test_the_dense_level_is_always_there_and_levels_are_sorted_and_counted_once() -> None:
    assert rungs([7, 3, 3]) == [0, 3, 7]
    assert rungs(3) == [0, 1, 2, 3]


@pytest.mark.parametrize("levels", [-1, [], [-2, 3]])
def test_invalid_levels_are_an_error_that_says_what_to_give(levels: int | list[int]) -> None:
    with pytest.raises(ValueError, match=r"levels=.*levels=\[0,3,7\]"):
        rungs(levels)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 20.0])
def test_a_rate_outside_0_to_1_is_an_error_that_names_its_key(rate: float) -> None:
    with pytest.raises(ValueError, match=f"schedule.linear={rate}"):
        iterative(3, linear=rate)
    with pytest.raises(ValueError, match=f"schedule.output={rate}"):
        one_shot(3, output=rate)
    with pytest.raises(ValueError, match=f"schedule.shortcut={rate}"):
        iterative(3, shortcut=rate)


@many
@given(st.floats(0, 0.99, allow_subnormal=False), st.integers(0, 30))
def test_density_falls_with_every_level_and_the_two_schedules_agree(rate: float, level: int) -> None:
    ladder = iterative(31, linear=rate)
    assert 0 < ladder.density(level + 1, "linear") <= ladder.density(level, "linear") <= 1
    assert ladder.density(level, "linear") == one_shot(31, linear=rate).density(level, "linear")
