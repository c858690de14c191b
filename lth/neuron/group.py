"""Groups of units, and the rows and columns of a state dict or mask that belong to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


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
    operations: those between its layers that may mix units, as a reader knows them.
    """

    size: int
    parts: tuple[Part, ...]
    operations: tuple[str, ...] = ()

    def of(self, names: Mapping[str, Any], axis: int) -> list[Part]:
        """Parts on this axis with one of these names."""
        return [part for part in self.parts if part.axis == axis and part.name in names]


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
    """Rows and columns of the remaining units, from any state dict, mask or gradients: W_T, or theta_0 to rewind."""
    kept: dict[tuple[str, int], Tensor] = {}
    for group, units in zip(groups, removed, strict=True):
        for part in group.parts:
            kept[part.name, part.axis] = kept.get((part.name, part.axis), True) & ~_along(part, units)
    new = {name: tensor.clone() for name, tensor in tensors.items()}
    for (name, axis), along in kept.items():
        if name in new:
            new[name] = new[name].index_select(axis, along.nonzero().flatten())
    return new


def _along(part: Part, units: Tensor) -> Tensor:
    """Expand a bool per unit to a bool per index of the part's axis; False for other groups' units."""
    return units[part.unit] & (part.unit >= 0)
