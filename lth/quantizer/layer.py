"""Layers that compute with quantized weights and inputs, and the nets made of them.

Their weights stay float32 parameters under their usual names and are rounded whenever the layer computes, so that
training them is quantization-aware (Jacob et al. 2018, Section 3). A weight that is exactly 0, as a pruned one, stays.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lth.quantizer.calibration import CALIBRATIONS, min_max
from lth.quantizer.grid import Grid, cast, fake_quantize, grid
from lth.ticket import Mask

FLOATS = {"fp16": torch.float16, "bf16": torch.bfloat16}
# Values of one batch that are remembered beside its least and greatest.
MOST = 2**17


@dataclass(frozen=True)
class Scheme:
    """weight_bits: 2 to 8, or "fp16" or "bf16". activation_bits: of the inputs of each layer, 2 to 8, always affine and
    for the whole tensor; None leaves them float32. per_channel, symmetric: of the weights. calibration: of all ranges.
    """

    weight_bits: int | str = 8
    activation_bits: int | None = 8
    per_channel: bool = True
    symmetric: bool = True
    calibration: str = "min_max"

    def __post_init__(self) -> None:
        if self.weight_bits not in (*range(2, 9), *FLOATS):
            raise ValueError(f"weight_bits={self.weight_bits}: choose 2 to 8, fp16 or bf16")
        if self.activation_bits not in (None, *range(2, 9)):
            raise ValueError(f"activation_bits={self.activation_bits}: choose 2 to 8, or null for float32")
        if self.calibration not in CALIBRATIONS:
            raise ValueError(f"calibration={self.calibration}: choose one of {', '.join(CALIBRATIONS)}")

    @property
    def integer_inputs(self) -> bool:
        """Whether the inputs of layers are rounded to integers; beside float weights they have the weights' type."""
        return self.activation_bits is not None and self.integer_weights

    @property
    def integer_weights(self) -> bool:
        """Whether weights are rounded to integers."""
        return self.weight_bits not in FLOATS

    def weight_share(self, weight: Tensor) -> Tensor:
        """The calibrated range of a weight as shares of its least and its greatest value: 2, or 2 x output channels.

        Found once: while the weights are trained, their range follows them by these shares.
        """
        how: Any = {"axis": self._axis, "bits": self.weight_bits, "symmetric": self.symmetric}
        found, whole = (torch.stack(find(weight, **how)) for find in (CALIBRATIONS[self.calibration], min_max))
        return torch.where(whole == 0, 1.0, (found / whole).clamp(0, 1))

    def weight_grid(self, weight: Tensor, share: Tensor) -> Grid:
        """The grid of a weight (output channels first); only for integers."""
        bits: Any = self.weight_bits
        low, high = share * torch.stack(min_max(weight, axis=self._axis, bits=bits, symmetric=self.symmetric))
        return grid(low, high, bits=bits, symmetric=self.symmetric, axis=self._axis)

    def weight(self, weight: Tensor, share: Tensor | None) -> Tensor:
        """The weight as the layer computes with it, float32; share: None for floats."""
        if share is None:
            return cast(weight, FLOATS[str(self.weight_bits)])
        return fake_quantize(weight, self.weight_grid(weight, share))

    def input_range(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """The range of the inputs of a layer."""
        assert self.activation_bits is not None
        return CALIBRATIONS[self.calibration](values, axis=None, bits=self.activation_bits, symmetric=False)

    def input(self, x: Tensor, low: Tensor | None, high: Tensor | None) -> Tensor:
        """The input as the layer computes with it, float32."""
        if self.activation_bits is None:
            return x
        if low is None or high is None:
            return cast(x, FLOATS[str(self.weight_bits)])
        return fake_quantize(x, grid(low, high, bits=self.activation_bits, symmetric=False))

    @property
    def _axis(self) -> int | None:
        return 0 if self.per_channel else None


class _Quantized(nn.Module):
    """The ranges are part of the state dict. Until they are calibrated, that of the weights is all of them, and that of
    the inputs is no number, which no grid has.
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


class QuantizedLinear(_Quantized, nn.Linear):
    """A linear layer on rounded weights and inputs; the bias stays float32."""

    def forward(self, x: Tensor) -> Tensor:
        """As nn.Linear."""
        return nn.functional.linear(self._rounded(x), self._rounded_weight(), self.bias)


class QuantizedConv2d(_Quantized, nn.Conv2d):
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


def aware(
    shape: Sequence[int],
    classes: int,
    *,
    model: Callable[..., nn.Module],
    weight_bits: int | str = 8,
    activation_bits: int | None = 8,
    per_channel: bool = True,
    symmetric: bool = True,
    calibration: str = "min_max",
) -> nn.Module:
    """`model(shape, classes)`, quantized: a model of its own, for a recipe."""
    scheme = Scheme(weight_bits, activation_bits, per_channel, symmetric, calibration)
    return quantized(model(shape, classes), scheme)


def layers(net: nn.Module) -> Iterator[tuple[str, _Quantized]]:
    """The quantized layers of a net, by name."""
    return ((name, layer) for name, layer in net.named_modules() if isinstance(layer, _Quantized))


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


def size(net: nn.Module, mask: Mask) -> int:
    """Bytes of m * W: kept weights of quantized layers packed, their positions at the entropy of the mask, 4 bytes for
    each scale and, if it is affine, one for each zero point; all other floats at 4 bytes. A bound for a file: see
    `lth.codec` for one.
    """
    own = {id(t) for _, layer in layers(net) for t in (layer.weight, layer.weight_share)}
    floats = [t for t in (*net.parameters(), *net.buffers()) if t.is_floating_point() and id(t) not in own]
    packed = (_packed(layer, mask[f"{name}.weight" if name else "weight"]) for name, layer in layers(net))
    return sum(packed) + 4 * sum(t.numel() for t in floats)


def _packed(layer: _Quantized, kept: Tensor) -> int:
    scheme, count = layer.scheme, int(kept.sum())
    places = -(-kept.numel() * _entropy(count / kept.numel()) // 8)
    if isinstance(scheme.weight_bits, str):
        return int(2 * count + places)
    grids = layer.weight.shape[0] if scheme.per_channel else 1
    return int(-(-count * scheme.weight_bits // 8) + places + grids * (4 if scheme.symmetric else 5))


def _entropy(p: float) -> float:
    """Bits that tell whether something of probability p is."""
    return 0.0 if p in (0, 1) else -p * math.log2(p) - (1 - p) * math.log2(1 - p)
