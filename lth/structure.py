"""Weights that go together when some of a layer go: (scores, mask, shares, net, example) -> mask.

Counts are exact: of the remaining units the lowest-scoring go, ties by index, and pruned weights stay pruned.
shares: the share of each layer that remains, from `lth.distribution`. example: some inputs as the net sees them, count
x shape. The net is only read. Before anything is trained, a structure is asked to leave all of the untrained net, so
that it can refuse what it can't treat.
"""

import logging
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn

from lth import UserError
from lth import neuron as units
from lth.distribution import Densities, Scores
from lth.layer import outputs_first
from lth.rules.ranges import check_n_of_m
from lth.ticket import Mask, at_least_one, check_scores, highest

log = logging.getLogger("lth")
TOLD = 5  # reasons that a sentence gives


def weight(scores: Scores, mask: Mask, shares: Densities, net: nn.Module, example: Tensor) -> dict[str, Tensor]:
    """Single weights go: each layer keeps round(share * size) of them."""
    return {name: highest(name, scores[name], m, round(shares[name] * m.numel())) for name, m in mask.items()}


def row(scores: Scores, mask: Mask, shares: Densities, net: nn.Module, example: Tensor) -> dict[str, Tensor]:
    """Single weights go, as many of each unit's inputs: weights are compared within an output (Sun et al. 2024, with
    criterion=wanda). Each unit of a layer keeps round(share * its number of inputs) of them.
    """
    return {name: _highest_in_rows(net, name, scores[name], left, shares[name]) for name, left in mask.items()}


def _highest_in_rows(net: nn.Module, name: str, scores: Tensor, mask: Tensor, share: float) -> Tensor:
    if share == 1:
        return mask.clone()
    left = outputs_first(net, name, mask)
    rows, size = left.flatten(1), left[0].numel()
    kept = at_least_one(name, size, round(share * size), "weights of a unit")
    values = outputs_first(net, name, scores).flatten(1)
    new = torch.stack([highest(name, value, row, kept) for value, row in zip(values, rows, strict=True)])
    return outputs_first(net, name, new.view_as(left))


def neuron(scores: Scores, mask: Mask, shares: Densities, net: nn.Module, example: Tensor) -> dict[str, Tensor]:
    """Whole neurons and filters go, with all weights into and out of them, so that the net can be made smaller.

    The share is one of *units* here: each coupled group keeps round(share * size) of its units, those whose remaining
    incoming weights have the highest mean score. Of the weights between two such layers about the square of it remains;
    the density of a ticket is, as ever, the share of weights. Coupled layers of different shares keep the greatest; a
    layer of share 1 keeps its units, and loses only the weights from units that others lose. The classes always stay,
    and so do units that an operation mixes, such as those in front of a LayerNorm: a net without some of them would not
    be the masked net. They are named in the log; a net that has no others is refused.
    """
    new = {name: m.clone() for name, m in mask.items()}
    for group in _removable(net, example):
        into = [part.name for part in group.of(mask, 0)]
        share = max(shares[name] for name in into)
        if share == 1:
            continue
        name, left, count = into[-1], units.left(group, mask), units.total(group, mask, 0)
        summed = units.total(group, {n: scores[n].masked_fill(~mask[n], 0) for n in into}, 0)
        kept = at_least_one(name, group.size, round(share * group.size), "units")
        new = units.without(new, group, ~highest(name, summed / count.clamp(min=1), left, kept, "units"))
    return new


def _removable(net: nn.Module, example: Tensor) -> list[units.Group]:
    found = units.units(net, example)
    reasons = _joined([f"{name}: {why}" for name, why in found.whole.items()])
    if not found.groups:
        why = reasons or "no layer is in front of another"
        raise UserError(f"structure=neuron can't remove units of {type(net).__name__} ({why}): use structure=weight")
    if reasons:
        _tell(f"structure=neuron leaves all units of some layers of {type(net).__name__} ({reasons})")
    return list(found.groups)


def _joined(reasons: Sequence[str]) -> str:
    more = [f"and {len(reasons) - TOLD} more"] if len(reasons) > TOLD else []
    return "; ".join([*reasons[:TOLD], *more])


@cache
def _tell(sentence: str) -> None:
    """Log a sentence once, not at each level."""
    log.warning("%s", sentence)


def n_of_m(
    scores: Scores,
    mask: Mask,
    shares: Densities,
    net: nn.Module,
    example: Tensor,
    *,
    n: int = 2,
    m: int = 4,
) -> dict[str, Tensor]:
    """Keep the n highest scores of every m consecutive inputs of a unit (channels, at each place of a filter): 2:4 is
    what sparse tensor cores multiply (Mishra et al. 2021).

    That leaves n / m whatever the share, so one level is enough; a layer of share 1 is left alone. A last run that is
    shorter counts as padded with zeros, as in hardware: up to n of it stay.
    """
    check_n_of_m(n, m)
    return {
        name: _highest_in_runs(net, name, scores[name], left, n, m) if shares[name] < 1 else left.clone()
        for name, left in mask.items()
    }


def _highest_in_runs(net: nn.Module, name: str, scores: Tensor, mask: Tensor, n: int, m: int) -> Tensor:
    """Keep the n highest scores of every m consecutive inputs."""
    check_scores(name, scores[mask])
    scores, mask = outputs_first(net, name, scores), outputs_first(net, name, mask)
    size = mask.shape[1]
    values = scores.detach().double()
    values = values.clamp(min=torch.finfo(values.dtype).min).masked_fill(~mask, -torch.inf)  # pruned weights come last
    fill = values.new_full((len(mask), -size % m, *mask.shape[2:]), -torch.inf)
    values = torch.cat([values, fill], 1).unflatten(1, (-1, m))
    best = values.flip(2).argsort(dim=2, descending=True, stable=True)[:, :, :n]  # flipped: the later of equal scores
    kept = torch.zeros_like(values, dtype=torch.bool).scatter_(2, m - 1 - best, True)
    return outputs_first(net, name, kept.flatten(1, 2)[:, :size] & mask)
