"""Masks on weights that are never trained (Zhou et al. 2019, Section 5): those of tickets, and learned ones."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import inf

import torch
from torch.nn.modules.batchnorm import _NormBase

from lth import UserError, lr, updater
from lth import supermask as scored
from lth.branch.control import Init
from lth.branch.sign import constants
from lth.branch.steps import trains
from lth.layer import only_layers_read
from lth.recipe import Recipe
from lth.seed import seed
from lth.ticket import Ticket, Trained
from lth.weights import weights_of


@trains(lambda *_: 0)
def supermask(
    trained: Trained, *, draw: int, recipe: Recipe, init: Init, line: Sequence[Trained]
) -> tuple[Recipe, Ticket]:
    """The mask on theta_0, wherever the ticket was rewound to, evaluated and not trained. Nothing is drawn: every draw
    is the same. line: the trained tickets from the dense net to this one. Raises UserError for a net whose
    batch norm has no statistics yet, which only training gives.
    """
    _check_untrained(recipe, line[0].ticket)
    return recipe, replace(trained.ticket, weights=line[0].ticket.weights, step=recipe.steps)


@trains(lambda *_: 0)
def supermask_constant(
    trained: Trained, *, draw: int, recipe: Recipe, init: Init, line: Sequence[Trained]
) -> tuple[Recipe, Ticket]:
    """The mask on the standard deviation of each layer's theta_0 with the signs of theta_0 ("signed constant"), as
    `supermask`.
    """
    _check_untrained(recipe, line[0].ticket)
    start = line[0].ticket
    return recipe, replace(trained.ticket, weights={**start.weights, **constants(start)}, step=recipe.steps)


def _check_untrained(recipe: Recipe, start: Ticket) -> None:
    tracked = (n for n, m in recipe.net().named_modules() if isinstance(m, _NormBase) and m.track_running_stats)
    means = [start.weights[f"{name}.running_mean" if name else "running_mean"] for name in tracked]
    if any(not mean.any() for mean in means):  # pretrained ones have some
        raise UserError(
            "branch=supermask and supermask_constant evaluate a net that is not trained, whose batch norm has no "
            "statistics yet: take branch=learned_supermask or edge_popup, or a net without batch norm"
        )


@trains(lambda _start, _end, given: int(given["steps"]))
def learned_supermask(
    trained: Trained,
    *,
    draw: int,
    recipe: Recipe,
    init: Init,
    line: Sequence[Trained],
    constant: bool = False,
    rescaled: bool = False,
    steps: int = 440_000,
    batch_size: int = 250,
    rate: float = 100.0,
    momentum: float = 0.9,
) -> tuple[Recipe, Ticket]:
    """All of theta_0, untrained, each weight of which takes part with a probability that is learned, by SGD of its own;
    evaluated as often as the ticket. The same beside every level. constant: on the weights of `supermask_constant`.
    rescaled: "dynamic weight rescaling" (see `lth.supermask.bernoulli_model`).
    """
    if not 0 < rate < inf or not 0 <= momentum < 1:
        raise UserError(f"rate={rate}, momentum={momentum}: give a rate above 0, and a momentum from 0 to below 1")
    start = line[0].ticket
    new = replace(
        recipe,
        model=partial(scored.bernoulli_model, model=recipe.model, layers=[*start.mask], rescaled=rescaled),
        optimizer=partial(torch.optim.SGD, lr=rate, momentum=momentum, fused=True),
        lr=lr.constant,
        updater=updater.none,
        steps=steps,
        batch_size=batch_size,
        evaluate_every=max(1, recipe.evaluate_every * steps // recipe.steps),
    )
    only_layers_read(new.net(), recipe.data.examples(2))
    keys = {
        f"{name.removesuffix('weight')}key": torch.tensor(seed("learned_supermask", start.replicate, draw, name))
        for name in start.mask
    }
    known = {**start.weights, **(constants(start) if constant else {}), **keys}
    fresh = {name: known.get(name, w.detach().clone()) for name, w in weights_of(new.net()).items()}
    return new, replace(start, weights=fresh, level=trained.ticket.level)


def edge_popup(
    trained: Trained, *, draw: int, recipe: Recipe, init: Init, scaled: bool = False, rate: float | None = None
) -> tuple[Recipe, Ticket]:
    """W_k untrained, of which learned scores choose as many weights per layer as the ticket has (Ramanujan et al.
    2020). scaled: weights times the root of 1 / the share of their layer that is chosen. rate: the learning rate of the
    scores, None for that of the weights.
    """
    if rate is not None and not 0 < rate < inf:
        raise UserError(f"branch=edge_popup: rate={rate}: give a rate above 0, or null for that of the weights")
    ticket = trained.ticket
    kept = {name: int(m.sum()) for name, m in ticket.mask.items() if not m.all()}
    if not kept:
        raise UserError("branch=edge_popup at a level that keeps all weights has none to choose: leave level 0 out")
    if ticket.step >= recipe.steps:
        raise UserError(f"branch=edge_popup: {ticket} begins at step {ticket.step} of {recipe.steps}, so that no score "
                        "would be learned: rewind to an earlier step")  # fmt: skip
    model = partial(scored.scored_model, model=recipe.model, kept=kept)
    optimizer: Callable[..., torch.optim.Optimizer] = recipe.optimizer
    optimizer = optimizer if rate is None else partial(optimizer, lr=rate)
    new = replace(recipe, model=model, optimizer=optimizer, updater=partial(scored.settled, at=recipe.steps))
    only_layers_read(new.net(), recipe.data.examples(2))
    scores = weights_of(new.net(seed("edge_popup", ticket.replicate, ticket.level, draw)))
    factors = {name: (ticket.mask[name].numel() / n) ** 0.5 for name, n in kept.items() if n} if scaled else {}
    weights = {name: w * factors[name] if name in factors else w for name, w in ticket.weights.items()}
    full = {name: torch.ones_like(m) for name, m in ticket.mask.items()}
    return new, replace(ticket, weights={n: weights.get(n, w.detach().clone()) for n, w in scores.items()}, mask=full)
