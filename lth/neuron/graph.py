"""Layers and operations that units of a net pass, by Torch-Pruning's dependency graph (Fang et al. 2023, "DepGraph"),
which is imported here only.
"""

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn
from torch_pruning._helpers import _HybridIndex

from lth import UserError
from lth.seed import undisturbed

# Operations on each number alone, or on the places of each channel, and products with a layer's weight.
HARMLESS = re.compile(
    r"Add|Addmm|T|Relu|LeakyRelu|Prelu|.*Elu|Gelu|Silu|Mish|Hard\w+|Tanh|Sigmoid|Softplus|Mul|Div|Sub|Neg|Abs|Pow|Exp|Sqrt|Clone"
    r"|Convolution|NativeBatchNorm|MkldnnConvolution|ThnnConv2D|MaxPool\w+|AvgPool\w+|Adaptive\w+|\w*Upsample\w*|View"
    r"|UnsafeView|Copy\w*|Dropout|NativeDropout|FeatureDropout|Unsqueeze|Squeeze|Expand|Contiguous|Clamp\w*"
)
STRUCTURAL = ("_Reshape", "_Split", "_Concat", "_Unbind", "_Slice")


class NotRemovable(Exception):
    """Units of a group can't be removed; the message says why."""


@dataclass(frozen=True, eq=False)
class Passed:
    """A layer, parameter or operation that units pass. reads: they are inputs of the layer, not its outputs. units:
    index along its axis -> unit of the first layer.
    """

    name: str
    layer: nn.Module | nn.Parameter
    reads: bool
    units: dict[int, int]

    @property
    def operation(self) -> str:
        """Name of an operation that may mix units, such as "Softmax"; "" for any other, and for layers."""
        if not type(self.layer).__module__.startswith(torch_pruning.__name__):
            return ""
        if self.name.startswith("_Elem"):
            operation = re.sub(r"Backward\d*", "", self.name.rpartition("(")[2].rstrip(")"))
            return "" if HARMLESS.fullmatch(operation) else operation
        if self.name.startswith(STRUCTURAL):
            return self.name.split("_")[1].removesuffix("Op").lower()
        return ""


def traced(net: nn.Module, example: Tensor) -> Any:
    """Torch-Pruning's graph of this net object. Raises UserError."""
    try:
        with torch.enable_grad(), undisturbed(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch_pruning.DependencyGraph().build_dependency(net.eval(), example, verbose=False)
    except Exception as error:  # Torch-Pruning raises anything on operations that it does not know
        raise UserError(
            f"the units of {type(net).__name__} can't be followed through its operations ({type(error).__name__}: "
            f"{error}), so none can be removed: prune single weights (structure=weight), and keep the net masked"
        ) from error


def roots(graph: Any, outputs: list[nn.Module]) -> Iterator[tuple[str, list[Passed] | NotRemovable]]:
    """Yield the first layer of each group of coupled units, and all that they pass; groups with an output have none."""
    done = set[Any](outputs)
    longest = 4 * max((size for p in graph.model.parameters() for size in p.shape), default=1)
    names = _names(graph)
    for layer in list(graph.module2node):
        if layer in done or not isinstance(layer, (nn.Linear, nn.modules.conv._ConvNd)):
            continue
        name = names[layer]
        try:
            found = _walk(graph, layer, longest)
        except NotRemovable as error:
            done.add(layer)
            yield name, error
            continue
        written = {each.layer for each in found if not each.reads}
        done |= written
        if found and not written & set(outputs):  # a layer without outputs has no units
            yield name, found


def _walk(graph: Any, root: nn.Module, longest: int) -> list[Passed]:
    """Follow the outputs of a layer. Raises NotRemovable if one index would belong to two units, or to too many."""
    node, pruner = graph.module2node[root], graph.get_pruner_of_module(root)
    start = [_HybridIndex(unit, unit) for unit in range(pruner.get_out_channels(root))]
    passed = {(node, pruner.prune_out_channels): {unit: unit for unit, _ in start}}
    todo = [(node, pruner.prune_out_channels, start)]
    while todo:
        node, handler, indices = todo.pop()
        for dep in node.dependencies:
            if dep.is_triggered_by(handler):
                found = _mapped(dep, indices)
                if len(found) > longest:
                    raise NotRemovable("an operation behind it repeats its units")
                if _note(passed.setdefault((dep.target, dep.handler), {}), found):
                    todo.append((dep.target, dep.handler, found))
    names = graph._param_to_name | _names(graph)  # of parameters outside of layers that Torch-Pruning knows, of layers
    return [
        Passed(names.get(at.module) or str(at.name), at.module, _reads(handler), units)
        for (at, handler), units in passed.items()
        if units
    ]


def _mapped(dep: Any, indices: list[Any]) -> list[Any]:
    """Indices behind an operation, of those in front of it."""
    try:
        for mapping in dep.index_mapping:
            indices = indices if mapping is None else mapping(indices)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise NotRemovable("an operation behind it moves its units") from error
    return indices


def _note(units: dict[int, int], found: list[Any]) -> bool:
    """Note the units of indices; True if some are new."""
    new = any(index not in units for index, _ in found)
    if any(units.setdefault(index, unit) != unit for index, unit in found):
        raise NotRemovable("an operation behind it mixes its units")
    return new


def _reads(handler: Any) -> bool:
    return str(handler.__name__).endswith("_in_channels")


def _names(graph: Any) -> dict[Any, str]:
    """Layer -> its name; the graph has it with a description behind, which a name may look like."""
    return {layer: name for name, layer in graph.model.named_modules()}
