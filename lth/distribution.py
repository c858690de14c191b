"""Distributions of a pruning over the layers: (scores, mask, density) -> share of each layer that remains.

density: the share that the schedule asks of each layer, by its kind. A layer of density 1 is left as it is; the others
together keep the sum of round(density * size) weights, however they divide it, up to half a weight a layer, since each
keeps a whole number. Shares are of all weights of a layer.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lth import UserError
from lth.ticket import Mask, at_least_one, highest

Scores = Mapping[str, Tensor]
Densities = Mapping[str, float]


def by_kind(scores: Scores, mask: Mask, density: Densities) -> dict[str, float]:
    """Every layer keeps what the schedule asks of its kind (Frankle & Carbin 2019, Section 2)."""
    return _none_empty(_asked(mask, density), mask)


def globally(scores: Scores, mask: Mask, density: Densities) -> dict[str, float]:
    """All layers compete: the highest scores of the whole net stay, ties by index; a layer may lose all its weights.

    Frankle & Carbin 2019, Section 4, for deep networks, whose layers differ in size.
    """
    pool = _pool(mask, density)
    shares = _asked(mask, density)
    if not pool:
        return shares
    kept = highest(
        "all layers",
        torch.cat([scores[name].flatten() for name in pool]),
        torch.cat([mask[name].flatten() for name in pool]),
        _budget(mask, density),
    )
    parts = kept.split([mask[name].numel() for name in pool])
    return shares | {name: float(part.sum()) / len(part) for name, part in zip(pool, parts, strict=True)}


def uniform(scores: Scores, mask: Mask, density: Densities) -> dict[str, float]:
    """Every layer keeps the same share."""
    return _scaled(mask, density, dict.fromkeys(mask, 1.0))


def er(scores: Scores, mask: Mask, density: Densities) -> dict[str, float]:
    """Erdos-Renyi: the share of a layer is proportional to (n_in + n_out) / (n_in n_out) (Mocanu et al. 2018).

    Layers whose share would exceed 1 become dense, and the rest is rescaled until the total fits (Evci et al. 2020).
    """
    return _scaled(mask, density, {name: _erdos_renyi(m.shape[:2]) for name, m in mask.items()})


def erk(scores: Scores, mask: Mask, density: Densities) -> dict[str, float]:
    """Erdos-Renyi with kernel sizes: as `er`, the sides of a kernel counted among n_in and n_out (Evci et al. 2020)."""
    return _scaled(mask, density, {name: _erdos_renyi(m.shape) for name, m in mask.items()})


def balanced(scores: Scores, mask: Mask, density: Densities) -> dict[str, float]:
    """Every layer keeps the same number of weights; layers smaller than that stay dense (Gadhikar et al. 2023)."""
    return _scaled(mask, density, {name: 1 / m.numel() for name, m in mask.items()})


def by_layer(scores: Scores, mask: Mask, density: Densities, *, shares: Sequence[float]) -> dict[str, float]:
    """Every layer keeps a share of its own, whatever the schedule asks, so that one level is enough. shares: one for
    each prunable layer, in the order of the net.
    """
    if len(shares) != len(mask) or not all(0 < share <= 1 for share in shares):
        raise UserError(f"distribution.shares={[*shares]}: give a share above 0 and at most 1 for each of the "
                        f"{len(mask)} layers, {', '.join(mask)}")  # fmt: skip
    return _none_empty(dict(zip(mask, map(float, shares), strict=True)), mask)


def _asked(mask: Mask, density: Densities) -> dict[str, float]:
    """Shares that the schedule asks for; a layer that is left as it is has its own."""
    return {name: density[name] if density[name] < 1 else float(m.sum()) / m.numel() for name, m in mask.items()}


def _pool(mask: Mask, density: Densities) -> list[str]:
    return [name for name in mask if density[name] < 1]


def _budget(mask: Mask, density: Densities) -> int:
    pool = _pool(mask, density)
    kept = sum(round(density[name] * mask[name].numel()) for name in pool)
    return at_least_one("all layers", sum(mask[name].numel() for name in pool), kept)


def _scaled(mask: Mask, density: Densities, raw: Mapping[str, float]) -> dict[str, float]:
    """Shares in proportion to `raw` that keep the budget; one that would exceed 1 is 1, and the others are rescaled."""
    shares, pool = _asked(mask, density), _pool(mask, density)
    left = float(_budget(mask, density)) if pool else 0.0
    while pool:
        factor = left / sum(raw[name] * mask[name].numel() for name in pool)
        dense = [name for name in pool if factor * raw[name] > 1]
        shares |= dict.fromkeys(dense, 1.0) if dense else {name: factor * raw[name] for name in pool}
        left -= sum(mask[name].numel() for name in dense)
        pool = [name for name in pool if name not in dense] if dense else []
    return _none_empty(shares, mask)


def _erdos_renyi(sides: torch.Size) -> float:
    return sum(sides) / sides.numel()


def _none_empty(shares: dict[str, float], mask: Mask) -> dict[str, float]:
    for name, m in mask.items():
        at_least_one(name, m.numel(), round(shares[name] * m.numel()))
    return shares
