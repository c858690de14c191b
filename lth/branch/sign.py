"""Other values of the weights that remain, with or without their signs: the "mask-1 actions" of Zhou et al. 2019."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from lth.branch.control import Init
from lth.recipe import Recipe
from lth.seed import generator, seed
from lth.ticket import Ticket, Trained
from lth.weights import initial

Values = Callable[[Tensor, Tensor, torch.Generator], Tensor]


def signed_reinitialize(trained: Trained, *, draw: int, recipe: Recipe, init: Init) -> tuple[Recipe, Ticket]:
    """The same mask on theta_0', a fresh draw, whose prunable weights take the signs of W_k ("signed_reinit"; with
    rewind.step=k the signs of step k, Gadhikar & Burkholz 2024).
    """
    ticket = trained.ticket
    number = seed("signed_reinitialize", ticket.replicate, ticket.level, draw)
    fresh, start = initial(init, recipe.net(number), number), ticket.weights
    signed = {name: fresh[name].abs() * start[name].sign() for name in ticket.mask}
    return recipe, replace(ticket, weights={**fresh, **signed})


def reshuffle(trained: Trained, *, draw: int, recipe: Recipe, init: Init) -> tuple[Recipe, Ticket]:
    """The remaining W_k of each layer permuted among their places ("random_reshuffle")."""
    return recipe, _changed(trained.ticket, draw, "reshuffle", _shuffled)


def signed_reshuffle(trained: Trained, *, draw: int, recipe: Recipe, init: Init) -> tuple[Recipe, Ticket]:
    """The sizes of the remaining W_k of each layer permuted among their places; signs stay ("signed_reshuffle")."""
    return recipe, _changed(trained.ticket, draw, "signed_reshuffle", _shuffled_sizes)


def constant(trained: Trained, *, draw: int, recipe: Recipe, init: Init) -> tuple[Recipe, Ticket]:
    """The standard deviation of the layer's W_k, pruned ones too, with its signs at random places
    ("rand_signed_constant").
    """
    return recipe, _changed(trained.ticket, draw, "constant", _constant_anywhere)


def signed_constant(trained: Trained, *, draw: int, recipe: Recipe, init: Init) -> tuple[Recipe, Ticket]:
    """The standard deviation of the layer's W_k, pruned ones too, with the signs of W_k ("signed_constant"). Nothing is
    drawn: every draw is the same.
    """
    return recipe, replace(trained.ticket, weights={**trained.ticket.weights, **constants(trained.ticket)})


def constants(ticket: Ticket) -> Mapping[str, Tensor]:
    """sign(W_k) times the standard deviation (of the population, in float64) of each prunable layer's W_k."""
    return {name: _deviation(ticket.weights[name]) * ticket.weights[name].sign() for name in ticket.mask}


def _changed(ticket: Ticket, draw: int, name: str, values: Values) -> Ticket:
    """The ticket with other values of its prunable weights. values: (W_k, mask, generator) -> weights."""
    random = generator(name, ticket.replicate, ticket.level, draw)
    new = {layer: values(ticket.weights[layer], mask, random) for layer, mask in ticket.mask.items()}
    return replace(ticket, weights={**ticket.weights, **new})


def _shuffled(weight: Tensor, mask: Tensor, random: torch.Generator) -> Tensor:
    new, left = weight.clone(), weight[mask]
    new[mask] = left[torch.randperm(len(left), generator=random)]
    return new


def _shuffled_sizes(weight: Tensor, mask: Tensor, random: torch.Generator) -> Tensor:
    return _shuffled(weight.abs(), mask, random) * weight.sign()


def _constant_anywhere(weight: Tensor, mask: Tensor, random: torch.Generator) -> Tensor:
    signs = weight.sign().flatten()
    return _deviation(weight) * signs[torch.randperm(len(signs), generator=random)].view_as(weight)


def _deviation(weight: Tensor) -> Tensor:
    return weight.double().std(correction=0).to(weight.dtype)
