"""Layers that compute with quantized weights and inputs, and the nets made of them.

Their weights stay float32 parameters under their usual names and are rounded whenever the layer computes, so that
training them is quantization-aware (Jacob et al. 2018, Section 3). A weight that is exactly 0, as a pruned one, stays.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lth.quantization.scheme import ActivationBits, Calibration, Scheme

# Values of one batch that are remembered beside its least and greatest.
MOST = 2**17


class Quantized(nn.Module):
    """A layer that rounds. The ranges are part of the state dict. Until they are calibrated, that of the weights is all
    of them, and that of the inputs is no number, which no grid has.
    """

    scheme: Scheme
    weight: Tensor
    weight_share: Tensor | None
    input_low: Tensor | None
    input_high: Tensor | None
    observed: list[Tensor] | None

    def _set(self, scheme: Scheme) -> None:
        self.scheme, self.observed = scheme, None
        shares = (2, len(self.weight)) if scheme.per_channel else (2,)
        self.register_buffer("weight_share", torch.ones(shares) if scheme.integer_weights else None)
        for name in ("input_low", "input_high"):
            self.register_buffer(name, torch.tensor(torch.nan) if scheme.integer_inputs else None)

    def _rounded(self, x: Tensor) -> Tensor:
        if self.observed is not None:
            flat = x.detach().flatten()
            some = flat[:: -(-flat.numel() // MOST)]
            self.observed.append(torch.cat([some, flat.min()[None], flat.max()[None]]))
            return x
        return self.scheme.input(x, self.input_low, self.input_high)

    def _rounded_weight(self) -> Tensor:
        return self.scheme.weight(self.weight, self.weight_share)


class QuantizedLinear(Quantized, nn.Linear):
    """A linear layer on rounded weights and inputs; the bias stays float32."""

    def forward(self, x: Tensor) -> Tensor:
        """As nn.Linear."""
        return nn.functional.linear(self._rounded(x), self._rounded_weight(), self.bias)


class QuantizedConv2d(Quantized, nn.Conv2d):
    """A convolution on rounded weights and inputs; the bias stays float32."""

    def forward(self, x: Tensor) -> Tensor:
        """As nn.Conv2d."""
        return self._conv_forward(self._rounded(x), self._rounded_weight(), self.bias)  # type: ignore[no-any-return]


KINDS: dict[type[nn.Module], Any] = {nn.Linear: QuantizedLinear, nn.Conv2d: QuantizedConv2d}


def quantized(net: nn.Module, scheme: Scheme) -> nn.Module:
    """A copy of the net whose linear and convolution layers are quantized; parameters keep their names and values."""
    made = copy.deepcopy(net)
    for layer in made.modules():
        if type(layer) in KINDS:
            layer.__class__ = KINDS[type(layer)]
            layer._set(scheme)  # type: ignore[operator]
    return made


def quantized_model(
    shape: Sequence[int],
    classes: int,
    *,
    model: Callable[..., nn.Module],
    weight_bits: int | str = 8,
    activation_bits: ActivationBits | None = 8,
    per_channel: bool = True,
    symmetric: bool = True,
    calibration: Calibration = "min_max",
) -> nn.Module:
    """`model(shape, classes)`, quantized: a model of its own, for a recipe."""
    scheme = Scheme(weight_bits, activation_bits, per_channel, symmetric, calibration)
    return quantized(model(shape, classes), scheme)


def layers(net: nn.Module) -> Iterator[tuple[str, Quantized]]:
    """The quantized layers of a net, by name."""
    return ((name, layer) for name, layer in net.named_modules() if isinstance(layer, Quantized))


def calibrate(net: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the ranges of the weights of all layers, and those of their inputs from what they get of these batches
    (float32, B x shape), the weights being rounded and the inputs not, in evaluation mode.
    """
    mode = net.training
    net.eval()
    for _, layer in layers(net):
        if layer.scheme.integer_weights:
            layer.weight_share = layer.scheme.weight_share(layer.weight)
    watched = [layer for _, layer in layers(net) if layer.scheme.integer_inputs]
    for layer in watched:
        layer.observed = []
    with torch.no_grad():
        for batch in batches:
            net(batch)
    for layer in watched:
        low, high = layer.scheme.input_range(torch.cat(layer.observed or []))
        layer.observed, layer.input_low, layer.input_high = None, low, high
    net.train(mode)
