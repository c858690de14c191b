"""Other values of the weights that remain, with or without their signs: the "mask-1 actions" of Zhou et al. 2019, and
signs of later steps (Gadhikar & Burkholz 2024, arXiv 2402.19262).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from lth import UserError
from lth.branch.control import Init, weights_at
from lth.recipe import Recipe
from lth.seed import generator, seed
from lth.ticket import Ticket, Trained
from lth.weights import initial

Values = Callable[[Tensor, Tensor, torch.Generator], Tensor]


def signed_reinitialize(
    trained: Trained, *, draw: int, recipe: Recipe, init: Init, step: int | None = None
) -> tuple[Recipe, Ticket]:
    """The same mask on theta_0', a fresh draw, whose prunable weights take the signs of W_k ("signed_reinit"), or those
    of W_step of the ticket's training (Gadhikar & Burkholz 2024): the same draw for every step.
    """
    ticket, signs = trained.ticket, weights_at(trained, step, moved=recipe.moves_mask)
    number = seed("signed_reinitialize", ticket.replicate, ticket.level, draw)
    fresh = initial(init, recipe.net(number), number)
    signed = {name: fresh[name].abs() * signs[name].sign() for name in ticket.mask}
    return recipe, replace(ticket, weights={**fresh, **signed})


def flip_signs(
    trained: Trained, *, draw: int, recipe: Recipe, init: Init, share: float = 0.1, step: int | None = None
) -> tuple[Recipe, Ticket]:
    """W_k, or W_step of the ticket's training, with the signs of this share of the remaining weights of each layer
    flipped (rounded; a larger share flips those of a smaller one too). With half of them and the last step, the signs
    are random and the sizes those of the trained net (Gadhikar & Burkholz 2024).
    """
    if not 0 <= share <= 1:
        raise UserError(f"share={share}: of the remaining weights, from 0 to 1")
    start = replace(trained.ticket, weights=weights_at(trained, step, moved=recipe.moves_mask))
    return recipe, _changed(start, draw, "flip_signs", partial(_flipped, share=share))


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


def _flipped(weight: Tensor, mask: Tensor, random: torch.Generator, *, share: float) -> Tensor:
    new, left = weight.clone(), weight[mask]
    places = torch.randperm(len(left), generator=random)[: round(share * len(left))]
    new[mask] = left.index_copy(0, places, -left[places])
    return new


def _constant_anywhere(weight: Tensor, mask: Tensor, random: torch.Generator) -> Tensor:
    signs = weight.sign().flatten()
    return _deviation(weight) * signs[torch.randperm(len(signs), generator=random)].view_as(weight)


def _deviation(weight: Tensor) -> Tensor:
    return weight.double().std(correction=0).to(weight.dtype)
