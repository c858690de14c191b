"""Integer grids: r = S(q - Z) (Jacob et al. 2018, arXiv 1712.05877, Equation 1)."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from lth import UserError

Bits = Literal[2, 3, 4, 5, 6, 7, 8]
TINY = torch.finfo(torch.float32).tiny
FINITE = torch.finfo(torch.float32).max * (1 - 2**-23)  # so that its shares, rounded and multiplied again, are finite


@dataclass(frozen=True, eq=False)
class Grid:
    """Scale S (float32) and zero point Z (int32): 0-dimensional, or one per slice along `axis`. q is an integer from
    low to high, and so is Z, so that 0 is represented exactly.
    """

    scale: Tensor
    zero_point: Tensor
    low: int
    high: int
    axis: int | None = None

    def shaped(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """S and Z, of as many dimensions as values that are to be rounded."""
        if self.axis is None:
            return self.scale, self.zero_point
        shape = [-1 if axis == self.axis else 1 for axis in range(values.dim())]
        return self.scale.view(shape), self.zero_point.view(shape)


def grid(low: Tensor, high: Tensor, *, bits: int, symmetric: bool, axis: int | None = None) -> Grid:
    """Grid for the real numbers from low to high: float32, 0-dimensional or one pair per slice along `axis`.

    The range is widened to hold 0. Symmetric: Z = 0 and signed integers of one magnitude, -127 to 127 for 8 bits.
    Affine: unsigned integers, 0 to 255. A range of nothing but 0 has S = 1. Raises UserError.
    """
    if bits not in get_args(Bits):
        raise UserError(f"bits={bits}: choose 2 to 8")
    if not (low.isfinite().all() and high.isfinite().all()):
        raise UserError(f"the range {low.min()} to {high.max()} is not finite: calibrate inputs first; weights are "
                         "not finite if training diverged")  # fmt: skip
    low, high = low.double().clamp(max=0), high.double().clamp(min=0)
    if symmetric:
        largest = 2 ** (bits - 1) - 1
        scale = _scale(torch.maximum(-low, high) / largest).clamp(max=FINITE / largest)
        return Grid(scale, torch.zeros_like(scale, dtype=torch.int32), -largest, largest, axis)
    largest = 2**bits - 1
    scale = _scale((high - low) / largest)
    zero_point = (-low / scale.double()).round().clamp(0, largest).to(torch.int32)
    steps = torch.maximum(zero_point, largest - zero_point)  # from 0 to the farther end, which is a finite number
    return Grid(scale.clamp(max=FINITE / steps), zero_point, 0, largest, axis)


def _scale(scale: Tensor) -> Tensor:
    """Clamp to a normal, finite float32; 1 where the range is empty."""
    largest = torch.finfo(torch.float32).max
    return torch.where(scale == 0, 1.0, scale.clamp(TINY, largest)).to(torch.float32)


def fake_quantize(r: Tensor, on: Grid) -> Tensor:
    """The nearest values of the grid, of the type of r: S(q - Z), where q is r / S, rounded half to even, plus Z,
    clamped. The gradient is straight-through: 1 inside the range, 0 for clipped values (Bengio et al. 2013; Jacob et
    al. 2018, Section 3).
    """
    scale, zero_point = on.shaped(r)
    with torch.no_grad():
        q = (_wide(r) / scale).round() + zero_point
        rounded = (scale * (q.clamp(on.low, on.high) - zero_point)).to(r.dtype)
        inside = (q >= on.low) & (q <= on.high)
    return _straight_through(r, rounded, inside)


def cast(r: Tensor, to: torch.dtype) -> Tensor:
    """Round values to a shorter float type; the result has the type of r, and so has the straight-through gradient,
    which is 0 where r is not finite.
    """
    rounded = r.detach().to(to).to(r.dtype)
    return _straight_through(r, rounded, r.isfinite())


def _wide(r: Tensor) -> Tensor:
    """Values in at least float32, in which integers and their quotients are exact enough to round."""
    return r.to(torch.promote_types(r.dtype, torch.float32))


def _straight_through(r: Tensor, rounded: Tensor, inside: Tensor) -> Tensor:
    """The rounded values, to the bit, with gradient 1 inside and 0 elsewhere."""
    if not (torch.is_grad_enabled() and r.requires_grad):
        return rounded
    return torch.where(inside, rounded - (r.detach() - r), rounded)
