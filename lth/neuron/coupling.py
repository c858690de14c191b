"""Groups of coupled units: the rows and columns of the tensors that units pass.

The units of the output layer are the classes; they are in no group and never removed.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from lth.neuron.graph import NotRemovable, Passed, roots, traced
from lth.neuron.group import Group, Part
from lth.neuron.removal import NORMS, PLAIN_CONVOLUTIONS
from lth.weights import copied, first_names, weights_of


def coupled(net: nn.Module, example: Tensor, kinds: Mapping[str, str]) -> tuple[list[Group], dict[str, str]]:
    """Groups of all units except the classes, in the order of the trace; and layers whose units can't be removed ->
    why. example: inputs as the net sees them, count x shape. kinds: see `lth.layer`. The net is not modified. Raises
    UserError.
    """
    state, first, copy = weights_of(net), first_names(net), copied(net)
    outputs = [copy.get_submodule(name.rpartition(".")[0]) for name, kind in kinds.items() if kind == "output"]
    groups, whole = list[Group](), dict[str, str]()
    taken: dict[tuple[str, int], Tensor] = {}
    for name, passed in roots(traced(copy, example[:1]), outputs):
        try:
            group = _group(state, first, passed)
            _take(taken, group)
        except NotRemovable as error:
            whole[name] = str(error)
        else:
            groups.append(group)
    return [group for group in groups if group.of(kinds, 0)], whole


def _take(taken: dict[tuple[str, int], Tensor], group: Group) -> None:
    """Note the rows and columns of a group; none may belong to two units, as those of a tied weight would."""
    own: dict[tuple[str, int], Tensor] = {}
    for part in group.parts:
        place, places = (part.name, part.axis), part.unit >= 0
        if (place in taken and (taken[place] & places).any()) or not own.setdefault(place, part.unit).equal(part.unit):
            raise NotRemovable(f"{part.name} belongs to other units too")
    for place, unit in own.items():
        taken[place] = taken.get(place, torch.zeros_like(unit, dtype=torch.bool)) | (unit >= 0)


def _group(state: Mapping[str, Tensor], first: Mapping[str, str], passed: list[Passed] | NotRemovable) -> Group:
    if isinstance(passed, NotRemovable):
        raise passed
    parts = []
    for each in passed:
        for name, axis in _tensors(each):
            unit = torch.full((state[first[name]].shape[axis],), -1)
            if max(each.units) >= len(unit):
                raise NotRemovable(f"{name} reads its units in a shape that is not followed")
            unit[torch.tensor(list(each.units))] = torch.tensor(list(each.units.values()))
            parts.append(Part(first[name], axis, unit))
    operations = dict.fromkeys(each.operation for each in passed if each.operation)
    return Group(len(passed[0].units), tuple(parts), tuple(operations))


def _tensors(passed: Passed) -> Iterator[tuple[str, int]]:
    """Names and axes of the tensors of a layer of the trace; operations without parameters have none."""
    name, layer = passed.name, passed.layer
    if isinstance(layer, nn.Parameter):
        raise NotRemovable(f"{name}, a parameter of no linear layer, convolution or batch norm, has an entry for each")
    if not layer.state_dict():
        return
    if isinstance(layer, (nn.Linear, *PLAIN_CONVOLUTIONS)):
        if "weight" not in dict(layer.named_parameters(recurse=False)):
            raise NotRemovable(f"the weight of layer {name} is computed from other parameters")
        depthwise = getattr(layer, "groups", 1) > 1
        if depthwise and not layer.groups == layer.in_channels == layer.out_channels:
            raise NotRemovable(f"layer {name} is a grouped convolution")
        if passed.reads and not depthwise:
            yield f"{name}.weight", 1
            return
    elif not isinstance(layer, (*NORMS, nn.PReLU)):
        raise NotRemovable(f"layer {name}, {type(layer).__name__}, reads them")
    yield from ((f"{name}.{key}", 0) for key, value in layer.state_dict().items() if value.ndim and len(value) > 1)
