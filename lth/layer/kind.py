"""Weights that can be pruned, by the types of the layers that they belong to."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lth import UserError
from lth.weights import first_names

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
PARAMETRIZED = "parametrizations.weight."
SHORTCUTS = {"shortcut", "downsample"}


def prunable(net: nn.Module) -> dict[str, str]:
    """Parameter name -> kind ("conv", "shortcut" or "linear"), by the types of the layers, in the order of the net.

    Prunable are the weights of convolution and linear layers and the projections of attention; never biases,
    normalization or embeddings, and no weight without entries. Of a parametrized weight it is the original of the same
    shape. A shortcut is a convolution in a part called "shortcut" or, as in torchvision, "downsample".
    """
    first = first_names(net)
    found = {first[name]: kind for name, kind in _by_type(net) if name in first and not _is_empty(net, name)}
    return {name: found[name] for name in dict.fromkeys(first.values()) if name in found}


def bias_of(name: str) -> str:
    """The name that the bias beside a prunable weight has, if there is one."""
    bias = "in_proj_bias" if name.rpartition(".")[2] in PROJECTIONS else "bias"
    return f"{layer}.{bias}" if (layer := layer_of(name)) else bias


def outputs_first(net: nn.Module, name: str, weight: Tensor) -> Tensor:
    """A weight, or a tensor of its shape, with its outputs along the first axis, and back: a transposed convolution has
    the inputs of each group first.
    """
    return rows_first(net.get_submodule(layer_of(name)), weight)


def rows_first(layer: nn.Module, weight: Tensor) -> Tensor:
    """`outputs_first` of the weight of this layer."""
    groups = layer.groups if isinstance(layer, TRANSPOSED) else 0
    return weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1) if groups else weight


def only_its_own(net: nn.Module, name: str) -> None:
    """Raise UserError if the weight of this name is that of other layers too."""
    weight = net.get_parameter(name)
    parts = [(at, n, p) for at, layer in net.named_modules() for n, p in layer.named_parameters(recurse=False)]
    names = [f"{at}.{n}".removeprefix(".") for at, n, p in parts if p is weight]
    if len(names) > 1:
        raise UserError(f"branch: {' and '.join(names)} are one weight, and a branch that changes how layers compute "
                        "changes the first alone; give each layer its own")  # fmt: skip


def has(net: nn.Module, *kinds: type[nn.Module]) -> bool:
    """True if a layer of the net is of one of these types."""
    return any(isinstance(layer, kinds) for layer in net.modules())


def _is_empty(net: nn.Module, name: str) -> bool:
    weight = net.get_parameter(name)
    return not is_lazy(weight) and weight.numel() == 0


def layer_of(name: str) -> str:
    """The name of the layer that a prunable weight belongs to."""
    return f".{name.rpartition('.')[0]}".removesuffix(f".{PARAMETRIZED[:-1]}")[1:]


def _by_type(net: nn.Module) -> Iterator[tuple[str, str]]:
    for name, layer in net.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(layer, (nn.Linear, *CONVOLUTIONS)):
            kind = "linear" if isinstance(layer, nn.Linear) else _kind_of_conv(name)
            yield from ((f"{prefix}{part}", kind) for part in _originals(layer))
        elif isinstance(layer, nn.MultiheadAttention):
            yield from ((f"{prefix}{part}", "linear") for part in PROJECTIONS if getattr(layer, part) is not None)


def _originals(layer: nn.Module) -> list[str]:
    """The parameter that the weight of a layer is, or that it is computed from."""
    own = dict(layer.named_parameters())
    if "weight" in own:
        return ["weight"]
    shape = _shape(layer)
    return [name for name, p in own.items() if name.startswith(("weight_", PARAMETRIZED)) and p.shape == shape]


def _shape(layer: nn.Module) -> torch.Size | None:
    """The shape of the weight of a layer, computed in evaluation mode: in training a spectral norm changes its vectors
    when it is read.
    """
    modes = {part: part.training for part in layer.modules()}
    try:
        for part in modes:
            part.training = False
        return getattr(getattr(layer, "weight", None), "shape", None)
    finally:
        for part, mode in modes.items():
            part.training = mode


def _kind_of_conv(name: str) -> str:
    return "shortcut" if SHORTCUTS & set(name.split(".")) else "conv"
