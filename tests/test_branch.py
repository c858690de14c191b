"""Control branches: Trained -> (Recipe, Ticket)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import conv_net, copied, few, half_pruned, net, recipe, same, trained

from lth import branch
from lth.imp import dense
from lth.init import glorot_normal
from lth.model import mlp
from lth.recipe import Recipe
from lth.ticket import Ticket, Trained

NET = recipe(model=conv_net)


def drawn(control: Callable[..., tuple[Recipe, Ticket]], ticket: Ticket, **options: Any) -> Ticket:
    """The ticket that branches off the trained one of this ticket, on its recipe."""
    trained = Trained(ticket, pd.DataFrame(), {}.__getitem__, 20, ticket.mask)
    settings = {"recipe": NET, "init": glorot_normal, "draw": 0, **options}
    kept, branched = control(trained, **settings)
    assert kept is settings["recipe"]
    return branched


shuffle, reinitialize = partial(drawn, branch.shuffle), partial(drawn, branch.reinitialize)
random_sparsity = partial(drawn, branch.random_sparsity)
every = pytest.mark.parametrize("control", [shuffle, reinitialize, random_sparsity])
moving = pytest.mark.parametrize("control", [shuffle, random_sparsity])


@every
def test_a_control_keeps_level_replicate_and_step(control: partial[Ticket]) -> None:
    made = control(half_pruned(NET, step=4, replicate=2), draw=1)
    assert (made.level, made.replicate, made.step) == (3, 2, 4)


@every
def test_a_control_does_not_modify_the_ticket(control: partial[Ticket]) -> None:
    ticket = half_pruned(NET)
    weights, mask = copied(ticket.weights), copied(ticket.mask)
    made = control(ticket, draw=0)
    assert same(ticket.weights, weights)
    assert same(ticket.mask, mask)
    assert ticket.branch == "ticket"
    assert made is not ticket


@every
def test_equal_draws_are_equal_and_draws_levels_and_replicates_differ(control: partial[Ticket]) -> None:
    def made(draw: int = 0, **changes: int) -> torch.Tensor:
        torch.rand(3)
        ticket = control(half_pruned(NET, **changes), draw=draw)
        return torch.cat([(ticket.weights[name] * ticket.mask[name]).flatten() for name in ticket.mask])

    assert torch.equal(made(), made())
    assert not torch.equal(made(), made(draw=1))
    assert not torch.equal(made(), made(level=2))
    assert not torch.equal(made(), made(replicate=2))


@moving
@few
@given(st.integers(0, 20), st.integers(1, 20))
def test_a_mask_that_moves_keeps_the_counts_of_every_layer(control: partial[Ticket], draw: int, level: int) -> None:
    ticket = half_pruned(NET, level=level)
    made = control(ticket, draw=draw)
    assert {n: (m.shape, m.dtype, int(m.sum())) for n, m in made.mask.items()} == {
        n: (m.shape, m.dtype, int(m.sum())) for n, m in ticket.mask.items()
    }


@moving
def test_the_mask_changes(control: partial[Ticket]) -> None:
    ticket = half_pruned(NET)
    for name, mask in ticket.mask.items():
        assert not torch.equal(control(ticket, draw=0).mask[name], mask)


def test_shuffling_leaves_the_weights_and_reinitialization_the_mask() -> None:
    ticket = half_pruned(NET)
    assert shuffle(ticket, draw=0).weights is ticket.weights
    assert same(reinitialize(ticket, draw=0).mask, ticket.mask)


@pytest.mark.parametrize("control", [reinitialize, random_sparsity])
def test_new_values_are_drawn_instead_of_moving_the_old_ones(control: partial[Ticket]) -> None:
    ticket = half_pruned(NET)
    made = control(ticket, draw=0)
    for name in ticket.mask:
        assert not set(made.weights[name].flatten().tolist()) & set(ticket.weights[name].flatten().tolist())


def test_a_random_sparse_network_is_neither_the_shuffled_nor_the_reinitialized_ticket() -> None:
    ticket = half_pruned(NET)
    made = random_sparsity(ticket, draw=0)
    assert not torch.equal(made.mask["4.weight"], shuffle(ticket, draw=0).mask["4.weight"])
    assert not torch.equal(made.weights["4.weight"], reinitialize(ticket, draw=0).weights["4.weight"])


def test_a_random_sparse_network_keeps_weights_independently_of_their_magnitude() -> None:
    # The places of 100 x 7,840 weights: the mean size of those that are kept is that of all, to 4 standard errors.
    wide = recipe(model=partial(mlp, hidden=[490]))
    ticket = dense(wide, glorot_normal)
    mask = {name: torch.zeros_like(m) for name, m in ticket.mask.items()}
    mask["1.weight"].view(-1)[:1960] = True
    made = [random_sparsity(replace(ticket, mask=mask), draw=draw, recipe=wide) for draw in range(100)]
    size = torch.stack([t.weights["1.weight"].abs() for t in made])
    kept = torch.stack([t.mask["1.weight"] for t in made])
    assert kept.sum() == 196_000
    assert abs(size[kept].mean() - size.mean()) < 4 * size.std() / 196_000**0.5


@pytest.mark.parametrize("control", [branch.reinitialize, branch.random_sparsity])
def test_redrawn_weights_come_from_the_given_distribution(control: Callable[..., Ticket]) -> None:
    made = drawn(control, half_pruned(recipe(model=net)), recipe=recipe(model=net), init=sevens)
    assert all((w == 7).all() for w in made.weights.values())


def sevens(net: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    return {name: torch.full_like(value, 7) for name, value in net.state_dict().items()}


def test_a_ticket_that_is_reset_has_its_mask_on_theta_0_whatever_it_trained_from() -> None:
    settings = recipe()
    first = dense(settings, glorot_normal, replicate=2)
    ticket = half_pruned(settings, step=4, replicate=2)
    trained_on = replace(ticket, weights={name: w + 1 for name, w in ticket.weights.items()})
    made = drawn(branch.reset, trained_on, recipe=settings, line=[trained(first.weights, {}, replicate=2)])
    assert same(made.weights, first.weights)
    assert same(made.mask, ticket.mask)
    assert (made.step, made.level, made.replicate) == (0, 3, 2)


def branched(transform: Callable[..., Any], **key: Any) -> Ticket:
    """The ticket that a branch makes of a half pruned one of this replicate and level."""
    ticket = half_pruned(recipe())
    done = trained(ticket.weights, ticket.weights, ticket.mask, **key)
    made: Ticket = transform(done, draw=0, recipe=recipe(), init=glorot_normal)[1]
    return made


@pytest.mark.parametrize(
    "name",
    ["reinitialize", "signed_reinitialize", "reshuffle", "signed_reshuffle", "constant", "flip_signs", "fan_in",
     "scratch"],
)  # fmt: skip
def test_what_a_branch_draws_depends_on_replicate_and_level_alone(name: str) -> None:
    transform = getattr(branch, name)
    first = branched(transform, replicate=1, level=1).weights
    assert same(first, branched(transform, replicate=1, level=1).weights)
    assert not same(first, branched(transform, replicate=2, level=1).weights)
    assert not same(first, branched(transform, replicate=1, level=2).weights)


def test_draws_of_two_branches_and_random_masks_of_two_levels_are_independent() -> None:
    sizes = [{n: w.abs() for n, w in branched(each, level=1).weights.items() if n.endswith("weight")}
             for each in (branch.reshuffle, branch.signed_reshuffle)]  # fmt: skip
    assert not same(*sizes)
    masks = [branched(branch.random_sparsity, level=level).mask for level in (1, 1, 2)]
    assert same(masks[0], masks[1])
    assert not same(masks[0], masks[2])


def test_a_reset_ticket_starts_where_its_dense_net_did() -> None:
    weights = half_pruned(recipe()).weights
    line = [trained(weights, weights, step=4, level=level) for level in (0, 1)]
    assert branch.reset(line[1], draw=0, recipe=recipe(), init=glorot_normal, line=line)[1].step == 4


def test_steps_from_scratch_by_operations_are_rounded() -> None:
    settings = recipe(steps=20)
    weights = half_pruned(settings).weights
    mask = {name: torch.arange(w.numel()).view_as(w) < (34 if name == "1.weight" else 99)
            for name, w in weights.items() if name.endswith("weight")}  # fmt: skip
    done = trained(weights, weights, mask)  # of 194 weights 100
    longer, _ = branch.scratch(done, draw=0, recipe=settings, init=glorot_normal, budget="macs")
    assert longer.steps == 39  # 20 x 194 / 100 = 38.8
