"""Supermasks: a net that is not trained, in which the weights are chosen by learned scores. Scores are parameters of
their layers; everything else is frozen. Either the highest scores of a layer choose ("edge-popup", Ramanujan et al.
2020), or each score is the log-odds of its weight, and every pass draws a mask (Zhou et al. 2019, Section 5).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lth import UserError
from lth.data import Data, normalized
from lth.seed import uniform
from lth.task import Task
from lth.ticket import Mask, Weights, highest
from lth.weights import load

SCORED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCH = 1000  # examples that are evaluated at once
Tensors = Mapping[str, Tensor]
Choose = Callable[[Any], Tensor]


class _Scored(nn.Module):
    """Base class of the classes that layers of a scored net take in place of their own. choose: layer -> factors of its
    weights, with gradients of the scores.
    """

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
    net = _frozen(model(shape, outputs))
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

    A draw is a function of the buffers `key` and `step` of its layer; a step of training counts, evaluation does not.
    """
    net = _frozen(model(shape, outputs))
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
    layers = {name: net.get_submodule(name.rpartition(".")[0]) for name in mask}
    return {
        name: layer.choose(layer).bool() if isinstance(layer, _Scored) else mask[name] for name, layer in layers.items()
    }


def sampled(
    net: nn.Module,
    weights: Sequence[Weights],
    kept: Mask,
    data: Data,
    task: Task,
    *,
    before: Weights | None = None,
    device: str = "cpu",
    tick: Callable[[], None] = lambda: None,
    draws: int = 10,
) -> list[dict[str, Any]]:
    """Columns for each of several nets of a `bernoulli_model`, as the `compare` of a branch: sampled_test_loss and
    _accuracy, means over draws of the mask; ones and ones_by_layer, the expected share of the weights that take part, the
    latter as text. Draw d is that of step -1 - d, which no training has.
    """
    if draws < 1:
        raise UserError(f"draws={draws}: give at least 1, the number of masks that a net is evaluated with")
    inputs, targets = normalized(data, data.test, device)
    rows = []
    for each in weights:
        load(net.to(device).eval(), each)
        layers = [layer for layer in net.modules() if isinstance(layer, _Scored)]
        outputs = [_outputs(net, inputs, layers, -1 - draw) for draw in range(draws) if tick() is None]
        means = {name: torch.cat([of(each, targets) for each in outputs]).mean().item()
                 for name, of in (("loss", task.losses), (task.metric, task.metrics))}  # fmt: skip
        rows.append({f"sampled_test_{name}": mean for name, mean in means.items()} | _ones(layers))
    return rows


def top(scores: Tensor, kept: int) -> Tensor:
    """The mask of the `kept` highest scores; of equal ones the lower index goes."""
    if kept == scores.numel():
        return torch.ones_like(scores, dtype=torch.bool)
    above = scores > scores.flatten().kthvalue(scores.numel() - kept).values
    if int(above.sum()) == kept:
        return above
    return highest("scores", scores, torch.ones_like(above), kept)  # equal ones at the border, which takes longer


def _outputs(net: nn.Module, inputs: Tensor, layers: Sequence[Any], step: int) -> Tensor:
    """Outputs of the net with the mask of a step."""
    for layer in layers:
        layer.step.fill_(step)
    with torch.no_grad():
        return torch.cat([net(x) for x in inputs.split(BATCH)])


def _ones(layers: Sequence[Any]) -> dict[str, Any]:
    chances = [layer.scores.detach().sigmoid().flatten() for layer in layers]
    each = " ".join(f"{chance.mean():.4f}" for chance in chances)
    return {"ones": torch.cat(chances).mean().item(), "ones_by_layer": each}


def _frozen(net: nn.Module) -> nn.Module:
    return net.requires_grad_(False)


def _score(net: nn.Module, name: str, choose: Choose) -> nn.Module:
    """Give the layer of this weight scores, and what they choose by; the layer."""
    layer = net.get_submodule(name.rpartition(".")[0])
    if type(layer) not in SCORED or not name.endswith("weight"):
        raise UserError(f"branch: {name} of a {type(layer).__name__} can't be chosen by scores; weights of linear layers "
                        "and convolutions can")  # fmt: skip
    layer.register_parameter("scores", nn.Parameter(torch.empty_like(layer.get_parameter("weight"))))
    layer.choose = choose  # type: ignore[assignment]
    layer.__class__ = type(f"Scored{type(layer).__name__}", (_Scored, type(layer)), {})
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
