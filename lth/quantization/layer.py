"""A prunable weight that is rounded wherever it is read, and the inputs that it is multiplied with.

Weights stay float32 parameters under their usual names and are rounded in every forward pass, so that training is
quantization-aware (Jacob et al. 2018, Section 3). Weights that are exactly 0, such as pruned ones, stay 0.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lth import UserError
from lth.layer import CONVOLUTIONS, TRANSPOSED, prunable, rows_first
from lth.quantization.scheme import Scheme
from lth.weights import first_names

# Number of input values sampled per batch, in addition to min and max.
SAMPLES = 2**17


class Quantized:
    """A weight and the ranges of its grids, which are buffers of its layer. Before calibration the weight range is
    min-max, and the input range is NaN, which is an error where inputs are rounded.

    name: of the parameter, its first one. layer: the module that the ranges belong to. observed: samples of the inputs
    during calibration.
    """

    def __init__(self, name: str, layer: nn.Module, part: str, scheme: Scheme) -> None:
        home, _, self.attribute = part.rpartition(".")
        self.name, self.layer, self.home, self.scheme = name, layer, layer.get_submodule(home), scheme
        self.prefix = self.attribute.partition("weight")[0] if "weight" in self.attribute else ""
        self.observed: list[Tensor] | None = None
        shares = (2, self.channels) if scheme.per_channel else (2,)
        self._set("weight_share", torch.ones(shares) if scheme.integer_weights else None)
        for end in ("input_low", "input_high"):
            self._set(end, torch.tensor(torch.nan) if scheme.integer_inputs else None)

    @property
    def weight(self) -> Tensor:
        """The float32 parameter, or what stands in its place in `torch.func.functional_call`."""
        weight = self.home._parameters[self.attribute]
        assert weight is not None
        return weight

    @property
    def channels(self) -> int:
        """Number of output channels: grids of a weight that has one for each."""
        return len(rows_first(self.layer, self.weight))

    @property
    def output_axis(self) -> int:
        """Axis of the weight along which its output channels, or those of a group, lie."""
        return int(isinstance(self.layer, TRANSPOSED))

    @property
    def grids(self) -> int:
        """Number of grids of the weight, or of roundings to a float type."""
        return self.channels if self.scheme.per_channel and self.scheme.integer_weights else 1

    @property
    def weight_share(self) -> Tensor | None:
        return self._get("weight_share")

    @property
    def input_low(self) -> Tensor | None:
        return self._get("input_low")

    @property
    def input_high(self) -> Tensor | None:
        return self._get("input_high")

    def rounded(self, weight: Tensor) -> Tensor:
        """The weight, or values of its shape that are computed from it, rounded."""
        return rows_first(self.layer, self.scheme.weight(rows_first(self.layer, weight), self.weight_share))

    def input(self, x: Tensor) -> Tensor:
        """Inputs of the layer, rounded; in calibration they are observed, and stay as they are."""
        if self.observed is not None:
            flat = x.detach().flatten()
            sample = flat if flat.numel() <= SAMPLES else flat[_places(flat.numel()).to(flat.device)]
            self.observed.append(torch.cat([sample, flat.min()[None], flat.max()[None]]))
            return x
        try:
            return self.scheme.input(x, self.input_low, self.input_high)
        except UserError as error:
            raise UserError(
                f"{self.name} has no range for its inputs, since it was not called on those that calibrate: "
                "calibrate inputs first, on more or other inputs (images), or leave inputs in float32 "
                "(activation_bits=null)"
            ) from error

    def calibrate_weight(self, weight: Tensor) -> None:
        """Set the range from these values."""
        if self.scheme.integer_weights:
            self._set("weight_share", self.scheme.weight_share(rows_first(self.layer, weight)))

    def calibrate_inputs(self) -> None:
        """Set the range from the inputs observed, if there were any, and observe no more."""
        if self.observed and self.scheme.integer_inputs:
            for end, value in zip(("low", "high"), self.scheme.input_range(torch.cat(self.observed)), strict=True):
                self._set(f"input_{end}", value)
        self.observed = None

    def _get(self, name: str) -> Tensor | None:
        return self.layer._buffers[self.prefix + name]

    def _set(self, name: str, value: Tensor | None) -> None:
        self.layer.register_buffer(self.prefix + name, value)


def found(net: nn.Module, scheme: Scheme) -> Iterator[Quantized]:
    """Every weight that is prunable by the type of its layer, in the order of the net; registers its ranges."""
    first, seen = first_names(net), set[int]()
    for path, layer in net.named_modules():
        for part in _parts(layer):
            parameter = layer.get_parameter(part)
            if is_lazy(parameter) or parameter.is_complex():
                reason = "is complex" if parameter.is_complex() else "has no shape yet: call the net once"
                raise UserError(f"{f'{path}.{part}'.lstrip('.')} can't be quantized: it {reason}")
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield Quantized(first[f"{path}.{part}" if path else part], layer, part, scheme)


def _parts(layer: nn.Module) -> list[str]:
    """Prunable parameters of the layer itself, the originals of parametrized ones among them."""
    if not isinstance(layer, (nn.Linear, nn.MultiheadAttention, *CONVOLUTIONS)):
        return []
    return [name for name in prunable(layer) if "." not in name or name.startswith("parametrizations.")]


def _places(values: int) -> Tensor:
    """Positions of SAMPLES of the values, the same each time. values: their number. At equal distances they might be
    those of the same features in every row.
    """
    return torch.randint(values, (SAMPLES,), generator=torch.Generator().manual_seed(0))
