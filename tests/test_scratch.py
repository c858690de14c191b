"""Pruned nets from scratch: budgets of steps and of multiply-accumulates (Liu et al. 2019)."""

import re
from functools import partial
from typing import Any

import pandas as pd
import pytest
import torch
from small import half_pruned, recipe, same

from lth import UserError, branch, lr, updater
from lth.cli.config.compose import validated
from lth.data import Data, Split
from lth.init import glorot_normal
from lth.model import lenet_5
from lth.recipe import Recipe
from lth.ticket import Ticket, Trained


def scratch(ticket: Ticket, draw: int = 0, what: Recipe | None = None, **options: Any) -> tuple[Recipe, Ticket]:
    """The branch of a ticket; recipes take 20 steps."""
    trained = Trained(ticket, pd.DataFrame(), {}.__getitem__, 20, ticket.mask)
    return branch.scratch(trained, draw=draw, recipe=what or recipe(), init=glorot_normal, **options)


def kept(what: Recipe, share: int) -> Ticket:
    """A ticket that keeps every `share`-th weight of each layer."""
    ticket = half_pruned(what, step=15)
    places = {name: torch.arange(m.numel()).view_as(m) for name, m in ticket.mask.items()}
    return Ticket(ticket.weights, {name: at % share == 0 for name, at in places.items()}, step=15, level=3)


def test_it_is_a_fresh_draw_from_step_0_the_same_with_every_budget() -> None:
    ticket = kept(recipe(), 4)
    (same_recipe, steps), (_, macs) = scratch(ticket), scratch(ticket, budget="macs")
    assert (steps.step, steps.level, same_recipe.steps) == (0, 3, 20)
    assert same(steps.weights, macs.weights)
    assert same(steps.mask, ticket.mask)
    assert not same(steps.weights, ticket.weights)
    assert not same(steps.weights, scratch(ticket, 1)[1].weights)


def test_a_quarter_of_the_multiply_accumulates_is_trained_for_four_times_the_steps() -> None:
    """16 x 8 + 8 x 6 + 6 x 3 = 194 products, of which 32 + 12 + 5 = 49 remain: 20 x 194 / 49 = 79.2 steps."""
    ticket = kept(recipe(), 4)
    assert scratch(ticket, budget="macs")[0].steps == 79
    assert scratch(ticket, budget="macs", cap=2.0)[0].steps == 40
    assert scratch(ticket, budget="macs", cap=10)[0].steps == 79


def test_a_net_that_keeps_everything_is_trained_by_the_same_recipe() -> None:
    what = recipe()
    assert scratch(kept(what, 1), what=what, budget="macs")[0] is what


def test_operations_are_counted_and_not_weights() -> None:
    """Caffe's LeNet-5 on 1 x 28 x 28: 288,000 + 1,600,000 + 400,000 + 5,000 products of 500, 25,000, 400,000 and 5,000
    weights. Without the linear layer of 400,000 weights but one in 4, it takes 1 / (1 - 300,000 / 2,293,000) steps.
    """

    images = torch.zeros(30, 1, 28, 28, dtype=torch.uint8).numpy()
    part = Split(images, torch.arange(30).remainder(10).numpy())
    what = recipe(model=lenet_5, data=Data("blank", part, part, part, scaling="unit"))
    ticket = half_pruned(what)
    mask = {name: torch.ones_like(m) for name, m in ticket.mask.items()}
    large = max(mask, key=lambda name: mask[name].numel())
    mask[large].view(-1)[100_000:] = False
    made = scratch(Ticket(ticket.weights, mask), what=what, budget="macs")[0]
    assert made.steps == round(20 * 2_293_000 / 1_993_000)


@pytest.mark.parametrize(("to", "before", "after"), [(40, 19, 20), (50, 24, 25), (79, 39, 40)])
def test_the_drops_of_the_rate_are_stretched(to: int, before: int, after: int) -> None:
    """Halfway of 20 steps is halfway of any number of them."""
    rate = partial(branch.stretched, of=partial(lr.drop, at=[10]), steps=20, to=to)
    assert [rate(step) for step in (0, before, after, to - 1)] == pytest.approx([1, 1, 0.1, 0.1])


def test_a_mask_that_moves_has_no_number_of_operations() -> None:
    what = recipe(updater=partial(updater.gradual, end=20, every=10))
    with pytest.raises(UserError, match="budget=macs counts the mask that a ticket begins with"):
        scratch(kept(what, 4), what=what, budget="macs")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["branch.scratch.transform.cap=2"], "branch.scratch.transform.cap=2: caps budget=macs"),
        (["branch.scratch.transform.budget=epochs"], "branch.scratch.transform.budget=epochs: choose one of steps"),
        (
            ["branch.scratch.transform.budget=macs", "branch.scratch.transform.cap=0.5"],
            "branch.scratch.transform.cap=0.5: must be at least 1",
        ),
        (["branch.scratch.transform.budget=macs", "updater=gradual", "levels=0"], "and updater=gradual moves it"),
        (["init=pretrained"], "draws the weights anew by `init`"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_trained(given: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        validated(["branch=[scratch]", *given])
