"""Ticket -> Ticket: the controls. A branch leaves the main line: its trained net is reported and not pruned further."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from lth.recipe import Recipe
from lth.seed import generator, seed
from lth.ticket import Mask, Ticket, Weights

Init = Callable[[nn.Module, int], Weights]


def reinitialize(ticket: Ticket, *, draw: int, recipe: Recipe, init: Init) -> Ticket:
    """The same mask on theta_0', a fresh draw from the distribution of theta_0 (Frankle & Carbin 2019, Section 2).

    It trains as long and on the same schedule as the ticket, so after rewinding to k from step k on.
    """
    number = seed("reinitialize", ticket.replicate, ticket.level, draw)
    return replace(ticket, weights=init(recipe.net(number), number), branch="reinitialize", draw=draw)


def random_sparsity(ticket: Ticket, *, draw: int, recipe: Recipe, init: Init) -> Ticket:
    """A random sparse network: as many weights per layer, but which ones is drawn anew, and so is theta_0 (the dashed
    lines of Frankle & Carbin 2019, Figure 1).
    """
    key = ("random_sparsity", ticket.replicate, ticket.level, draw)
    number, mask = seed(*key, "weights"), _permuted(ticket.mask, generator(*key, "mask"))
    return replace(ticket, weights=init(recipe.net(number), number), mask=mask, branch="random_sparsity", draw=draw)


def reset(ticket: Ticket, *, draw: int, recipe: Recipe, init: Init) -> Ticket:
    """The same mask on theta_0, trained from step 0: beside rewind=learning_rate, the tickets that continued training
    finds and that are reset only then (Frankle & Carbin 2019, Appendix B). Nothing is drawn: every draw is the same.
    """
    number = seed("init", ticket.replicate)
    return replace(ticket, weights=init(recipe.net(number), number), step=0, branch="reset", draw=draw)


def shuffle(ticket: Ticket, *, draw: int, recipe: Recipe, init: Init) -> Ticket:
    """The mask permuted within each layer, on the same weights: per-layer counts stay (Zhou et al. 2019).

    After rewinding the learning rate the weights are W_T, 0 where they were pruned.
    """
    random = generator("shuffle", ticket.replicate, ticket.level, draw)
    return replace(ticket, mask=_permuted(ticket.mask, random), branch="shuffle", draw=draw)


def _permuted(mask: Mask, random: torch.Generator) -> dict[str, Tensor]:
    """Each layer's mask in a random order: the same count at random places."""
    return {name: m.flatten()[torch.randperm(m.numel(), generator=random)].view_as(m) for name, m in mask.items()}
