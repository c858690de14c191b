"""Supermasks: a net that is not trained, in which the weights are chosen by learned scores (Ramanujan et al. 2020,
"edge-popup"). Scores are parameters of their layers; everything else is frozen.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lth import UserError
from lth.ticket import Mask, highest

SCORED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
Tensors = Mapping[str, Tensor]


class _Chosen(torch.autograd.Function):
    """Scores -> 1 for the `kept` highest, else 0; gradients pass straight through."""

    @staticmethod
    def forward(_: Any, scores: Tensor, kept: int) -> Tensor:
        return top(scores, kept).to(scores.dtype)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class _Scored(nn.Module):
    """Base class of the classes that layers of a scored net take in place of their own."""

    weight: Tensor
    scores: Tensor
    bias: Tensor | None
    kept: int

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * _Chosen.apply(self.scores.abs(), self.kept)
        if isinstance(self, nn.Linear):
            return nn.functional.linear(x, weight, self.bias)
        return self._conv_forward(x, weight, self.bias)  # type: ignore[no-any-return, operator]


def scored_model(
    shape: Sequence[int], outputs: int, *, model: Callable[..., nn.Module], kept: Mapping[str, int]
) -> nn.Module:
    """`model(shape, outputs)`, frozen, with scores for some of its weights, as the model of a recipe. kept: name of a
    weight -> how many of its layer take part, those with the highest magnitudes of scores. Scores start as the weights
    of a linear layer in PyTorch do. Raises UserError for layers other than linear ones and convolutions.
    """
    net = model(shape, outputs)
    net.requires_grad_(False)
    for name, count in kept.items():
        layer = net.get_submodule(name.rpartition(".")[0])
        if type(layer) not in SCORED:
            raise UserError(f"branch=edge_popup scores linear layers and convolutions, and {name} belongs to a "
                            f"{type(layer).__name__}: use another branch")  # fmt: skip
        layer.register_parameter("scores", nn.Parameter(torch.empty_like(layer.get_parameter("weight"))))
        nn.init.kaiming_uniform_(layer.get_parameter("scores"), a=math.sqrt(5))
        layer.kept = count  # type: ignore[assignment]
        layer.__class__ = type(f"Scored{type(layer).__name__}", (_Scored, type(layer)), {})
    return net


def settled(step: int, weights: Tensors, gradients: Tensors, mask: Mask, *, net: nn.Module, at: int) -> Mask:
    """Updater of a scored net: at step `at`, the weights that were chosen become the mask."""
    if step != at:
        return mask
    layers = {name: net.get_submodule(name.rpartition(".")[0]) for name in mask}
    return {
        name: top(layer.scores.abs(), layer.kept) if isinstance(layer, _Scored) else mask[name]
        for name, layer in layers.items()
    }


def top(scores: Tensor, kept: int) -> Tensor:
    """The mask of the `kept` highest scores; of equal ones the lower index goes."""
    if kept == scores.numel():
        return torch.ones_like(scores, dtype=torch.bool)
    above = scores > scores.flatten().kthvalue(scores.numel() - kept).values
    if int(above.sum()) == kept:
        return above
    return highest("scores", scores, torch.ones_like(above), kept)  # equal ones at the border, which takes longer
