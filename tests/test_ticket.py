"""Tickets and masks: prunable weights, masking, counts."""

import dataclasses

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import DATA, conv_net, copied, many, net, same
from torch import nn

from lth.ticket import Ticket, Trained, full_mask, masked, prunable, remaining, total


def test_weights_of_conv_and_linear_layers_are_prunable_and_the_last_linear_one_is_the_output() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 4), nn.LayerNorm(4), nn.Linear(4, 3)
    )
    assert prunable(model) == {"0.weight": "conv", "3.weight": "linear", "5.weight": "output"}


def test_names_of_prunable_weights_come_in_the_order_of_the_net() -> None:
    assert list(prunable(net((1, 4, 4), 3))) == ["1.weight", "3.weight", "5.weight"]


def test_a_net_without_linear_layers_has_no_output_layer() -> None:
    assert prunable(nn.Sequential(nn.Conv1d(1, 1, 1), nn.Conv3d(1, 1, 1))) == {"0.weight": "conv", "1.weight": "conv"}


def test_a_convolution_in_a_part_called_shortcut_or_downsample_is_a_shortcut() -> None:
    def inside(part: str) -> list[str]:
        return list(prunable(nn.ModuleDict({part: nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))})).values())

    assert (inside("shortcut"), inside("downsample")) == (["shortcut"], ["shortcut"])
    assert (inside("shortcuts"), inside("my_shortcut"), inside("down")) == (["conv"], ["conv"], ["conv"])
    assert prunable(nn.ModuleDict({"shortcut": nn.Conv1d(1, 1, 1)})) == {"shortcut.weight": "shortcut"}


def test_a_linear_layer_in_a_shortcut_is_a_linear_layer() -> None:
    model = nn.ModuleDict({"shortcut": nn.Linear(1, 1), "end": nn.Linear(1, 1)})
    assert prunable(model) == {"shortcut.weight": "linear", "end.weight": "output"}


def test_a_net_that_is_a_single_layer_has_a_name_without_a_dot() -> None:
    assert prunable(nn.Linear(2, 2)) == {"weight": "output"}


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


def test_a_ticket_is_frozen_and_knows_its_origin() -> None:
    ticket = Ticket({}, {}, level=2, replicate=5)
    assert str(ticket) == "ticket, replicate 5, level 2"
    assert str(dataclasses.replace(ticket, branch="shuffle", draw=1)) == "shuffle, replicate 5, level 2, draw 1"
    with pytest.raises(dataclasses.FrozenInstanceError):
        ticket.level = 3  # type: ignore[misc]


def test_the_weights_of_a_trained_ticket_are_those_of_its_last_step() -> None:
    at = {0: {"weight": torch.zeros(1)}, 7: {"weight": torch.ones(1)}}
    assert Trained(Ticket(at[0], {}), pd.DataFrame(), at.__getitem__, 7, {}).weights() is at[7]
