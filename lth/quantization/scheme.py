"""What a layer is rounded to."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from lth.quantization.calibration import CALIBRATIONS, min_max
from lth.quantization.grid import Grid, cast, fake_quantize, grid

ActivationBits = Literal[2, 3, 4, 5, 6, 7, 8]
Calibration = Literal["min_max", "percentile", "mean_squared_error"]
FLOATS = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Scheme:
    """weight_bits: 2 to 8, or "fp16" or "bf16". activation_bits: of the inputs of each layer, 2 to 8, always affine and
    for the whole tensor; None leaves them float32. per_channel, symmetric: of the weights. calibration: of all ranges.
    """

    weight_bits: int | str = 8
    activation_bits: ActivationBits | None = 8
    per_channel: bool = True
    symmetric: bool = True
    calibration: Calibration = "min_max"

    def __post_init__(self) -> None:
        if self.weight_bits not in (*range(2, 9), *FLOATS):
            raise ValueError(f"weight_bits={self.weight_bits}: choose 2 to 8, fp16 or bf16")
        if self.activation_bits not in (None, *get_args(ActivationBits)):
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
