"""(scores, mask, density, net, shape) -> mask: where the weights that go compete with each other.

Counts are exact: of the remaining weights the lowest-scoring go, ties by index, and what is pruned stays pruned.
shape: that of one image. A scope reads off the net which weights belong together; it sees none of its values.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lth import neuron
from lth.ticket import Mask

Scores = Mapping[str, Tensor]
Densities = Mapping[str, float]


def layerwise(
    scores: Scores, mask: Mask, density: Densities, net: nn.Module, shape: Sequence[int]
) -> dict[str, Tensor]:
    """Each layer on its own keeps round(density * size) weights (Frankle & Carbin 2019, Section 2)."""
    kept = {name: _at_least_one(name, m, round(density[name] * m.numel())) for name, m in mask.items()}
    return {name: _highest(name, scores[name], m, kept[name]) for name, m in mask.items()}


def globally(scores: Scores, mask: Mask, density: Densities, net: nn.Module, shape: Sequence[int]) -> dict[str, Tensor]:
    """All layers compete for the sum of what they keep under `layerwise`; a layer of density 1 stays out of it.

    Frankle & Carbin 2019, Section 4, for deep networks, whose layers differ in size.
    """
    pool = [name for name in mask if density[name] < 1]
    if not pool:
        return {name: m.clone() for name, m in mask.items()}
    joined = torch.cat([mask[name].flatten() for name in pool])
    kept = _at_least_one("all layers", joined, sum(round(density[name] * mask[name].numel()) for name in pool))
    chosen = _highest("all layers", torch.cat([scores[name].flatten() for name in pool]), joined, kept)
    parts = dict(zip(pool, chosen.split([mask[name].numel() for name in pool]), strict=True))
    return {name: parts[name].view_as(m) if name in parts else m.clone() for name, m in mask.items()}


def neurons(scores: Scores, mask: Mask, density: Densities, net: nn.Module, shape: Sequence[int]) -> dict[str, Tensor]:
    """Whole units go, with all weights into and out of them, so that the net can be made smaller (see `compact`).

    Here density is the share of *units* that remains: each coupled group keeps round(density * size) of its units,
    those whose remaining incoming weights have the highest mean score. Of the weights between two such layers about the
    square of it remains; the density of a ticket is, as ever, the share of weights. Coupled layers of different
    densities keep the greatest; a layer of density 1 keeps its units, and loses only the weights from units that others
    lose. The classes always stay.
    """
    new = {name: m.clone() for name, m in mask.items()}
    for group in neuron.groups(net, shape):
        into = [part.name for part in group.of(mask, 0)]
        share = max(density[name] for name in into)
        if share == 1:
            continue
        name, left, count = into[-1], neuron.left(group, mask), neuron.total(group, mask, 0)
        summed = neuron.total(group, {n: scores[n].masked_fill(~mask[n], 0) for n in into}, 0)
        kept = _at_least_one(name, left, round(share * group.size), "units")
        new = neuron.without(new, group, ~_highest(name, summed / count.clamp(min=1), left, kept, "units"))
    return new


def n_of_m(
    scores: Scores,
    mask: Mask,
    density: Densities,
    net: nn.Module,
    shape: Sequence[int],
    *,
    n: int = 2,
    m: int = 4,
) -> dict[str, Tensor]:
    """Of each run of m consecutive inputs of a unit (channels, at each place of a filter) the n highest-scoring stay:
    2:4 is what sparse tensor cores multiply (Mishra et al. 2021).

    How much that leaves is n / m whatever the density, so one level is enough; a layer of density 1 stays out. A last
    run that is shorter counts as filled up with zeros, as hardware would: up to n of it stay.
    """
    if not 0 < n <= m:
        raise ValueError(f"scope.n={n}, scope.m={m}: keep at least one and at most all of each run")
    return {
        name: _highest_in_runs(name, scores[name], left, n, m) if density[name] < 1 else left.clone()
        for name, left in mask.items()
    }


def _highest_in_runs(name: str, scores: Tensor, mask: Tensor, n: int, m: int) -> Tensor:
    """Runs along axis 1."""
    if scores[mask].isnan().any():
        raise ValueError(f"a score of {name} is not a number")
    size = mask.shape[1]
    values = scores.detach().double()
    values = values.clamp(min=torch.finfo(values.dtype).min).masked_fill(~mask, -torch.inf)  # the pruned come last
    fill = values.new_full((len(mask), -size % m, *mask.shape[2:]), -torch.inf)
    values = torch.cat([values, fill], 1).unflatten(1, (-1, m))
    best = values.flip(2).argsort(dim=2, descending=True, stable=True)[:, :, :n]  # flipped: the later of equal ones
    chosen = torch.zeros_like(values, dtype=torch.bool).scatter_(2, m - 1 - best, True)
    return chosen.flatten(1, 2)[:, :size] & mask


def _at_least_one(name: str, mask: Tensor, kept: int, what: str = "weights") -> int:
    if kept < 1:
        raise ValueError(f"none of the {mask.numel()} {what} of {name} would be left: ask for fewer levels")
    return kept


def _highest(name: str, scores: Tensor, mask: Tensor, kept: int, what: str = "weights") -> Tensor:
    """The mask of the `kept` highest scores among the remaining; of equal scores the lower index goes first."""
    left = mask.flatten().nonzero().squeeze(1)
    if kept > len(left):
        raise ValueError(f"{name} has {len(left)} {what} left and can't keep {kept}: what is pruned stays pruned")
    candidates = scores.detach().flatten()[left]
    if candidates.isnan().any():
        raise ValueError(f"a score of {name} is not a number")
    survivors = left[candidates.argsort(stable=True)[len(left) - kept :]]
    chosen = torch.zeros(mask.numel(), dtype=torch.bool, device=mask.device)
    chosen[survivors] = True
    return chosen.view_as(mask)
