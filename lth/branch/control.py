"""Controls with other weights, or another mask of as many weights per layer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from lth import UserError
from lth.branch.steps import trains
from lth.layer import outputs_first
from lth.recipe import Recipe
from lth.seed import generator, seed
from lth.ticket import Mask, Ticket, Trained, Weights
from lth.weights import initial

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


@trains(lambda _, end, given: end - (given["step"] or 0))
def reset(
    trained: Trained, *, draw: int, recipe: Recipe, init: Init, line: Sequence[Trained], step: int | None = None
) -> tuple[Recipe, Ticket]:
    """The same mask on theta_0, trained from step 0, or on W_step of the dense net's training: beside
    rewind=learning_rate, the tickets that continued training finds and that are reset only then (Frankle & Carbin 2019,
    Appendix B). Nothing is drawn: every draw is the same. line: the trained tickets from the dense net to this one.
    """
    first = line[0]
    start = first.ticket.step if step is None else step
    return recipe, replace(trained.ticket, weights=weights_at(first, step), step=start)


def continued(
    trained: Trained, *, draw: int, recipe: Recipe, init: Init, line: Sequence[Trained]
) -> tuple[Recipe, Ticket]:
    """The same mask on W_T of the net that it was pruned from, trained from the ticket's step again: beside
    rewind=weights, the masks of rewound nets on weights that are trained on, as rewind=learning_rate has them (Renda et
    al. 2020; Gadhikar & Burkholz 2024). Nothing is drawn: every draw is the same. line: as for `reset`.
    """
    if len(line) < 2:
        raise UserError("branch=continued at level 0: no net was trained before the dense one; leave level 0 out")
    return recipe, replace(trained.ticket, weights=line[-2].weights())


def weights_at(trained: Trained, step: int | None, *, moved: bool = False) -> Weights:
    """W_step of a training; None: where it starts, pruned weights as the ticket has them. moved: the mask of that step
    may be another than the ticket's, which is an error.
    """
    ticket = trained.ticket
    if step is None or step == ticket.step:
        return ticket.weights
    if moved:
        raise UserError(f"step={step}: by then the updater has changed the mask, but the ticket has the mask of "
                        f"step {ticket.step}; give {ticket.step}, or use updater=none")  # fmt: skip
    if not ticket.step < step <= trained.steps:
        raise UserError(
            f"step={step}: {ticket} is trained from step {ticket.step} to {trained.steps}; give one of them"
        )
    return trained.at(step)


def shuffle(trained: Trained, *, draw: int, recipe: Recipe, init: Init) -> tuple[Recipe, Ticket]:
    """The mask permuted within each layer, on the same weights: per-layer counts stay (Zhou et al. 2019).

    After rewinding the learning rate the weights are W_T, 0 where they were pruned; with a step k above 0, W_k is 0
    where updater=gradual, or the first mask of train_from above 0, had pruned them by then.
    """
    ticket = trained.ticket
    random = generator("shuffle", ticket.replicate, ticket.level, draw)
    return recipe, replace(ticket, mask=_permuted(ticket.mask, random))


def invert(
    trained: Trained,
    *,
    draw: int,
    recipe: Recipe,
    init: Init,
    line: Sequence[Trained],
    inverse: Callable[[Trained, int], Ticket],
) -> tuple[Recipe, Ticket]:
    """The mask of the opposite scores on the same weights: what is most important to the criterion goes (Frankle et al.
    2021, "Missing the mark"), for levels that are pruned from the dense net. As many weights stay in all; how many of
    each layer, the distribution says. Nothing is drawn: every draw is the same. line: the trained tickets from the
    dense net to this one. inverse: as in `lth.job.Branch.tickets`.
    """
    return recipe, replace(trained.ticket, mask=inverse(line[-2], trained.ticket.level).mask)


def fan_in(trained: Trained, *, draw: int, recipe: Recipe, init: Init) -> tuple[Recipe, Ticket]:
    """The same mask on weights that know of it: N(0, 2 / n) with n the inputs that the unit keeps, so that its outputs
    have the variance of a dense net's (Evci et al. 2022, Section 3.1). All other tensors are those of `init`.
    """
    ticket = trained.ticket
    key = ("fan_in", ticket.replicate, ticket.level, draw)
    number, random = seed(*key), generator(*key, "weights")
    net = recipe.net(number)
    drawn = {name: _scaled_by_fan_in(net, name, mask, random) for name, mask in ticket.mask.items()}
    weights = initial(init, net, number)
    return recipe, replace(ticket, weights={**weights, **{n: w.to(weights[n].dtype) for n, w in drawn.items()}})


Control = Literal["ticket", "reinitialize", "random_sparsity", "shuffle", "fan_in"]
_CONTROLS = {each.__name__: each for each in (reinitialize, random_sparsity, shuffle, fan_in)}


def _of_children(start: int, end: int, given: Mapping[str, Any]) -> int:
    """Steps of a child; the first is the ticket itself, if that does not begin before `step`."""
    if given["of"] == "ticket" and given["draw"] == 0 and start >= given["step"]:
        return 0
    return end - max(start, given["step"]) if given["of"] == "ticket" else end - start


@trains(_of_children)
def connect(
    trained: Trained, *, draw: int, recipe: Recipe, init: Init, of: Control = "ticket", step: int = 0
) -> tuple[Recipe, Ticket]:
    """Children of one W_k that differ in SGD noise alone: data order, augmentation and dropout, of which `draw` is the
    seed (Frankle et al. 2020, Section 2). The first of them is the ticket itself, unless it begins before `step`: then
    they begin at W_step of its training, as the dense net's children at step k do.

    of: what the children have in common: the ticket, or the first draw of a control of it, which begins where the
    ticket does; with one, `step` stays 0.
    """
    if of not in get_args(Control):
        raise UserError(f"of={of}: choose one of {', '.join(get_args(Control))}")
    if of in _CONTROLS and step:
        raise UserError(f"connect.step={step}: children of of={of} begin where the ticket does; leave step at 0")
    if of in _CONTROLS:
        recipe, ticket = _CONTROLS[of](trained, draw=0, recipe=recipe, init=init)
        return recipe, replace(ticket, order=draw)
    ticket = trained.ticket
    if ticket.step >= step:
        return recipe, replace(ticket, order=draw)
    if step >= trained.steps:
        raise UserError(f"connect.step={step}: the training has {trained.steps:,} steps, give one before its end")
    return recipe, replace(ticket, weights=weights_at(trained, step, moved=recipe.moves_mask), step=step, order=draw)


def _scaled_by_fan_in(net: nn.Module, name: str, mask: Tensor, random: torch.Generator) -> Tensor:
    """Normal weights of the shape of a mask, of variance 2 / the number that their output keeps; a unit that keeps none
    has what one that keeps one would.
    """
    rows = outputs_first(net, name, mask)
    kept = rows.flatten(1).sum(1).clamp(min=1).view(-1, *(1 for _ in rows.shape[1:]))
    return torch.randn(mask.shape, generator=random) * outputs_first(net, name, (2 / kept).sqrt().expand_as(rows))


def _permuted(mask: Mask, random: torch.Generator) -> dict[str, Tensor]:
    """Each layer's mask in a random order: the same count at random places."""
    return {name: m.flatten()[torch.randperm(m.numel(), generator=random)].view_as(m) for name, m in mask.items()}
