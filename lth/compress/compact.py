"""A smaller dense net that computes what the masked net computes."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lth import neuron
from lth.neuron import Group
from lth.ticket import Mask, Weights, masked

Values = Mapping[str, tuple[Tensor, Tensor]]
ROUNDING = 1e-6


def shrunk(net: nn.Module, weights: Weights, mask: Mask, shape: Sequence[int]) -> nn.Module:
    """The net without the units that have no weight left, as the scope `neurons` leaves them, with these weights: W_T,
    or theta_0 to train the surviving neurons from their first values. Equal to the masked net, in training too.
    """
    groups = neuron.groups(net, shape)
    gone = [_all_but_one(~neuron.left(group, mask), _none(group)) for group in groups]
    return _without(net, masked(weights, mask), groups, gone, shape)


def compact(net: nn.Module, weights: Weights, mask: Mask, shape: Sequence[int]) -> nn.Module:
    """The net of any ticket without what its zeros make idle, for evaluation; outputs are equal up to rounding.

    Gone are units that nothing reads; units that read nothing, whose constant goes into the biases behind them; what
    that makes idle in turn; and the inputs (pixels) of linear layers that nothing reads. A constant other than 0 gives
    other sums at the border of a padded convolution: such a unit stays. One unit of every group stays.
    """
    groups, new_weights, new_mask = neuron.groups(net, shape), masked(weights, mask), dict(mask)
    values, gone, found = _inputs(net, new_weights, mask, shape), [_none(group) for group in groups], True
    while found:
        found = False
        for group, units in zip(groups, gone, strict=True):
            new = _all_but_one(_idle(net, group, new_mask, values), units)
            if new.any():
                _fold(new_weights, group, new, values)
                new_mask = neuron.without(new_mask, group, new)
                units |= new
                found = True
    small = _without(net, masked(new_weights, new_mask), groups, gone, shape)
    return _reading(small, neuron.selected(new_mask, groups, gone)).eval()


class Read(nn.Module):
    """... x inputs -> ... x those of them that the next layer reads."""

    def __init__(self, index: Tensor) -> None:
        super().__init__()
        self.index: Tensor
        self.register_buffer("index", index)

    def forward(self, x: Tensor) -> Tensor:
        return x.index_select(-1, self.index)


def _none(group: Group) -> Tensor:
    return torch.zeros(group.size, dtype=torch.bool)


def _all_but_one(idle: Tensor, gone: Tensor) -> Tensor:
    """The idle ones that are not gone yet; a layer of no units can't be, so the last one stays if it must."""
    new = idle & ~gone
    if (idle | gone).all():
        new[(~gone).nonzero()[-1]] = False
    return new


def _without(
    net: nn.Module, weights: Weights, groups: Sequence[Group], gone: Sequence[Tensor], shape: Sequence[int]
) -> nn.Module:
    small = copy.deepcopy(net)
    neuron.remove(small, shape, gone)
    small.load_state_dict(neuron.selected(weights, groups, gone))
    return small


def _inputs(net: nn.Module, weights: Weights, mask: Mask, shape: Sequence[int]) -> Values:
    """Of every input (channel) of a layer its value and whether it is the same for two images and everywhere in them.

    Measured once: folding changes no value of a unit that remains.
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


def _idle(net: nn.Module, group: Group, mask: Mask, values: Values) -> Tensor:
    """bool, one per unit: nothing reads it, or it reads nothing and its constant can be folded into what reads it."""
    foldable = neuron.total(group, mask, 0) == 0
    for part in group.of(mask, 1):
        (value, constant), layer = values[part.name], net.get_submodule(_layer(part.name))
        unread = ~mask[part.name].movedim(1, 0).flatten(1).any(1)
        fits = unread | (constant & ((value == 0) | _takes_constants(layer)))
        foldable[part.unit[~fits & (part.unit >= 0)]] = False
    return foldable | (neuron.total(group, mask, 1) == 0)


def _takes_constants(layer: nn.Module) -> bool:
    """Whether a bias can say what a constant input adds: there is one, and no border of zeros."""
    padding = getattr(layer, "padding", ())
    return layer.bias is not None and (padding == "valid" or not any(padding))


def _fold(weights: dict[str, Tensor], group: Group, units: Tensor, values: Values) -> None:
    """Add what these units, constant or unread, give to the layers that read them to those layers' biases."""
    for part in group.of(values, 1):
        columns, bias = units[part.unit] & (part.unit >= 0), f"{_layer(part.name)}.bias"
        if columns.any() and bias in weights:
            constants = values[part.name][0][columns].double()
            added = torch.tensordot(weights[part.name][:, columns].double(), constants, ([1], [0]))
            weights[bias] = weights[bias] + added.reshape(len(added), -1).sum(1).to(weights[bias])


def _reading(net: nn.Module, mask: Mask) -> nn.Module:
    """Linear layers read only the inputs (at least one) for which they have a weight."""
    for name, kept in mask.items():
        layer, read = net.get_submodule(_layer(name)), kept.any(0)
        if isinstance(layer, nn.Linear) and not read.all():
            index = read.nonzero().flatten() if read.any() else torch.tensor([0])
            layer.in_features, layer.weight = len(index), nn.Parameter(layer.weight.detach()[:, index].clone())
            net.set_submodule(_layer(name), nn.Sequential(Read(index), layer))
    return net


def _layer(name: str) -> str:
    """The layer that a weight belongs to."""
    return name.rpartition(".")[0]
