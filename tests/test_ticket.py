"""Tickets and masks: prunable weights, masking, counts."""

import dataclasses

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import DATA, conv_net, copied, many, same

from lth.ticket import Ticket, Trained, full_mask, highest, layers_kept, masked, remaining, total


def test_the_mask_of_level_0_keeps_every_weight_and_covers_no_bias_or_normalization() -> None:
    mask = full_mask(conv_net(DATA.shape, DATA.classes))
    assert {name: tuple(m.shape) for name, m in mask.items()} == {"0.weight": (3, 1, 3, 3), "4.weight": (3, 48)}
    assert all(m.dtype == torch.bool and m.all() for m in mask.values())


def test_masking_zeroes_pruned_weights_and_leaves_what_has_no_mask() -> None:
    weights = {"weight": torch.tensor([1.0, -2.0, 3.0]), "bias": torch.tensor([4.0])}
    shown = masked(weights, {"weight": torch.tensor([True, False, True])})
    assert shown["weight"].tolist() == [1.0, 0.0, 3.0]
    assert shown["bias"].tolist() == [4.0]


def test_a_pruned_weight_is_plus_zero_even_if_it_was_negative_infinite_or_not_a_number() -> None:
    weights = {"weight": torch.tensor([-1.0, -0.0, float("inf"), float("nan")])}
    shown = masked(weights, {"weight": torch.zeros(4, dtype=torch.bool)})["weight"]
    assert shown.tolist() == [0.0] * 4
    assert not shown.signbit().any()


def test_masking_aliases_neither_masked_nor_other_weights() -> None:
    weights = {"weight": torch.tensor([1.0, 2.0]), "bias": torch.tensor([3.0])}
    before = copied(weights)
    for tensor in masked(weights, {"weight": torch.tensor([True, True])}).values():
        tensor.fill_(9.0)
    assert same(weights, before)


def test_remaining_weights_are_counted_from_the_mask_and_total_counts_all() -> None:
    mask = {"a": torch.tensor([[True, False], [True, True]]), "b": torch.tensor([False, False])}
    assert (remaining(mask), total(mask)) == (3, 6)


@many
@given(st.lists(st.booleans(), max_size=20), st.lists(st.booleans(), max_size=20))
def test_remaining_is_the_number_of_kept_weights_of_all_layers(first: list[bool], second: list[bool]) -> None:
    mask = {"a": torch.tensor(first, dtype=torch.bool), "b": torch.tensor(second, dtype=torch.bool)}
    assert (remaining(mask), total(mask)) == (sum(first) + sum(second), len(first) + len(second))


TYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int32, torch.bool]
SCORES = st.lists(st.sampled_from([-torch.inf, -2.0, -0.0, 0.0, 1e-40, 1.0, 3.0, torch.inf]), min_size=1, max_size=12)


@many
@given(SCORES, st.lists(st.booleans(), min_size=12, max_size=12), st.sampled_from(TYPES), st.data())
def test_the_highest_are_the_last_of_a_stable_sort(
    scores: list[float], left: list[bool], dtype: torch.dtype, data: st.DataObject
) -> None:
    values = torch.tensor(scores) if dtype.is_floating_point else torch.tensor(scores).clamp(-3, 3)
    mask = torch.tensor(left[: len(scores)])
    kept = data.draw(st.integers(0, int(mask.sum())))
    typed = values.to(dtype)
    order = sorted(mask.nonzero().flatten().tolist(), key=lambda place: float(typed[place]))
    expected = sorted(order[len(order) - kept :])
    assert highest("a", typed, mask, kept).nonzero().flatten().tolist() == expected


def test_a_layer_without_weights_is_counted_as_lost() -> None:
    kept, lost = torch.tensor([[True, False]]), torch.tensor([False])
    assert [layers_kept(mask) for mask in ({"a": kept}, {"a": kept, "b": lost}, {"b": lost})] == [1.0, 0.5, 0.0]


def test_a_ticket_is_frozen_and_knows_its_origin() -> None:
    ticket = Ticket({}, {}, level=2, replicate=5)
    assert str(ticket) == "ticket, replicate 5, level 2"
    assert str(dataclasses.replace(ticket, branch="shuffle", draw=1)) == "shuffle, replicate 5, level 2, draw 1"
    with pytest.raises(dataclasses.FrozenInstanceError):
        ticket.level = 3  # type: ignore[misc]


def test_the_weights_of_a_trained_ticket_are_those_of_its_last_step() -> None:
    at = {0: {"weight": torch.zeros(1)}, 7: {"weight": torch.ones(1)}}
    assert Trained(Ticket(at[0], {}), pd.DataFrame(), at.__getitem__, 7, {}).weights() is at[7]
