"""Groups of units that can be removed exactly: some of each are removed from the net, and the rest is compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from lth.halving import most
from lth.layer import layer_of, layers
from lth.neuron.coupling import coupled
from lth.neuron.equality import difference, floats
from lth.neuron.group import Group, selected, without
from lth.neuron.removal import smaller
from lth.ticket import Mask, full_mask, masked
from lth.weights import copied, load, weights_of


@dataclass(frozen=True, eq=False)
class Units:
    """Units of a net.

    groups: those whose units can be removed, in the order of the trace.
    whole: layers whose units must all stay -> why.
    """

    groups: Sequence[Group]
    whole: Mapping[str, str]


def groups(net: nn.Module, example: Tensor) -> list[Group]:
    """The groups of `units`."""
    return list(units(net, example).groups)


def units(net: nn.Module, example: Tensor) -> Units:
    """Groups of all units except the classes, and the layers whose units an operation mixes, so that a net without some
    of them is not the masked net. example: inputs as the net sees them, count x shape. The net is not modified. Raises
    UserError if its operations can't be followed.
    """
    if example.is_floating_point() and not example.any():  # on which nets without biases all compute the same
        example = torch.rand(example.shape, generator=torch.Generator().manual_seed(0), dtype=example.dtype)
    kinds = layers(net, example).kinds
    found, whole = coupled(net, example, kinds)
    mask = full_mask(net, kinds)
    exact = most(found, lambda groups: all(_same(net, example, mask, groups, seed) for seed in (0, 1)))
    mixed = {part.name: _reason(group, mask) for group in found if group not in exact for part in group.of(mask, 0)[:1]}
    return Units(exact, {**whole, **{layer_of(name): why for name, why in mixed.items()}})


def _reason(group: Group, mask: Mask) -> str:
    unread = [part.name for part in group.parts if part.axis == 1 and part.name not in mask]
    if unread:
        return f"{unread[0]} reads them and is not pruned"
    between = f" ({', '.join(group.operations[:4])} may mix them)" if group.operations else ""
    return f"without some of its units the net would compute something else{between}"


def _same(net: nn.Module, example: Tensor, mask: Mask, groups: Sequence[Group], seed: int) -> bool:
    """True if the net without about half of the units of these groups computes what the masked net computes."""
    random = torch.Generator().manual_seed(seed)
    removed = [_some(group, random) for group in groups]
    for group, gone in zip(groups, removed, strict=True):
        mask = without(mask, group, gone)
    big = _moved(net, random, positive=seed == 0)
    weights = masked(weights_of(big), mask)
    load(big, weights)
    small = smaller(big, weights, groups, removed)
    return not difference(big, small, example, partial(selected, groups=groups, removed=removed))


def _some(group: Group, random: torch.Generator) -> Tensor:
    """Half of the units, rounded down, at random."""
    removed = torch.zeros(group.size, dtype=torch.bool)
    removed[torch.randperm(group.size, generator=random)[: group.size // 2]] = True
    return removed


def _moved(net: nn.Module, random: torch.Generator, positive: bool) -> nn.Module:
    """A copy with biases, scales and statistics that are neither 0 nor 1, as after training, so that what depends on
    them is seen. positive: biases are greater than 0, so that a unit without weights is not hidden behind a ReLU.
    """
    moved = copied(net)
    with torch.no_grad():
        for name, tensor in floats(moved):
            if tensor.ndim < 2 or not tensor.any():
                noise = 0.3 * torch.randn(tensor.shape, generator=random)
                noise = noise.abs() if positive or name.endswith("var") else noise
                tensor.add_(-noise if positive and name.endswith("running_mean") else noise)
    return moved
