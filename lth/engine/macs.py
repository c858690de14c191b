"""Multiply-accumulates of a forward pass."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from lth.ticket import Mask, prunable


def macs(net: nn.Module, shape: Sequence[int], mask: Mask | None = None) -> int:
    """Multiply-accumulates of one image in convolutions and linear layers: weights (with a mask: kept ones) times
    output positions.
    """
    weights = {name: net.get_parameter(name).numel() for name in prunable(net)}
    kept = weights if mask is None else {name: int(m.sum()) for name, m in mask.items()}
    return total(positions(net, shape), kept)


def total(uses: Mapping[str, int], kept: Mapping[str, int]) -> int:
    """Sum of uses times kept weights over the layers."""
    return sum(count * kept[name] for name, count in uses.items())


def positions(net: nn.Module, shape: Sequence[int]) -> dict[str, int]:
    """Layer -> output positions at which an image uses each of its weights; the net is not modified."""
    found: dict[str, int] = {}
    hooks = [
        net.get_submodule(name.rpartition(".")[0]).register_forward_hook(
            lambda _, __, out, name=name: found.__setitem__(name, out.shape[2:].numel())
        )
        for name in prunable(net)
    ]
    mode = net.training
    try:
        with torch.no_grad():
            net.eval()(torch.zeros(1, *shape, device=next(net.parameters()).device))
    finally:
        net.train(mode)
        for hook in hooks:
            hook.remove()
    return found
