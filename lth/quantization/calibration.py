"""Calibration: values -> the range of their grid, (low, high), 0-dimensional, or one pair per slice along `axis`."""

import torch
from torch import Tensor

from lth import UserError
from lth.quantization.grid import fake_quantize, grid

PERCENT = 99.9
SHARES = [share / 25 for share in range(25, 4, -1)]


def min_max(r: Tensor, *, axis: int | None, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Full min-max range; nothing is clipped."""
    flat = _slices(r, axis)
    return _shaped(flat.amin(1), axis), _shaped(flat.amax(1), axis)


def percentile(r: Tensor, *, axis: int | None, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Central 99.9% of the nonzero values; values outside are clipped. Zeros are on every grid and do not count, since
    the pruned weights of a sparse layer would cut off its tails.
    """
    flat = _slices(r, axis)
    counts = (flat != 0).sum(1, keepdim=True)
    ordered = flat.masked_fill(flat == 0, torch.inf).sort(dim=1).values
    last = (counts - 1).clamp(min=0)
    cut = ((100 - PERCENT) / 200 * last).round().long()
    low, high = (ordered.gather(1, at).where(counts > 0, 0.0)[:, 0] for at in (cut, last - cut))
    return _shaped(low, axis), _shaped(high, axis)


def mean_squared_error(r: Tensor, *, axis: int | None, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Min-max range scaled by 100%, 96%, ..., 20%, whichever minimizes the squared rounding error."""
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
    """One row per slice along the axis, or a single row; raises UserError if empty or not finite."""
    if r.numel() == 0:
        raise UserError("can't calibrate a range: no values; give a tensor that has some")
    flat = r.detach().float()
    if not flat.isfinite().all():
        raise UserError("can't quantize values that are not finite: training diverged; lower optimizer.lr")
    return flat.reshape(1, -1) if axis is None else flat.movedim(axis, 0).reshape(r.shape[axis], -1)


def _shaped(values: Tensor, axis: int | None) -> Tensor:
    return values[0] if axis is None else values
