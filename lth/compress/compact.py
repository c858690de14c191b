"""A smaller dense net that computes what the masked net computes."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lth import neuron
from lth.neuron import Group
from lth.ticket import Mask, Weights, masked

# Layer's weight -> (value of each input channel, whether that is constant).
Inputs = Mapping[str, tuple[Tensor, Tensor]]
ROUNDING = 1e-6


def shrunk(net: nn.Module, weights: Weights, mask: Mask, shape: Sequence[int]) -> nn.Module:
    """The net without the units that have no weight left, as structured pruning leaves them, with these weights: W_T,
    or theta_0 to retrain the surviving neurons from their initialization. Equal to the masked net, in training too.
    """
    groups = neuron.groups(net, shape)
    removed = [_all_but_one(~neuron.left(group, mask), _none(group)) for group in groups]
    return _without(net, masked(weights, mask), groups, removed, shape)


def compact(net: nn.Module, weights: Weights, mask: Mask, shape: Sequence[int]) -> nn.Module:
    """The net of any ticket without idle units, for evaluation; outputs are equal up to rounding.

    Removes units without consumers, units with constant output (folded into downstream biases), units that become idle
    in turn, and unread input features of linear layers. A constant other than 0 in front of a zero-padded convolution
    can't be folded, since sums differ at the border: such a unit stays. One unit of every group stays.
    """
    groups, new_weights, new_mask = neuron.groups(net, shape), masked(weights, mask), dict(mask)
    inputs, removed, changed = _inputs(net, new_weights, mask, shape), [_none(group) for group in groups], True
    while changed:
        changed = False
        for group, units in zip(groups, removed, strict=True):
            new = _all_but_one(_idle(net, group, new_mask, inputs), units)
            if new.any():
                _fold(new_weights, group, new, inputs)
                new_mask = neuron.without(new_mask, group, new)
                units |= new
                changed = True
    small = _without(net, masked(new_weights, new_mask), groups, removed, shape)
    return _without_unread_inputs(small, neuron.selected(new_mask, groups, removed)).eval()


class Select(nn.Module):
    """Some features of the last axis: ... x inputs -> ... x len(index)."""

    def __init__(self, index: Tensor) -> None:
        super().__init__()
        self.index: Tensor
        self.register_buffer("index", index)

    def forward(self, x: Tensor) -> Tensor:
        return x.index_select(-1, self.index)


def _none(group: Group) -> Tensor:
    return torch.zeros(group.size, dtype=torch.bool)


def _all_but_one(idle: Tensor, removed: Tensor) -> Tensor:
    """Idle units that are not removed yet; a layer can't have zero units, so the last one stays if it must."""
    new = idle & ~removed
    if (idle | removed).all():
        new[(~removed).nonzero()[-1]] = False
    return new


def _without(
    net: nn.Module, weights: Weights, groups: Sequence[Group], removed: Sequence[Tensor], shape: Sequence[int]
) -> nn.Module:
    small = copy.deepcopy(net)
    neuron.remove(small, shape, removed)
    small.load_state_dict(neuron.selected(weights, groups, removed))
    return small


def _inputs(net: nn.Module, weights: Weights, mask: Mask, shape: Sequence[int]) -> Inputs:
    """Map each layer's weight to the value of each input channel and whether it is constant: the same for two images
    and at all places in them.

    Probed once, since folding does not change the output of a unit that remains.
    """
    probe, found = copy.deepcopy(net), dict[str, tuple[Tensor, Tensor]]()
    probe.load_state_dict(weights)
    for name in mask:
        probe.get_submodule(_layer(name)).register_forward_pre_hook(
            lambda layer, x, name=name: found.__setitem__(
                name, _constant(x[0], -1 if isinstance(layer, nn.Linear) else 1)
            )
        )
    images = torch.stack([torch.zeros(*shape), torch.rand(*shape, generator=torch.Generator().manual_seed(0))])
    with torch.no_grad():
        probe.eval()(images.to(next(probe.parameters())))
    return found


def _constant(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    rows = x.movedim(axis, -1).flatten(0, -2)
    low, high = rows.amin(0), rows.amax(0)
    return low, torch.isclose(low, high, rtol=ROUNDING, atol=0)


def _idle(net: nn.Module, group: Group, mask: Mask, inputs: Inputs) -> Tensor:
    """bool, one per unit: it has no consumer, or it has no inputs and its constant can be folded into its consumers."""
    foldable = neuron.total(group, mask, 0) == 0
    for part in group.of(mask, 1):
        (value, constant), layer = inputs[part.name], net.get_submodule(_layer(part.name))
        unread = ~mask[part.name].movedim(1, 0).flatten(1).any(1)
        fits = unread | (constant & ((value == 0) | _takes_constants(layer)))
        foldable[part.unit[~fits & (part.unit >= 0)]] = False
    return foldable | (neuron.total(group, mask, 1) == 0)


def _takes_constants(layer: nn.Module) -> bool:
    """True if the layer's bias can absorb a constant input: it has one, and no zero padding."""
    padding = getattr(layer, "padding", ())
    return layer.bias is not None and (padding == "valid" or not any(padding))


def _fold(weights: dict[str, Tensor], group: Group, units: Tensor, inputs: Inputs) -> None:
    """Add the contribution of these (constant or unread) units to the biases of their consumers."""
    for part in group.of(inputs, 1):
        columns, bias = units[part.unit] & (part.unit >= 0), f"{_layer(part.name)}.bias"
        if columns.any() and bias in weights:
            constants = inputs[part.name][0][columns].double()
            added = torch.tensordot(weights[part.name][:, columns].double(), constants, ([1], [0]))
            weights[bias] = weights[bias] + added.reshape(len(added), -1).sum(1).to(weights[bias])


def _without_unread_inputs(net: nn.Module, mask: Mask) -> nn.Module:
    """Make linear layers read only the features that they have a weight for, at least one."""
    for name, kept in mask.items():
        layer, read = net.get_submodule(_layer(name)), kept.any(0)
        if isinstance(layer, nn.Linear) and not read.all():
            index = read.nonzero().flatten() if read.any() else torch.tensor([0])
            layer.in_features, layer.weight = len(index), nn.Parameter(layer.weight.detach()[:, index].clone())
            net.set_submodule(_layer(name), nn.Sequential(Select(index), layer))
    return net


def _layer(name: str) -> str:
    """Name of the layer that a weight belongs to."""
    return name.rpartition(".")[0]
