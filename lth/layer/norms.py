"""Norms of what the weights of linear and convolution layers are multiplied with."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lth import UserError
from lth.layer.kind import CONVOLUTIONS
from lth.layer.trace import trace
from lth.seed import seeded
from lth.weights import called, copied, load

_Call = tuple[nn.Module, Tensor]
FEW = 2  # examples that are followed through the net, operation by operation
FORWARDS = [layer.forward for layer in (nn.Linear, *CONVOLUTIONS)]


class _Plain(nn.Module):
    """A layer without its hooks, which have seen the inputs already."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Any:
        return type(self.layer).forward(self.layer, x)


def input_norms(
    net: nn.Module, weights: Mapping[str, Tensor], names: Iterable[str], inputs: Tensor
) -> dict[str, Tensor]:
    """L2 norm of what each weight of these layers is multiplied with, of the shape of the weights, over a batch (B x
    shape) and the places of an image, in evaluation mode. weights: of the whole net, which is not modified. Raises
    UserError for a layer whose inputs are not seen.
    """
    layers = {name: _users(net, name) for name in names}
    calls = _calls(net, weights, layers, inputs)
    elsewhere = _elsewhere(net, weights, layers, inputs[:FEW])
    for name in [name for name, of_layers in calls.items() if not of_layers or name in elsewhere]:
        raise _unseen(name)
    return {name: _norms(of_layers) for name, of_layers in calls.items()}


def _elsewhere(
    net: nn.Module, weights: Mapping[str, Tensor], layers: Mapping[str, list[nn.Module]], few: Tensor
) -> set[str]:
    """Weights that more is multiplied with than what their layers are called with, as in an autoencoder with tied
    weights.
    """
    own = copied(net)
    load(own, weights)
    products, calls = trace(own, few).multiplied, _calls(net, weights, layers, few)
    return {name for name, of_layers in calls.items() if len(of_layers) < len(products.get(name, ()))}


def _users(net: nn.Module, name: str) -> list[nn.Module]:
    """The linear or convolution layers that this is the weight of: several if they share it."""
    weight = net.get_parameter(name)
    places = [(part, own) for part in net.modules() for own, value in part._parameters.items() if value is weight]
    if any(own != "weight" or type(part).forward not in FORWARDS for part, own in places):
        raise _unseen(name)
    return [part for part, _ in places]


def _unseen(name: str) -> UserError:
    return UserError(f"criterion=wanda needs the inputs of each layer, and {name} is not the weight of a linear or "
                     "convolution layer that the net calls, or is used outside it too: use another criterion, such "
                     "as magnitude")  # fmt: skip


def _calls(
    net: nn.Module, weights: Mapping[str, Tensor], layers: Mapping[str, list[nn.Module]], inputs: Tensor
) -> dict[str, list[_Call]]:
    """Layer and inputs of each call, in evaluation mode, for each weight."""
    seen: dict[str, list[_Call]] = {name: [] for name in layers}

    def watch(name: str) -> Any:
        return lambda layer, args, options: seen[name].append((layer, args[0] if args else options["input"]))

    every = [(name, layer) for name, users in layers.items() for layer in users]
    hooks = [layer.register_forward_pre_hook(watch(name), with_kwargs=True) for name, layer in every]
    mode = net.training
    try:
        with torch.no_grad(), seeded("norms"):
            called(net.eval(), {name: weight.clone() for name, weight in weights.items()}, inputs)
    finally:
        net.train(mode)
        for hook in hooks:
            hook.remove()
    return seen


def _norms(calls: list[_Call]) -> Tensor:
    """L2 norm of what each weight of these layers is multiplied with. They are linear in it: the sum of the squares is
    the gradient, by the weight, of the sum of the outputs for squared inputs.
    """
    weight = torch.zeros_like(calls[0][0].get_parameter("weight"), requires_grad=True)
    with torch.enable_grad():
        total = sum(functional_call(_Plain(layer), {"layer.weight": weight}, (x.square(),)).sum() for layer, x in calls)
        (squares,) = torch.autograd.grad(total, weight)
    return squares.sqrt()
