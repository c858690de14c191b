"""Trained -> (Recipe, Ticket): the controls. A branch leaves the main line: its net is reported and not pruned further.

`lth.quantization` has two more branches of the same type. The name of the branch and the draw are set by the job.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from lth import UserError, supermask
from lth.recipe import Recipe
from lth.seed import generator, seed
from lth.ticket import Mask, Ticket, Trained, Weights
from lth.weights import initial, weights_of

Init = Callable[[nn.Module, int], Weights]


def reinitialize(trained: Trained, *, draw: int, recipe: Recipe, init: Init) -> tuple[Recipe, Ticket]:
    """The same mask on theta_0', a fresh draw from the distribution of theta_0 (Frankle & Carbin 2019, Section 2).

    It trains as long and on the same schedule as the ticket, so after rewinding to k from step k on.
    """
    ticket = trained.ticket
    number = seed("reinitialize", ticket.replicate, ticket.level, draw)
    return recipe, replace(ticket, weights=initial(init, recipe.net(number), number))


def random_sparsity(trained: Trained, *, draw: int, recipe: Recipe, init: Init) -> tuple[Recipe, Ticket]:
    """A random sparse network: as many weights per layer at random places, and a fresh theta_0 (the dashed lines of
    Frankle & Carbin 2019, Figure 1).
    """
    ticket = trained.ticket
    key = ("random_sparsity", ticket.replicate, ticket.level, draw)
    number, mask = seed(*key, "weights"), _permuted(ticket.mask, generator(*key, "mask"))
    return recipe, replace(ticket, weights=initial(init, recipe.net(number), number), mask=mask)


def reset(trained: Trained, *, draw: int, recipe: Recipe, init: Init) -> tuple[Recipe, Ticket]:
    """The same mask on theta_0, trained from step 0: beside rewind=learning_rate, the tickets that continued training
    finds and that are reset only then (Frankle & Carbin 2019, Appendix B). Nothing is drawn: every draw is the same.
    """
    number = seed("init", trained.ticket.replicate)
    return recipe, replace(trained.ticket, weights=initial(init, recipe.net(number), number), step=0)


def edge_popup(
    trained: Trained, *, draw: int, recipe: Recipe, init: Init, scaled: bool = False
) -> tuple[Recipe, Ticket]:
    """W_k untrained, of which learned scores choose as many weights per layer as the ticket has (Ramanujan et al.
    2020). scaled: weights times the root of 1 / the share of their layer that is chosen.
    """
    ticket = trained.ticket
    kept = {name: int(m.sum()) for name, m in ticket.mask.items() if not m.all()}
    if not kept:
        raise UserError("branch=edge_popup at a level that keeps all weights has none to choose: leave level 0 out")
    model = partial(supermask.scored_model, model=recipe.model, kept=kept)
    new = replace(recipe, model=model, updater=partial(supermask.settled, at=recipe.steps))
    scores = weights_of(new.net(seed("edge_popup", ticket.replicate, ticket.level, draw)))
    factors = {name: (ticket.mask[name].numel() / n) ** 0.5 for name, n in kept.items()} if scaled else {}
    weights = {name: w * factors[name] if name in factors else w for name, w in ticket.weights.items()}
    full = {name: torch.ones_like(m) for name, m in ticket.mask.items()}
    return new, replace(ticket, weights={n: weights.get(n, w.detach().clone()) for n, w in scores.items()}, mask=full)


def shuffle(trained: Trained, *, draw: int, recipe: Recipe, init: Init) -> tuple[Recipe, Ticket]:
    """The mask permuted within each layer, on the same weights: per-layer counts stay (Zhou et al. 2019).

    After rewinding the learning rate the weights are W_T, 0 where they were pruned.
    """
    ticket = trained.ticket
    random = generator("shuffle", ticket.replicate, ticket.level, draw)
    return recipe, replace(ticket, mask=_permuted(ticket.mask, random))


def _permuted(mask: Mask, random: torch.Generator) -> dict[str, Tensor]:
    """Each layer's mask in a random order: the same count at random places."""
    return {name: m.flatten()[torch.randperm(m.numel(), generator=random)].view_as(m) for name, m in mask.items()}
