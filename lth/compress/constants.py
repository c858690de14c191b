"""Input channels of layers that are constant, whatever the net is given."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from lth.layer import layer_of
from lth.seed import undisturbed
from lth.ticket import Mask, Weights
from lth.weights import copied, load

# Layer's weight -> (value of each input channel, whether that is constant).
Inputs = Mapping[str, tuple[Tensor, Tensor]]
Found = dict[str, tuple[Tensor, Tensor]]
ROUNDING = 1e-6


@undisturbed()
def constants(net: nn.Module, weights: Weights, mask: Mask, example: Tensor) -> Inputs:
    """Map each layer's weight to the value of each input channel and whether it is constant: the same for all probes
    and at all places in them.

    Probed once, since folding does not change the output of a unit that remains.
    """
    probe, found = copied(net), Found()
    load(probe, weights)
    inputs = probes(probe, example)
    for name in mask:
        layer = probe.get_submodule(layer_of(name))
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            layer.register_forward_pre_hook(partial(_note, found, name), with_kwargs=True)
    with torch.no_grad():
        probe.eval()(inputs)
    return found


def probes(net: nn.Module, example: Tensor) -> Tensor:
    """The examples, their numbers at other places, and noise of their range: a few examples lack what is rare, such as
    a feature that is mostly 0. No noise for a net that has no finite output for it.
    """
    random = torch.Generator().manual_seed(0)
    shuffled = example.flatten()[torch.randperm(example.numel(), generator=random)].view_as(example)
    low, high = example.min(), example.max()
    if example.is_floating_point():
        noise = low + (high - low) * torch.rand(example.shape, generator=random, dtype=example.dtype)
    else:
        noise = torch.randint(int(low), int(high) + 1, example.shape, generator=random, dtype=example.dtype)
    with torch.no_grad():
        try:
            finite = bool(copied(net).eval()(noise).isfinite().all())
        except Exception:  # such as of an index that is computed from the inputs
            finite = False
    return torch.cat([example, shuffled, *([noise] if finite else [])])


def _note(found: Found, name: str, layer: nn.Module, x: tuple[Tensor, ...], named: Mapping[str, Tensor]) -> None:
    """Note the inputs of a layer; of a layer that is called more than once those are constant that never change."""
    value, constant = _constant(x[0] if x else named["input"], -1 if isinstance(layer, nn.Linear) else 1)
    before, always = found.get(name, (value, constant))
    found[name] = value, constant & always & (value == before)


def _constant(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    rows = x.movedim(axis, -1).flatten(0, -2)
    low, high = rows.amin(0), rows.amax(0)
    return low, torch.isclose(low, high, rtol=ROUNDING, atol=0)
