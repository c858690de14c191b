"""A smaller dense net that computes what the masked net computes."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from lth import UserError, neuron
from lth.compress.constants import Inputs, constants, probes
from lth.layer import layer_of, layers
from lth.neuron import Group
from lth.neuron.coupling import coupled
from lth.neuron.equality import DOUBLE, NOT_FINITE, ROUNDED
from lth.ticket import Mask, Weights, masked
from lth.weights import copied, load, shared

Smaller = Callable[[Sequence[Group]], tuple[nn.Module, Sequence[Tensor], Mask]]


def shrunk(net: nn.Module, weights: Weights, mask: Mask, example: Tensor) -> nn.Module:
    """The net without the units that have no weight left, as structured pruning leaves them, with these weights: W_T,
    or theta_0 to retrain the surviving neurons from their initialization. Equal to the masked net, in training too.

    example: inputs as the net sees them, count x shape, on which outputs and gradients are compared, and on noise of
    their range. Raises UserError if they differ.
    """

    def without_units(groups: Sequence[Group]) -> tuple[nn.Module, Sequence[Tensor], Mask]:
        every = _complete(mask, weights, groups)
        removed = [_all_but_one(~neuron.left(group, every), _none(group)) for group in groups]
        return neuron.smaller(net, masked(weights, mask), groups, removed), removed, mask

    small, _ = _equal(net, masked(weights, mask), example, without_units, training=True)
    return small


def compact(net: nn.Module, weights: Weights, mask: Mask, example: Tensor) -> nn.Module:
    """The net of any ticket without idle units, for evaluation; outputs are equal up to rounding.

    Removes units without consumers, units with constant output (folded into downstream biases), units that become idle
    in turn, and unread input features of linear layers. A constant other than 0 in front of a zero-padded convolution
    can't be folded, since sums differ at the border: such a unit stays. One unit of every group stays. example: as for
    `shrunk`. Raises UserError.
    """
    inputs = constants(net, masked(weights, mask), mask, example)
    without_idle = partial(_without_idle, net, masked(weights, mask), mask, inputs)
    small, left = _equal(net, masked(weights, mask), example, without_idle, training=False)
    read = _without_unread_inputs(copied(small), left).eval()
    return read if not neuron.difference(small, read, example, training=False) else small.eval()


def _equal(
    net: nn.Module, weights: Weights, example: Tensor, without: Smaller, *, training: bool
) -> tuple[nn.Module, Mask]:
    """The smaller net, and the mask of its weights: without units of all groups, or else of those that are exact."""
    big = copied(net)
    load(big, weights)
    inputs = probes(big, example)
    for find in (_all_groups, neuron.groups):
        groups = find(net, example)
        small, removed, mask = without(groups)
        kept = partial(neuron.selected, groups=groups, removed=removed)
        tolerance = DOUBLE if training else ROUNDED
        said = neuron.difference(big, small, inputs, kept, training=training, tolerance=tolerance)
        if not said:
            return small, neuron.selected(mask, groups, removed)
    name = type(net).__name__
    if NOT_FINITE in said:
        raise UserError(f"{name} can't be made smaller: {said}; a layer with weight_norm or spectral_norm, for one, "
                        "divides by 0 where a row has no weight left")  # fmt: skip
    raise UserError(f"{name} computes something else without its idle units ({said}): keep it masked")


def _all_groups(net: nn.Module, example: Tensor) -> list[Group]:
    groups, _ = coupled(net, example, layers(net, example).kinds)
    return groups


def _without_idle(
    net: nn.Module, weights: Weights, mask: Mask, inputs: Inputs, groups: Sequence[Group]
) -> tuple[nn.Module, Sequence[Tensor], Mask]:
    new_weights, new_mask = dict(weights), _complete(mask, weights, groups)
    removed, changed = [_none(group) for group in groups], True
    while changed:
        changed = False
        for group, units in zip(groups, removed, strict=True):
            new = _all_but_one(_idle(net, group, new_mask, inputs), units)
            if new.any():
                _fold(new_weights, group, new, inputs)
                new_mask = neuron.without(new_mask, group, new)
                units |= new
                changed = True
    small = neuron.smaller(net, masked(new_weights, new_mask), groups, removed)
    return small, removed, {name: new_mask[name] for name in mask}


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


def _complete(mask: Mask, weights: Weights, groups: Sequence[Group]) -> dict[str, Tensor]:
    """The mask with all weights of the layers that are not pruned and lead into or out of these units."""
    others = {part.name for group in groups for part in group.parts if weights[part.name].ndim > 1} - mask.keys()
    return {**mask, **{name: torch.ones_like(weights[name], dtype=torch.bool) for name in sorted(others)}}


def _idle(net: nn.Module, group: Group, mask: Mask, inputs: Inputs) -> Tensor:
    """bool, one per unit: it has no consumer, or it has no inputs and its constant can be folded into its consumers."""
    foldable = neuron.total(group, mask, 0) == 0
    for part in group.of(mask, 1):
        unread = ~mask[part.name].movedim(1, 0).flatten(1).any(1)
        value, constant = inputs.get(part.name, (torch.zeros(len(unread)), torch.zeros_like(unread)))
        layer = net.get_submodule(layer_of(part.name))
        fits = unread | (constant & ((value == 0) | _takes_constants(layer)))
        foldable[part.unit[~fits & (part.unit >= 0)]] = False
    return foldable | (neuron.total(group, mask, 1) == 0)


def _takes_constants(layer: nn.Module) -> bool:
    """True if the layer's bias can absorb a constant input: it has one, and no zero padding."""
    padding = getattr(layer, "padding", ())
    return getattr(layer, "bias", None) is not None and (padding == "valid" or not any(padding))


def _fold(weights: dict[str, Tensor], group: Group, units: Tensor, inputs: Inputs) -> None:
    """Add the contribution of these (constant or unread) units to the biases of their consumers."""
    for part in group.of(inputs, 1):
        columns, bias = units[part.unit] & (part.unit >= 0), f"{layer_of(part.name)}.bias"
        if columns.any() and bias in weights:
            constants = inputs[part.name][0][columns].double()
            added = torch.tensordot(weights[part.name][:, columns].double(), constants, ([1], [0]))
            weights[bias] = weights[bias] + added.reshape(len(added), -1).sum(1).to(weights[bias])


def _without_unread_inputs(net: nn.Module, mask: Mask) -> nn.Module:
    """Make plain linear layers read only the features that they have a weight for, at least one; not a whole net, nor
    layers that share their weight, which would then be stored twice.
    """
    several = shared(net)
    for name, kept in mask.items():
        layer, read = net.get_submodule(layer_of(name)), kept.any(0)
        if layer is net or type(layer) is not nn.Linear or id(layer.weight) in several:
            continue
        if not read.all():
            index = read.nonzero().flatten() if read.any() else torch.tensor([0])
            layer.in_features, layer.weight = len(index), nn.Parameter(layer.weight.detach()[:, index].clone())
            net.set_submodule(layer_of(name), nn.Sequential(Select(index), layer))
    return net
