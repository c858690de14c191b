"""Pruned nets that are trained from scratch, for as many steps or for as many operations as the dense net."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from lth import UserError
from lth.branch.control import Init
from lth.branch.steps import trains
from lth.layer import trace
from lth.recipe import Recipe
from lth.seed import seed
from lth.ticket import Ticket, Trained
from lth.weights import initial

Budget = Literal["steps", "macs"]


@trains(lambda _start, end, _given: end, lambda given: "at least " if given["budget"] == "macs" else "")
def scratch(
    trained: Trained, *, draw: int, recipe: Recipe, init: Init, budget: Budget = "steps", cap: float | None = None
) -> tuple[Recipe, Ticket]:
    """The same mask on theta_0', a fresh draw, trained from step 0, wherever tickets begin (Liu et al. 2019, Section
    3). A draw is the same with every budget.

    budget: "steps", as many as the dense net ("Scratch-E"), or "macs", as many multiply-accumulates ("Scratch-B"): T
    times those of the dense net over those of the mask, and the rate's schedule stretched alike. cap: of that ratio,
    such as 2; the authors' code for CIFAR has none.
    """
    ticket = trained.ticket
    number = seed("scratch", ticket.replicate, ticket.level, draw)
    fresh = replace(ticket, weights=initial(init, recipe.net(number), number), step=0)
    return _longer(recipe, ticket, cap) if budget == "macs" else recipe, fresh


def stretched(step: int, *, of: Callable[[int], float], steps: int, to: int) -> float:
    """The factor of a schedule `of` over `steps` steps, stretched to `to` steps."""
    return of(step * steps // to)


def _longer(recipe: Recipe, ticket: Ticket, cap: float | None) -> Recipe:
    if recipe.moves_mask:
        raise UserError("budget=macs counts the mask that a ticket begins with, and the updater moves it: use "
                        "budget=steps, or updater=none")  # fmt: skip
    cost = trace(recipe.net(), recipe.data.example()).cost
    ratio = cost.macs({}) / cost.macs({name: int(mask.sum()) for name, mask in ticket.mask.items()})
    steps = round(recipe.steps * (ratio if cap is None else min(ratio, cap)))
    if steps == recipe.steps:
        return recipe
    return replace(recipe, steps=steps, lr=partial(stretched, of=recipe.lr, steps=recipe.steps, to=steps))
