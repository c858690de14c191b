"""Units (neurons of linear layers, filters of convolutions) and the parameters that are removed with them.

Coupled parameters are found by tracing the net with Torch-Pruning's dependency graph (Fang et al. 2023, "DepGraph"),
which is imported here only. The units of the output layer are the classes; they are in no group and never removed.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn

from lth.layer import layers


@dataclass(frozen=True, eq=False)
class Part:
    """One axis of a parameter or buffer. `unit[i]` (int64) is the unit that index i belongs to, or -1 if it belongs to
    another group.
    """

    name: str
    axis: int
    unit: Tensor


@dataclass(frozen=True, eq=False)
class Group:
    """Units that are coupled across layers: unit u is removed from all parts at once, as in a residual stream.

    Parts on axis 0 hold a unit's incoming weights, bias and batch norm; parts on axis 1 the weights that read it.
    """

    size: int
    parts: tuple[Part, ...]

    def of(self, names: Mapping[str, Any], axis: int) -> list[Part]:
        """Parts on this axis with one of these names."""
        return [part for part in self.parts if part.axis == axis and part.name in names]


def groups(net: nn.Module, shape: Sequence[int]) -> list[Group]:
    """Groups of all units except the classes, in the order of the trace; the net is not modified."""
    state = net.state_dict()
    return [_group(state, found) for found in _found(copy.deepcopy(net), shape)]


def total(group: Group, tensors: Mapping[str, Tensor], axis: int) -> Tensor:
    """Sum of the entries of these tensors into each unit (axis 0) or out of it (axis 1): float64, one per unit."""
    sums = torch.zeros(group.size, dtype=torch.float64)
    for part in group.of(tensors, axis):
        rows = tensors[part.name].detach().movedim(axis, 0).reshape(len(part.unit), -1)
        own = part.unit >= 0
        sums.index_add_(0, part.unit[own], rows.sum(1, dtype=torch.float64)[own])
    return sums


def left(group: Group, mask: Mapping[str, Tensor]) -> Tensor:
    """Units with at least one remaining weight into or out of them, as a bool per unit."""
    return total(group, mask, 0) + total(group, mask, 1) > 0


def without(mask: Mapping[str, Tensor], group: Group, removed: Tensor) -> dict[str, Tensor]:
    """The mask without the weights into and out of the removed units (bool, one per unit)."""
    new = dict(mask)
    for axis in (0, 1):
        for part in group.of(mask, axis):
            along = _along(part, removed).view(*(-1 if i == axis else 1 for i in range(mask[part.name].ndim)))
            new[part.name] = new[part.name] & ~along
    return new


def selected(tensors: Mapping[str, Tensor], groups: Sequence[Group], removed: Sequence[Tensor]) -> dict[str, Tensor]:
    """Rows and columns of the remaining units, from any state dict or mask: W_T, or theta_0 to rewind."""
    kept: dict[tuple[str, int], Tensor] = {}
    for group, units in zip(groups, removed, strict=True):
        for part in group.parts:
            kept[part.name, part.axis] = kept.get((part.name, part.axis), True) & ~_along(part, units)
    new = {name: tensor.clone() for name, tensor in tensors.items()}
    for (name, axis), along in kept.items():
        if name in new:
            new[name] = new[name].index_select(axis, along.nonzero().flatten())
    return new


def remove(net: nn.Module, shape: Sequence[int], removed: Sequence[Tensor]) -> None:
    """Remove units from the net in place. removed: for each of `groups(net, shape)` a bool per unit, not all True."""
    for found, units in zip(_found(net, shape), removed, strict=True):
        if units.any():
            found.prune(units.nonzero().flatten().tolist())


def _along(part: Part, units: Tensor) -> Tensor:
    """Expand a bool per unit to a bool per index of the part's axis; False for other groups' units."""
    return units[part.unit] & (part.unit >= 0)


def _found(net: nn.Module, shape: Sequence[int]) -> list[Any]:
    """Torch-Pruning's groups of this net object; they refer to its layers and can shrink them in place."""
    mode, images = net.training, next(net.parameters()).new_zeros(1, *shape)
    kinds = layers(net, images).kinds
    last = [net.get_submodule(name.rpartition(".")[0]) for name, kind in kinds.items() if kind == "output"]
    try:
        with torch.enable_grad():
            graph = torch_pruning.DependencyGraph().build_dependency(net.eval(), images, verbose=False)
    finally:
        net.train(mode)
    return list(graph.get_all_groups(ignored_layers=last))


def _group(state: Mapping[str, Tensor], found: Any) -> Group:
    parts = []
    for item in found:
        for name, axis in _tensors(item.dep.target, item.dep.handler.__name__):
            unit = torch.full((state[name].shape[axis],), -1)
            unit[torch.tensor(item.idxs)] = torch.tensor(item.root_idxs)
            parts.append(Part(name, axis, unit))
    return Group(len(found[0].idxs), tuple(parts))


def _tensors(node: Any, handler: str) -> Iterator[tuple[str, int]]:
    """Names and axes of the tensors of a layer of the trace; operations without parameters have none."""
    if isinstance(node.module, nn.Parameter):
        raise ValueError("a parameter outside of any layer depends on units: neurons of this net can't be removed")
    name, layer = node.name.partition(" ")[0], node.module
    depthwise = getattr(layer, "groups", 1) > 1
    if depthwise and not layer.groups == layer.in_channels == layer.out_channels:
        raise ValueError(f"{name} is a grouped convolution: neurons of this net can't be removed")
    if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) and handler.endswith("_in_channels"):
        yield f"{name}.weight", 1
    else:
        yield from ((f"{name}.{key}", 0) for key, value in layer.state_dict().items() if value.ndim)
