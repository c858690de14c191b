"""Initializations: (net, seed) -> theta_0. The net is not modified.

Biases of prunable layers start at 0; normalization and all other tensors are copied from the net.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lth.layer import bias_of, prunable
from lth.weights import weights_of

# Direction -> norm of a weight-normalized layer, in PyTorch's two ways of writing one.
NORMS = {"original1": "original0", "weight_v": "weight_g"}


def glorot_normal(net: nn.Module, seed: int) -> dict[str, Tensor]:
    """Gaussian Glorot (Glorot & Bengio 2010, Eq. 12): N(0, 2 / (fan_in + fan_out)), not truncated; biases 0.

    Used by Frankle & Carbin 2019 (Figure 2).
    """
    return _draw(net, seed, nn.init.xavier_normal_)


def kaiming_normal(net: nn.Module, seed: int) -> dict[str, Tensor]:
    """Gaussian He for ReLU (He et al. 2015, Eq. 10): N(0, 2 / fan_in); biases 0."""
    return _draw(net, seed, lambda w, generator: nn.init.kaiming_normal_(w, nonlinearity="relu", generator=generator))


def _draw(net: nn.Module, seed: int, fill: Callable[..., Tensor]) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    weights = {name: value.detach().clone() for name, value in weights_of(net).items()}
    for name in prunable(net):
        fill(weights[name], generator=random)
        _norm(weights, name)
        if (bias := bias_of(name)) in weights:
            weights[bias].zero_()
    return weights


def _norm(weights: dict[str, Tensor], direction: str) -> None:
    """Give a weight-normalized layer (Salimans & Kingma 2016) the norms of what was drawn as its direction."""
    for ours, beside in NORMS.items():
        size = direction.removesuffix(ours) + beside
        if direction.endswith(ours) and size in weights:
            axes = [axis for axis, length in enumerate(weights[size].shape) if length == 1]
            weights[size] = torch.linalg.vector_norm(weights[direction], dim=axes, keepdim=True)
