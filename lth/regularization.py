"""Penalties: prunable weights -> scalar that is added to the mean loss of a batch. They shrink weights that training
does not need, before pruning (Han et al. 2015, Section 3.1). Pruned weights are 0 and add nothing. One whose first
parameter is called `scales` is given those of the net's batch norm in their place.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def none(weights: Sequence[Tensor]) -> None:
    """No penalty."""


def l1(weights: Sequence[Tensor], *, strength: float = 1e-5) -> Tensor:
    """strength * sum |w|: drives many weights towards 0 and shrinks the others too."""
    return strength * torch.stack([weight.abs().sum() for weight in weights]).sum()


def l2(weights: Sequence[Tensor], *, strength: float = 1e-4) -> Tensor:
    """strength * sum w^2, in the loss; under Adam this differs from the optimizer's weight_decay."""
    return strength * torch.stack([weight.square().sum() for weight in weights]).sum()


def batch_norm_l1(scales: Sequence[Tensor], *, strength: float = 1e-4) -> Tensor:
    """strength * sum |gamma| over the scales of batch norm, so that channels can be pruned by them (Liu et al. 2017,
    "network slimming"; with criterion=batch_norm_scale structure=neuron).
    """
    return l1(scales, strength=strength)
