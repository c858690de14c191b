"""Quantized linear and convolution layers, and conversion of nets to them.

Weights stay float32 parameters under their usual names and are rounded in every forward pass, so that training is
quantization-aware (Jacob et al. 2018, Section 3). Weights that are exactly 0, such as pruned ones, stay 0.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lth.quantization.scheme import ActivationBits, Calibration, Scheme

# Number of input values sampled per batch, in addition to min and max.
SAMPLES = 2**17


class Quantized(nn.Module):
    """Base class of quantized layers. Ranges are buffers. Before calibration the weight range is min-max, and the input
    range is NaN, which `grid` rejects.
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
            sample = flat[:: -(-flat.numel() // SAMPLES)]
            self.observed.append(torch.cat([sample, flat.min()[None], flat.max()[None]]))
            return x
        return self.scheme.input(x, self.input_low, self.input_high)

    def _rounded_weight(self) -> Tensor:
        return self.scheme.weight(self.weight, self.weight_share)


class QuantizedLinear(Quantized, nn.Linear):
    """nn.Linear on rounded weights and inputs; the bias stays float32."""

    def forward(self, x: Tensor) -> Tensor:
        """... x in_features -> ... x out_features."""
        return nn.functional.linear(self._rounded(x), self._rounded_weight(), self.bias)


class QuantizedConv2d(Quantized, nn.Conv2d):
    """nn.Conv2d on rounded weights and inputs; the bias stays float32."""

    def forward(self, x: Tensor) -> Tensor:
        """B x in_channels x H x W -> B x out_channels x H' x W'."""
        return self._conv_forward(self._rounded(x), self._rounded_weight(), self.bias)  # type: ignore[no-any-return]


KINDS: dict[type[nn.Module], Any] = {nn.Linear: QuantizedLinear, nn.Conv2d: QuantizedConv2d}


def quantized(net: nn.Module, scheme: Scheme) -> nn.Module:
    """Copy of the net with quantized linear and convolution layers; parameters keep their names and values."""
    new = copy.deepcopy(net)
    for layer in new.modules():
        if type(layer) in KINDS:
            layer.__class__ = KINDS[type(layer)]
            layer._set(scheme)  # type: ignore[operator]
    return new


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
    """`model(shape, classes)` with quantized layers, as the model of a recipe."""
    scheme = Scheme(weight_bits, activation_bits, per_channel, symmetric, calibration)
    return quantized(model(shape, classes), scheme)


def layers(net: nn.Module) -> Iterator[tuple[str, Quantized]]:
    """The quantized layers of a net, by name."""
    return ((name, layer) for name, layer in net.named_modules() if isinstance(layer, Quantized))


def calibrate(net: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the weight ranges of all layers, and their input ranges from these batches (float32, B x shape). The net runs
    in evaluation mode, with rounded weights and float32 inputs.
    """
    mode = net.training
    net.eval()
    for _, layer in layers(net):
        if layer.scheme.integer_weights:
            layer.weight_share = layer.scheme.weight_share(layer.weight)
    observing = [layer for _, layer in layers(net) if layer.scheme.integer_inputs]
    for layer in observing:
        layer.observed = []
    with torch.no_grad():
        for batch in batches:
            net(batch)
    for layer in observing:
        low, high = layer.scheme.input_range(torch.cat(layer.observed or []))
        layer.observed, layer.input_low, layer.input_high = None, low, high
    net.train(mode)
