"""Multiply-accumulates of a forward pass."""

from collections.abc import Sequence

import torch
from torch import nn

from lth.ticket import Mask, prunable


def macs(net: nn.Module, shape: Sequence[int], mask: Mask | None = None) -> int:
    """Those of one image in convolutions and linear layers: weights (with a mask: kept ones) times output positions."""
    positions: dict[str, int] = {}
    hooks = [
        net.get_submodule(name.rpartition(".")[0]).register_forward_hook(
            lambda _, __, out, name=name: positions.__setitem__(name, out.shape[2:].numel())
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
    return sum(
        count * (net.get_parameter(name).numel() if mask is None else int(mask[name].sum()))
        for name, count in positions.items()
    )
