"""Masks that change while a net is trained: (step, weights, gradients, mask) -> mask.

The engine calls the updater of a recipe after every optimizer step, with the number of that step (1 is the first), the
weights W_step, the gradients that made them, and the mask so far, which it must not change in place; what the mask that
it returns leaves out is 0 from then on, and what it brings back starts at 0, with the state of a new optimizer. Only
the step count is shared by all weights, so under Adam a grown weight gets no bias correction: its first step is 3 times
as long as with a new optimizer, the 12th 6.6 times (betas 0.9 and 0.999). weights, gradients: of the prunable layers,
on the device. The mask at the end, m_T, is `Trained.mask`.

An updater that has a keyword `replicate` is given the ticket's noise for its seeds, which is the replicate, or differs
between children of one W_k (`Ticket.noise`); one that has a keyword `net`, the whole net. One that has a keyword
`stepped` is called twice in a step: before the optimizer, with stepped=False and the weights that the gradients are
taken at, and after it, with stepped=True. If it returns another mask before the optimizer, that takes the place of the
optimizer's step.
"""

import math
from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from lth import UserError
from lth.rules.ranges import check_gradual, check_moving
from lth.schedule import cubic_share
from lth.seed import generator
from lth.ticket import Mask, highest

Tensors = Mapping[str, Tensor]
Decay = Literal["constant", "cosine"]


def none(step: int, weights: Tensors, gradients: Tensors, mask: Mask) -> Mask:
    """The mask of the ticket stays."""
    return mask


def gradual(
    step: int,
    weights: Tensors,
    gradients: Tensors,
    mask: Mask,
    *,
    density: float = 0.05,
    begin: int = 0,
    end: int = 500,
    every: int = 100,
) -> Mask:
    """Prune every layer by magnitude to density + (1 - density)(1 - (t - begin) / (end - begin))^3 of its weights, at
    the steps t = begin, begin + every, ..., end (Zhu & Gupta 2017, Equation 1, from no sparsity). A layer that is
    sparser already stays as it is.
    """
    check_gradual(density, begin, end, every)
    if not begin <= step <= end or (step - begin) % every:
        return mask
    share = cubic_share((step - begin) / (end - begin), density)
    return {name: highest(name, weights[name].abs(), m, _kept(m, share)) for name, m in mask.items()}


def _kept(mask: Tensor, share: float) -> int:
    return min(int(mask.sum()), max(1, round(share * mask.numel())))


def set(  # noqa: A001  # the paper's name
    step: int,
    weights: Tensors,
    gradients: Tensors,
    mask: Mask,
    *,
    replicate: int,
    drop_fraction: float = 0.3,
    decay: Decay = "constant",
    every: int = 100,
    end: int = 750,
) -> Mask:
    """Sparse evolutionary training (Mocanu et al. 2018): after the steps every, 2 every, ... before `end`, each layer
    drops `drop_fraction` of its smallest positive weights, as much of its largest negative ones, and those that are 0,
    and grows as many at random places. A place that is drawn right after its weight was dropped has never lost it.
    """
    if not _is_due(step, drop_fraction, every, end):
        return mask
    share = _share(step, drop_fraction, decay, end)
    return {
        name: _grown(name, _kept_by_sign(name, weights[name], m, share), _uniform(m, replicate, step, name), m)
        for name, m in mask.items()
    }


def rigl(
    step: int,
    weights: Tensors,
    gradients: Tensors,
    mask: Mask,
    *,
    stepped: bool,
    drop_fraction: float = 0.3,
    decay: Decay = "cosine",
    every: int = 100,
    end: int = 750,
) -> Mask:
    """RigL (Evci et al. 2020, Algorithm 1): in place of the optimizer's steps every, 2 every, ... before `end`, each
    layer drops its smallest weights by magnitude, the share f(t) = drop_fraction / 2 (1 + cos(pi t / end)) of them, and
    grows as many where the gradient of the loss is largest by magnitude; what is dropped may stay in this way. A layer
    without gradients stays as it is.
    """
    if stepped or not _is_due(step, drop_fraction, every, end):
        return mask
    share = _share(step, drop_fraction, decay, end)
    return {
        name: m if gradients[name] is None else _grown(
            name, highest(name, weights[name].abs(), m, (n := int(m.sum())) - int(share * n)), gradients[name].abs(), m
        )
        for name, m in mask.items()
    }  # fmt: skip


def _is_due(step: int, drop_fraction: float, every: int, end: int) -> bool:
    check_moving(drop_fraction, every, end)
    return step % every == 0 and step < end


def _share(step: int, drop_fraction: float, decay: Decay, end: int) -> float:
    """Share of the weights that are dropped at a step (Evci et al. 2020, Equation 1)."""
    if decay not in get_args(Decay):
        raise UserError(f"updater.decay={decay}: choose one of {', '.join(get_args(Decay))}")
    return drop_fraction * (1.0 if decay == "constant" else (1 + math.cos(math.pi * step / end)) / 2)


def _kept_by_sign(name: str, weights: Tensor, mask: Tensor, share: float) -> Tensor:
    """The weights that stay: of each sign all but this share, the largest by magnitude."""
    kept = torch.zeros_like(mask)
    for signed in (weights, -weights):
        left = mask & (signed > 0)
        n = int(left.sum())
        kept |= highest(name, signed, left, n - int(share * n))
    return kept


def _grown(name: str, kept: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
    """The kept weights, and those of the others with the highest scores, as many as the mask has."""
    return kept | highest(name, scores, ~kept, int(mask.sum()) - int(kept.sum()))


def _uniform(mask: Tensor, replicate: int, step: int, name: str) -> Tensor:
    """Scores at random; drawn on the CPU, so that they are the same on every device."""
    return torch.rand(mask.shape, generator=generator("set", replicate, step, name)).to(mask.device)
