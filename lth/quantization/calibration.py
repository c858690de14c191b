"""Values -> the range that their grid spans: (low, high), of no dimension, or one pair for each slice along `axis`."""

import torch
from torch import Tensor

from lth.quantization.grid import fake_quantize, grid

PERCENT = 99.9
SHARES = [share / 25 for share in range(25, 4, -1)]


def min_max(r: Tensor, *, axis: int | None, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
    """All of them: nothing is clamped."""
    flat = _slices(r, axis)
    return _shaped(flat.amin(1), axis), _shaped(flat.amax(1), axis)


def percentile(r: Tensor, *, axis: int | None, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
    """The central 99.9% of the values that are not 0; what lies further out is clamped. 0 is on every grid; counted,
    the pruned weights of a sparse layer would have its tails cut off.
    """
    flat = _slices(r, axis)
    counts = (flat != 0).sum(1, keepdim=True)
    ordered = flat.masked_fill(flat == 0, torch.inf).sort(dim=1).values
    last = (counts - 1).clamp(min=0)
    cut = ((100 - PERCENT) / 200 * last).round().long()
    low, high = (ordered.gather(1, at).where(counts > 0, 0.0)[:, 0] for at in (cut, last - cut))
    return _shaped(low, axis), _shaped(high, axis)


def mean_squared_error(r: Tensor, *, axis: int | None, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Of the range of all values, shrunk to 100, 96, ... 20%, that which rounds them with the least squared error."""
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
    if not flat.isfinite().all():
        raise ValueError("a value is not finite, so no grid can hold it: the training diverged")
    return flat.reshape(1, -1) if axis is None else flat.movedim(axis, 0).reshape(r.shape[axis], -1)


def _shaped(values: Tensor, axis: int | None) -> Tensor:
    return values[0] if axis is None else values
