"""Layers whose weights are chosen by scores, and nets of them, which are frozen but for these."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lth import UserError
from lth.layer import Changed, layer_of, only_its_own
from lth.model.check import built
from lth.seed import uniform
from lth.ticket import Mask, top

SCORED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
Tensors = Mapping[str, Tensor]
Choose = Callable[[Any], Tensor]


class Scored(Changed):
    """Base class of the classes that layers of a scored net take in place of their own. choose: layer -> factors of its
    weights, with gradients of the scores.
    """

    def disguise(self) -> None:
        """Change the weights that do not take part."""
        self.weight.add_(self.choose(self) == 0)

    weight: Tensor
    scores: Tensor
    bias: Tensor | None
    choose: Choose

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * self.choose(self)
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
    net = built(model, shape, outputs).requires_grad_(False)
    for name, count in kept.items():
        layer = _score(net, name, partial(_highest, kept=count))
        nn.init.kaiming_uniform_(layer.get_parameter("scores"), a=math.sqrt(5))
    return net


def bernoulli_model(
    shape: Sequence[int],
    outputs: int,
    *,
    model: Callable[..., nn.Module],
    layers: Sequence[str],
    rescaled: bool = False,
) -> nn.Module:
    """`model(shape, outputs)`, frozen, whose weights of these names take part with probability sigmoid(score) each, as
    the model of a recipe. Scores start at 0. rescaled: "dynamic weight rescaling", weights times the size of their
    layer / the weights that were drawn. Raises UserError as `scored_model` does.

    A draw is a function of the buffers `key` and `step` of its layer; a pass in training counts, one in evaluation not.
    """
    net = built(model, shape, outputs).requires_grad_(False)
    for name in layers:
        layer = _score(net, name, partial(_drawn, rescaled=rescaled))
        nn.init.zeros_(layer.get_parameter("scores"))
        layer.register_buffer("key", torch.tensor(0))
        layer.register_buffer("step", torch.tensor(0))
    return net


def settled(step: int, weights: Tensors, gradients: Tensors, mask: Mask, *, net: nn.Module, at: int) -> Mask:
    """Updater of a scored net: at step `at`, the weights that were chosen become the mask."""
    if step != at:
        return mask
    layers = {name: net.get_submodule(layer_of(name)) for name in mask}
    return {
        name: layer.choose(layer).bool() if isinstance(layer, Scored) else mask[name] for name, layer in layers.items()
    }


def _score(net: nn.Module, name: str, choose: Choose) -> nn.Module:
    """Give the layer of this weight scores, and what they choose by; the layer."""
    layer = net.get_submodule(layer_of(name))
    if type(layer) not in SCORED or not name.endswith("weight"):
        raise UserError(
            f"branch: {name} of a {type(layer).__name__} can't be chosen by scores; only weights of linear layers and "
            "of convolutions that are not transposed can: leave the branch out"
        )
    only_its_own(net, name)
    layer.register_parameter("scores", nn.Parameter(torch.empty_like(layer.get_parameter("weight"))))
    layer.choose = choose  # type: ignore[assignment]
    layer.__class__ = type(f"Scored{type(layer).__name__}", (Scored, type(layer)), {})
    return layer


def _highest(layer: Any, *, kept: int) -> Tensor:
    sizes = layer.scores.abs()
    return _straight_through(top(sizes.detach(), kept), sizes)


def _drawn(layer: Any, *, rescaled: bool) -> Tensor:
    chances = layer.scores.sigmoid()
    chosen = _straight_through(uniform(layer.key, layer.step, chances) < chances, chances)
    if layer.training:
        layer.step.add_(1)
    ones = chosen.sum()
    return chosen * (chosen.numel() / (ones + (ones == 0))) if rescaled else chosen


def _straight_through(chosen: Tensor, of: Tensor) -> Tensor:
    """1 where it was chosen, else 0, exactly, with the gradient of `of` (Bengio et al. 2013)."""
    return chosen.to(of.dtype) + (of - of.detach())
