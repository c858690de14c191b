"""Batch norm over a whole batch of which each process has a part.

PyTorch's SyncBatchNorm computes the same on GPUs alone. This one also works on a CPU, and leaves the modules of the net
and the names of their weights as they are.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


def synchronize(net: nn.Module) -> None:
    """Let the batch norms of a net, in training, take their statistics over the parts of all processes."""
    for layer in net.modules():
        if isinstance(layer, _BatchNorm):
            layer.forward = partial(_normalized, layer, layer.forward)  # type: ignore[method-assign]


def _normalized(layer: _BatchNorm, alone: Any, x: Tensor) -> Tensor:
    """Output of a layer. alone: its own forward."""
    if not layer.training:  # also one that keeps no statistics: each process evaluates batches of its own
        output: Tensor = alone(x)
        return output
    values, axes, shape = (
        x.float() if x.dtype != torch.float64 else x,
        [0, *range(2, x.dim())],
        (1, -1, *[1] * (x.dim() - 2)),
    )
    count = _sum(torch.tensor(x.numel() / x.shape[1], dtype=values.dtype, device=x.device))
    mean = _sum(values.sum(axes)) / count
    centered = values - mean.view(shape)
    variance = _sum(centered.square().sum(axes)) / count
    if layer.running_mean is not None:
        _remember(layer, mean.detach(), variance.detach() * count / (count - 1))
    normal: Tensor = centered * (variance + layer.eps).rsqrt().view(shape)
    if layer.affine:
        normal = normal * layer.weight.view(shape) + layer.bias.view(shape)
    return normal.to(x.dtype)


def _remember(layer: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Update the running statistics as PyTorch does."""
    seen, means, variances = layer.num_batches_tracked, layer.running_mean, layer.running_var
    assert seen is not None and means is not None and variances is not None  # noqa: PT018
    with torch.no_grad():
        seen.add_(1)
        share = 1 / float(seen) if layer.momentum is None else layer.momentum
        means.lerp_(mean.to(means.dtype), share)
        variances.lerp_(variance.to(variances.dtype), share)


def _sum(values: Tensor) -> Tensor:
    """Sum over all processes, of the gradients too."""
    total: Tensor = _Sum.apply(values)
    return total


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone().contiguous()
        distributed.all_reduce(total)
        return total
