"""Norms of what the weights of linear and convolution layers are multiplied with."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lth import UserError
from lth.layer.kind import CONVOLUTIONS

FORWARDS = [layer.forward for layer in (nn.Linear, *CONVOLUTIONS)]


def input_norms(
    net: nn.Module, weights: Mapping[str, Tensor], names: Iterable[str], inputs: Tensor
) -> dict[str, Tensor]:
    """L2 norm of what each weight of these layers is multiplied with, of the shape of the weights, over a batch (B x
    shape) and the places of an image, in evaluation mode. weights: of the whole net, which is not modified. Raises
    UserError for a layer whose inputs are not seen.
    """
    layers = {name: _plain(net, name) for name in names}
    calls = _calls(net, weights, layers, inputs)
    return {name: _norms(layer, calls[name]) for name, layer in layers.items()}


def _plain(net: nn.Module, name: str) -> nn.Module:
    """The linear or convolution layer that this is the weight of."""
    path, _, attribute = name.rpartition(".")
    layer = net.get_submodule(path)
    if attribute != "weight" or type(layer).forward not in FORWARDS:
        raise _unseen(name)
    return layer


def _unseen(name: str) -> UserError:
    return UserError(f"criterion=wanda needs the inputs of each layer, and {name} is not the weight of a linear or "
                     "convolution layer that the net calls: use another criterion, such as magnitude")  # fmt: skip


def _calls(
    net: nn.Module, weights: Mapping[str, Tensor], layers: Mapping[str, nn.Module], inputs: Tensor
) -> dict[str, list[Tensor]]:
    """Inputs of the layers, one for each call, in evaluation mode. Raises UserError if a layer is not called."""
    seen: dict[str, list[Tensor]] = {name: [] for name in layers}

    def watch(name: str) -> Any:
        return lambda _, args, options: seen[name].append(args[0] if args else options["input"])

    hooks = [layer.register_forward_pre_hook(watch(name), with_kwargs=True) for name, layer in layers.items()]
    mode = net.training
    try:
        with torch.no_grad():
            functional_call(net.eval(), {name: weight.clone() for name, weight in weights.items()}, (inputs,))
    finally:
        net.train(mode)
        for hook in hooks:
            hook.remove()
    for name in [name for name, calls in seen.items() if not calls]:
        raise _unseen(name)
    return seen


def _norms(layer: nn.Module, calls: list[Tensor]) -> Tensor:
    """L2 norm of what each weight of a layer is multiplied with. A layer is linear in its weights: the sum of their
    squares is the gradient, by the weight, of the sum of the outputs for squared inputs.
    """
    weight = torch.zeros_like(layer.get_parameter("weight"), requires_grad=True)
    with torch.enable_grad():
        total = sum(functional_call(layer, {"weight": weight}, (x.square(),)).sum() for x in calls)
        (squares,) = torch.autograd.grad(total, weight)
    return squares.sqrt()
