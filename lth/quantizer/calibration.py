"""Values -> the range that their grid spans: (low, high), of no dimension, or one pair for each slice along `axis`."""

import torch
from torch import Tensor

from lth.quantizer.grid import fake_quantize, grid

PERCENT = 99.9
SHARES = [share / 50 for share in range(50, 9, -1)]


def min_max(r: Tensor, *, axis: int | None, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
    """All of them: nothing is clamped."""
    flat = _slices(r, axis)
    return _shaped(flat.amin(1), axis), _shaped(flat.amax(1), axis)


def percentile(r: Tensor, *, axis: int | None, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
    """The central 99.9%: what lies further out is clamped."""
    ordered = _slices(r, axis).sort(dim=1).values
    last = ordered.shape[1] - 1
    cut = round((100 - PERCENT) / 200 * last)
    return _shaped(ordered[:, cut], axis), _shaped(ordered[:, last - cut], axis)


def mean_squared_error(r: Tensor, *, axis: int | None, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Of the range of all values, shrunk to 100, 98, ... 20%, that which rounds them with the least squared error."""
    flat = _slices(r, axis)
    low, high = flat.amin(1), flat.amax(1)
    best, error = torch.ones_like(low), torch.full_like(low, torch.inf)
    for share in SHARES:
        on = grid(share * low, share * high, bits=bits, symmetric=symmetric, axis=0)
        found = (fake_quantize(flat, on) - flat).square().mean(1)
        best, error = torch.where(found < error, share, best), torch.minimum(found, error)
    return _shaped(best * low, axis), _shaped(best * high, axis)


CALIBRATIONS = {f.__name__: f for f in (min_max, percentile, mean_squared_error)}


def _slices(r: Tensor, axis: int | None) -> Tensor:
    """One row for each slice along the axis, or one of everything."""
    if r.numel() == 0:
        raise ValueError("no values to find a range of")
    flat = r.detach().float()
    return flat.reshape(1, -1) if axis is None else flat.movedim(axis, 0).reshape(r.shape[axis], -1)


def _shaped(values: Tensor, axis: int | None) -> Tensor:
    return values[0] if axis is None else values
