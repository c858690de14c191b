"""Initializations: (net, seed) -> theta_0. The net is not modified.

Biases of prunable layers start at 0; normalization and all other tensors are copied from the net.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lth.layer import prunable
from lth.weights import weights_of


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
        bias = f"{name.removesuffix('weight')}bias"
        if bias in weights:
            weights[bias].zero_()
    return weights
