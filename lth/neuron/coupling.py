"""Groups of coupled units, found by tracing the net with Torch-Pruning's dependency graph (Fang et al. 2023,
"DepGraph"), which is imported here only.

The units of the output layer are the classes; they are in no group and never removed.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn

from lth import UserError
from lth.neuron.group import Group, Part
from lth.neuron.removal import CONVOLUTIONS, NORMS, copied
from lth.weights import first_names, weights_of

# Operations on each number alone, or on the places of each channel, and products with a layer's weight.
HARMLESS = re.compile(
    r"Add|Addmm|T|Relu|LeakyRelu|Prelu|.*Elu|Gelu|Silu|Mish|Hard\w+|Tanh|Sigmoid|Softplus|Mul|Div|Sub|Neg|Abs|Pow|Exp|Sqrt|Clone"
    r"|Convolution|NativeBatchNorm|MkldnnConvolution|ThnnConv2D|MaxPool\w+|AvgPool\w+|Adaptive\w+|\w*Upsample\w*|View"
    r"|UnsafeView|Copy\w*|Dropout|NativeDropout|FeatureDropout|Unsqueeze|Squeeze|Expand|Contiguous|Clamp\w*"
)


class NotRemovable(Exception):
    """Units of a group can't be removed; the message says why."""


def coupled(net: nn.Module, example: Tensor, kinds: Mapping[str, str]) -> tuple[list[Group], dict[str, str]]:
    """Groups of all units except the classes, in the order of the trace; and layers whose units can't be removed ->
    why. example: inputs as the net sees them, count x shape. kinds: see `lth.layer`. The net is not modified. Raises
    UserError.
    """
    state, first = weights_of(net), first_names(net)
    groups, whole = list[Group](), dict[str, str]()
    for found in _found(net, example, kinds):
        try:
            groups.append(_group(state, first, found))
        except NotRemovable as error:
            whole[_name(found[0].dep.target)] = str(error)
    return [group for group in groups if group.of(kinds, 0)], whole


def _found(net: nn.Module, example: Tensor, kinds: Mapping[str, str]) -> Sequence[Any]:
    """Torch-Pruning's groups of a copy of the net."""
    traced = copied(net).eval()
    last = [traced.get_submodule(name.rpartition(".")[0]) for name, kind in kinds.items() if kind == "output"]
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = torch_pruning.DependencyGraph().build_dependency(traced, example[:1], verbose=False)
            return list(graph.get_all_groups(ignored_layers=last))
    except Exception as error:  # Torch-Pruning raises anything on operations that it does not know
        raise UserError(
            f"the units of {type(net).__name__} can't be followed through its operations ({type(error).__name__}: "
            f"{error}), so none can be removed: use structure=weight"
        ) from error


def _group(state: Mapping[str, Tensor], first: Mapping[str, str], found: Any) -> Group:
    parts, size = [], len(found[0].idxs)
    for item in found:
        for name, axis in _tensors(item.dep.target, item.dep.handler.__name__):
            unit = torch.full((state[first[name]].shape[axis],), -1)
            try:
                unit[torch.tensor(item.idxs)] = torch.tensor(item.root_idxs)
            except (IndexError, RuntimeError, TypeError) as error:
                raise NotRemovable(f"{name} does not have an index for each of them") from error
            parts.append(Part(first[name], axis, unit))
    return Group(size, tuple(parts), tuple(dict.fromkeys(_operations(found))))


def _tensors(node: Any, handler: str) -> Iterator[tuple[str, int]]:
    """Names and axes of the tensors of a layer of the trace; operations without parameters have none."""
    name, layer = _name(node), node.module
    if isinstance(layer, nn.Parameter):
        raise NotRemovable("a parameter outside of any layer depends on them")
    if not layer.state_dict():
        return
    kind = type(layer).__name__
    if isinstance(layer, (nn.Linear, *CONVOLUTIONS)):
        if "weight" not in dict(layer.named_parameters(recurse=False)):
            raise NotRemovable(f"the weight of {name} is computed from other parameters")
        depthwise = getattr(layer, "groups", 1) > 1
        if depthwise and not layer.groups == layer.in_channels == layer.out_channels:
            raise NotRemovable(f"{name} is a grouped convolution")
        if handler.endswith("_in_channels") and not depthwise:
            yield f"{name}.weight", 1
            return
    elif not isinstance(layer, (*NORMS, nn.PReLU)):
        raise NotRemovable(f"{name} ({kind}) reads them")
    yield from ((f"{name}.{key}", 0) for key, value in layer.state_dict().items() if value.ndim and len(value) > 1)


def _operations(found: Any) -> Iterator[str]:
    """Names of the operations in a group that may mix units, such as "Softmax"."""
    for item in found:
        name = str(item.dep.target.name)
        operation = re.sub(r"Backward\d*", "", name.rpartition("(")[2].rstrip(")")) if name.startswith("_Elem") else ""
        if operation and not HARMLESS.fullmatch(operation):
            yield operation
        if name.startswith(("_Reshape", "_Split", "_Concat", "_Unbind", "_Slice")):
            yield name.partition("_")[2].partition("_")[0].removesuffix("Op").lower()


def _name(node: Any) -> str:
    """Name of the layer of a node."""
    return str(node.name).partition(" ")[0]
