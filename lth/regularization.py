"""weights -> what is added to the mean cross-entropy: it keeps the weights that training does not need small, so that
they can go (Han et al. 2015, Section 3.1). Of the prunable weights only; a pruned one is 0 and adds nothing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def none(weights: Sequence[Tensor]) -> None:
    """Nothing."""


def l1(weights: Sequence[Tensor], *, strength: float = 1e-5) -> Tensor:
    """strength * sum |w|: many weights end near 0, also those that stay are smaller."""
    return strength * torch.stack([weight.abs().sum() for weight in weights]).sum()


def l2(weights: Sequence[Tensor], *, strength: float = 1e-4) -> Tensor:
    """strength * sum w^2, in the loss: under Adam not the same as the optimizer's weight_decay."""
    return strength * torch.stack([weight.square().sum() for weight in weights]).sum()
