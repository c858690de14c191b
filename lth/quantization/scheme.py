"""Quantization settings of a layer."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from lth import UserError
from lth.quantization.calibration import CALIBRATIONS, min_max
from lth.quantization.grid import Bits, Grid, cast, fake_quantize, grid

WeightBits = Bits | Literal["fp16", "bf16"]
Calibration = Literal["min_max", "percentile", "mean_squared_error"]
FLOATS = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Scheme:
    """Bit widths and grids of weights and inputs.

    weight_bits: 2 to 8, "fp16" or "bf16". activation_bits: 2 to 8 for the inputs of each layer, always affine and per
    tensor; None: float32. per_channel, symmetric: for weights. calibration: for all ranges.
    """

    weight_bits: int | str = 8
    activation_bits: Bits | None = 8
    per_channel: bool = True
    symmetric: bool = True
    calibration: Calibration = "min_max"

    def __post_init__(self) -> None:
        if self.weight_bits not in (*get_args(Bits), *FLOATS):
            raise UserError(f"weight_bits={self.weight_bits}: choose 2 to 8, fp16 or bf16")
        if self.activation_bits not in (None, *get_args(Bits)):
            raise UserError(f"activation_bits={self.activation_bits}: choose 2 to 8, or null for float32")
        if self.calibration not in CALIBRATIONS:
            raise UserError(f"calibration={self.calibration}: choose one of {', '.join(CALIBRATIONS)}")

    @property
    def integer_inputs(self) -> bool:
        """True if layer inputs are rounded to integers; with float weights, inputs have the type of the weights."""
        return self.activation_bits is not None and self.integer_weights

    @property
    def integer_weights(self) -> bool:
        """True if weights are rounded to integers."""
        return self.weight_bits not in FLOATS

    def weight_share(self, weight: Tensor) -> Tensor:
        """Calibrated range of a weight as shares of its min and max: 2, or 2 x output channels.

        Computed once: during training the range follows the weights through these shares.
        """
        options: Any = {"axis": self._axis, "bits": self.weight_bits, "symmetric": self.symmetric}
        calibrated, full = (torch.stack(f(weight, **options)) for f in (CALIBRATIONS[self.calibration], min_max))
        return torch.where(full == 0, 1.0, (calibrated / full).clamp(0, 1))

    def weight_grid(self, weight: Tensor, share: Tensor) -> Grid:
        """Grid of a weight (output channels first); integer weights only."""
        bits: Any = self.weight_bits
        low, high = share * torch.stack(min_max(weight, axis=self._axis, bits=bits, symmetric=self.symmetric))
        return grid(low, high, bits=bits, symmetric=self.symmetric, axis=self._axis)

    def weight(self, weight: Tensor, share: Tensor | None) -> Tensor:
        """Rounded weight, of its own type; share: None for float types."""
        if share is None:
            return cast(weight, FLOATS[str(self.weight_bits)])
        return fake_quantize(weight, self.weight_grid(weight, share))

    def input_range(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Calibrated range of these inputs of a layer."""
        assert self.activation_bits is not None
        return CALIBRATIONS[self.calibration](values, axis=None, bits=self.activation_bits, symmetric=False)

    def input(self, x: Tensor, low: Tensor | None, high: Tensor | None) -> Tensor:
        """Rounded input, of its own type; low, high: None for float types."""
        if self.activation_bits is None:
            return x
        if low is None or high is None:
            return cast(x, FLOATS[str(self.weight_bits)])
        return fake_quantize(x, grid(low, high, bits=self.activation_bits, symmetric=False))

    @property
    def _axis(self) -> int | None:
        return 0 if self.per_channel else None
