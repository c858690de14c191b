"""Units (neurons of linear layers, filters of convolutions) and all that goes when one of them goes.

What belongs together is found by tracing the net: Torch-Pruning's dependency graph (Fang et al. 2023, "DepGraph"). The
only door to it. The units of the output layer are the classes; they belong to no group and are never removed.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn

from lth.ticket import prunable


@dataclass(frozen=True, eq=False)
class Part:
    """An axis of a parameter or buffer. unit (int64, as long as the axis): whose each place is; -1: another group's."""

    name: str
    axis: int
    unit: Tensor


@dataclass(frozen=True, eq=False)
class Group:
    """Units that are coupled across layers: unit u of all parts goes as one, as the filters of a residual stream do.

    On axis 0 are the weights into a unit, its bias and its batch norm, on axis 1 the weights that read it.
    """

    size: int
    parts: tuple[Part, ...]

    def of(self, names: Mapping[str, Any], axis: int) -> list[Part]:
        """The parts on this axis that have one of these names."""
        return [part for part in self.parts if part.axis == axis and part.name in names]


def groups(net: nn.Module, shape: Sequence[int]) -> list[Group]:
    """Every unit but the classes, by group, in the order of the trace; the net is only read."""
    state = net.state_dict()
    return [_group(state, found) for found in _found(copy.deepcopy(net), shape)]


def total(group: Group, tensors: Mapping[str, Tensor], axis: int) -> Tensor:
    """float64, one per unit: the sum of all entries of these tensors into it (axis 0) or out of it (axis 1)."""
    sums = torch.zeros(group.size, dtype=torch.float64)
    for part in group.of(tensors, axis):
        rows = tensors[part.name].detach().movedim(axis, 0).reshape(len(part.unit), -1)
        own = part.unit >= 0
        sums.index_add_(0, part.unit[own], rows.sum(1, dtype=torch.float64)[own])
    return sums


def left(group: Group, mask: Mapping[str, Tensor]) -> Tensor:
    """bool, one per unit: whether a weight into it or out of it remains."""
    return total(group, mask, 0) + total(group, mask, 1) > 0


def without(mask: Mapping[str, Tensor], group: Group, gone: Tensor) -> dict[str, Tensor]:
    """The mask with no weight into or out of the units that are gone (bool, one per unit)."""
    new = dict(mask)
    for axis in (0, 1):
        for part in group.of(mask, axis):
            places = _places(part, gone).view(*(-1 if i == axis else 1 for i in range(mask[part.name].ndim)))
            new[part.name] = new[part.name] & ~places
    return new


def selected(tensors: Mapping[str, Tensor], groups: Sequence[Group], gone: Sequence[Tensor]) -> dict[str, Tensor]:
    """The rows and columns of what stays, of any state dict or mask: W_T, or theta_0 to rewind."""
    stay: dict[tuple[str, int], Tensor] = {}
    for group, units in zip(groups, gone, strict=True):
        for part in group.parts:
            stay[part.name, part.axis] = stay.get((part.name, part.axis), True) & ~_places(part, units)
    new = {name: tensor.clone() for name, tensor in tensors.items()}
    for (name, axis), places in stay.items():
        if name in new:
            new[name] = new[name].index_select(axis, places.nonzero().flatten())
    return new


def remove(net: nn.Module, shape: Sequence[int], gone: Sequence[Tensor]) -> None:
    """Make the net itself smaller; gone as for `groups(net, shape)`, bool, one per unit. No group may lose all."""
    for found, units in zip(_found(net, shape), gone, strict=True):
        if units.any():
            found.prune(units.nonzero().flatten().tolist())


def _places(part: Part, gone: Tensor) -> Tensor:
    """bool, as long as the axis: what belongs to the units that are gone."""
    return gone[part.unit] & (part.unit >= 0)


def _found(net: nn.Module, shape: Sequence[int]) -> list[Any]:
    """Torch-Pruning's groups of this very net, which only they can make smaller."""
    kinds, mode, images = prunable(net), net.training, next(net.parameters()).new_zeros(1, *shape)
    last = [name for name, kind in kinds.items() if kind == "output"] or list(kinds)  # some nets end in a convolution
    try:
        with torch.enable_grad():
            graph = torch_pruning.DependencyGraph().build_dependency(net.eval(), images, verbose=False)
    finally:
        net.train(mode)
    return list(graph.get_all_groups(ignored_layers=[net.get_submodule(last[-1].rpartition(".")[0])]))


def _group(state: Mapping[str, Tensor], found: Any) -> Group:
    parts = []
    for item in found:
        for name, axis in _tensors(item.dep.target, item.dep.handler.__name__):
            unit = torch.full((state[name].shape[axis],), -1)
            unit[torch.tensor(item.idxs)] = torch.tensor(item.root_idxs)
            parts.append(Part(name, axis, unit))
    return Group(len(found[0].idxs), tuple(parts))


def _tensors(node: Any, handler: str) -> Iterator[tuple[str, int]]:
    """The names and axes of what a layer of the trace owns; operations without parameters own nothing."""
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
