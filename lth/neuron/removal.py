"""The net without some of its units."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from lth.neuron.group import Group, selected
from lth.weights import copied, first_names, load

PLAIN_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)


def smaller(
    net: nn.Module, weights: Mapping[str, Tensor], groups: Sequence[Group], removed: Sequence[Tensor]
) -> nn.Module:
    """A copy of the net without these units, with the rows and columns of the others in `weights`. removed: for each
    group a bool per unit, not all True.
    """
    small, kept, new = copied(net), selected(weights, groups, removed), dict[str, Tensor]()
    resized = {part.name for group in groups for part in group.parts}
    for name, first in first_names(net).items():
        if first in resized:
            path, _, key = name.rpartition(".")
            layer = small.get_submodule(path)
            setattr(layer, key, new.setdefault(first, _like(getattr(layer, key), kept[first])))
            _set_sizes(layer)
    load(small, kept)
    return small


def _like(old: Tensor, values: Tensor) -> Tensor:
    values = values.to(old.dtype)
    return nn.Parameter(values, old.requires_grad) if isinstance(old, nn.Parameter) else values


def _set_sizes(layer: nn.Module) -> None:
    """Make the layer's own numbers those of its tensors."""
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif isinstance(layer, PLAIN_CONVOLUTIONS):
        layer.out_channels, layer.in_channels = layer.weight.shape[:2]
        if layer.groups > 1:  # depthwise
            layer.groups = layer.in_channels = layer.out_channels
    elif isinstance(layer, NORMS):
        layer.num_features = max(len(value) for value in layer.state_dict().values() if value.ndim)
    elif isinstance(layer, nn.PReLU):
        layer.num_parameters = len(layer.weight)
