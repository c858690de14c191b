"""(scores, mask, density) -> mask: where the weights that go compete with each other.

Counts are exact: of the remaining weights the lowest-scoring go, ties by index, and what is pruned stays pruned.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from lth.ticket import Mask

Scores = Mapping[str, Tensor]


def layerwise(scores: Scores, mask: Mask, density: Mapping[str, float]) -> dict[str, Tensor]:
    """Each layer on its own keeps round(density * size) weights (Frankle & Carbin 2019, Section 2)."""
    kept = {name: _at_least_one(name, m, round(density[name] * m.numel())) for name, m in mask.items()}
    return {name: _highest(name, scores[name], m, kept[name]) for name, m in mask.items()}


def globally(scores: Scores, mask: Mask, density: Mapping[str, float]) -> dict[str, Tensor]:
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


def _at_least_one(name: str, mask: Tensor, kept: int) -> int:
    if kept < 1:
        raise ValueError(f"none of the {mask.numel()} weights of {name} would be left: ask for fewer levels")
    return kept


def _highest(name: str, scores: Tensor, mask: Tensor, kept: int) -> Tensor:
    """The mask of the `kept` highest scores among the remaining; of equal scores the lower index goes first."""
    left = mask.flatten().nonzero().squeeze(1)
    if kept > len(left):
        raise ValueError(f"{name} has {len(left)} weights left and can't keep {kept}: what is pruned stays pruned")
    candidates = scores.detach().flatten()[left]
    if candidates.isnan().any():
        raise ValueError(f"a score of {name} is not a number")
    survivors = left[candidates.argsort(stable=True)[len(left) - kept :]]
    chosen = torch.zeros(mask.numel(), dtype=torch.bool, device=mask.device)
    chosen[survivors] = True
    return chosen.view_as(mask)
