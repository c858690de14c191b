"""Masks on nets that are never trained (Zhou et al. 2019, Section 5)."""

from dataclasses import replace

from lth.branch.control import Init
from lth.branch.sign import constants
from lth.recipe import Recipe
from lth.ticket import Ticket, Trained


def supermask(trained: Trained, *, draw: int, recipe: Recipe, init: Init) -> tuple[Recipe, Ticket]:
    """The mask on W_k, evaluated and not trained. Nothing is drawn: every draw is the same."""
    return recipe, replace(trained.ticket, step=recipe.steps)


def supermask_constant(trained: Trained, *, draw: int, recipe: Recipe, init: Init) -> tuple[Recipe, Ticket]:
    """The mask on the standard deviation of each layer's W_k with the signs of W_k ("signed constant"), not trained."""
    ticket = trained.ticket
    return recipe, replace(ticket, weights={**ticket.weights, **constants(ticket)}, step=recipe.steps)
