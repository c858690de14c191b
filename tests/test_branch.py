"""Ticket -> Ticket: the controls."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import conv_net, copied, few, half_pruned, net, recipe, same

from lth import branch
from lth.init import glorot_normal
from lth.ticket import Ticket

NET = recipe(model=conv_net)
shuffle = partial(branch.shuffle, recipe=NET, init=glorot_normal)
reinitialize = partial(branch.reinitialize, recipe=NET, init=glorot_normal)
both = pytest.mark.parametrize("control", [shuffle, reinitialize])


@both
def test_a_control_says_what_it_is_and_keeps_level_replicate_and_step(control: partial[Ticket]) -> None:
    made = control(half_pruned(NET, step=4, replicate=2), draw=1)
    assert (made.branch, made.draw) == (control.func.__name__, 1)
    assert (made.level, made.replicate, made.step) == (3, 2, 4)


@both
def test_a_control_leaves_the_ticket_as_it_was(control: partial[Ticket]) -> None:
    ticket = half_pruned(NET)
    weights, mask = copied(ticket.weights), copied(ticket.mask)
    made = control(ticket, draw=0)
    assert same(ticket.weights, weights)
    assert same(ticket.mask, mask)
    assert ticket.branch == "ticket"
    assert made is not ticket


@both
def test_equal_draws_are_equal_and_each_draw_level_and_replicate_is_another(control: partial[Ticket]) -> None:
    def made(draw: int = 0, **changes: int) -> torch.Tensor:
        torch.rand(3)
        ticket = control(half_pruned(NET, **changes), draw=draw)
        return torch.cat([(ticket.weights[name] * ticket.mask[name]).flatten() for name in ticket.mask])

    assert torch.equal(made(), made())
    assert not torch.equal(made(), made(draw=1))
    assert not torch.equal(made(), made(level=2))
    assert not torch.equal(made(), made(replicate=2))


@few
@given(st.integers(0, 20), st.integers(1, 20))
def test_shuffling_keeps_the_counts_of_every_layer_and_the_weights(draw: int, level: int) -> None:
    ticket = half_pruned(NET, level=level)
    made = shuffle(ticket, draw=draw)
    assert made.weights is ticket.weights
    assert {n: (m.shape, m.dtype, int(m.sum())) for n, m in made.mask.items()} == {
        n: (m.shape, m.dtype, int(m.sum())) for n, m in ticket.mask.items()
    }


def test_shuffling_really_moves_the_mask() -> None:
    ticket = half_pruned(NET)
    assert not torch.equal(shuffle(ticket, draw=0).mask["4.weight"], ticket.mask["4.weight"])


def test_reinitialization_keeps_the_mask_and_draws_new_values_instead_of_moving_the_old_ones() -> None:
    ticket = half_pruned(NET)
    made = reinitialize(ticket, draw=0)
    assert same(made.mask, ticket.mask)
    for name in ticket.mask:
        assert not set(made.weights[name].flatten().tolist()) & set(ticket.weights[name].flatten().tolist())


def test_reinitialized_weights_come_from_the_given_distribution() -> None:
    made = branch.reinitialize(half_pruned(recipe(model=net)), draw=0, recipe=recipe(model=net), init=sevens)
    assert all((w == 7).all() for w in made.weights.values())


def sevens(net: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    return {name: torch.full_like(value, 7) for name, value in net.state_dict().items()}
