"""Scaling of inputs to float32, with the statistics of the training set."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lth import UserError
from lth.data.check import TOKENS, UNIT, are_numbers, are_tokens
from lth.data.memory import check_fits
from lth.data.stream import Stream

if TYPE_CHECKING:
    from lth.data.dataset import Data, Split

Examples = tuple[Tensor, Tensor]  # inputs and targets

# Types that PyTorch can't index, held in one that has all their values.
HELD = {"uint16": np.int32, "bool": np.uint8}


def raw(split: "Split", device: torch.device | str = "cpu") -> Tensor:
    """The inputs as they are, in their own type (uint16 as int32, bool as uint8), on the device."""
    return _filled(split, device, lambda inputs: inputs)


def targets(split: "Split", device: torch.device | str = "cpu") -> Tensor:
    """Classes as int64, N or N x T; numbers as float32, N x k."""
    if are_numbers(split):
        return torch.tensor(split.targets.astype(np.float32).reshape(len(split), -1), device=device)
    return torch.tensor(split.targets.astype(np.int64), device=device)


def scaler(data: "Data", device: torch.device | str = "cpu") -> Callable[[Tensor], Tensor]:
    """Scaling function on the device: raw inputs, N x shape -> float32; tokens stay as they are."""
    if are_tokens(data.train):
        return lambda inputs: inputs
    if data.scaling == "l2":
        return partial(_by_norm, axes=tuple(range(-len(data.shape), 0)))
    shape = (-1, *(1 for _ in data.shape[1:]))
    if data.train.source.dtype.name == "uint8":
        mean, deviation = (torch.tensor(s, dtype=torch.float32, device=device).view(shape) for s in data.statistics)
        return lambda inputs: inputs.float().sub_(mean).div_(deviation)
    # In float64: the values of a feature may differ in the last digits of float32 only.
    mean, deviation = (torch.tensor(s, dtype=torch.float64, device=device).view(shape) for s in data.statistics)
    return lambda inputs: inputs.double().sub(mean).div_(deviation).float()


def _by_norm(inputs: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Each input divided by its L2 norm over `axes`, as float32; 0 stays 0."""
    wide = inputs.float() if inputs.dtype == torch.uint8 else inputs.double()
    norm: Tensor = torch.linalg.vector_norm(wide, dim=axes, keepdim=True)
    return (wide / norm.masked_fill_(norm == 0, 1)).float()


def normalized(data: "Data", split: "Split", device: torch.device | str = "cpu") -> Examples:
    """Inputs (float32, N x shape, scaled; or int64 tokens) and targets (int64, N or N x T; or float32, N x k) on the
    device. Raises UserError for an outlier that is beyond float32 when it is scaled.
    """
    inputs = _filled(split, device, scaler(data, device))
    if split.source.dtype.kind == "f" and not inputs.isfinite().all():
        raise UserError(f"inputs of {data.name} are so far from those of the training set that they become infinite "
                        "when they are scaled: leave them out, or use data.scaling=none")  # fmt: skip
    return inputs, targets(split, device)


def statistics(train: "Split", scaling: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation that are subtracted and divided by, for each index of the first axis; 0 and 1 where
    nothing is, or each input is divided by its own norm.
    """
    count, dtype = train.source.shape[1], train.source.dtype.name
    if scaling == "standardize" and isinstance(train.source, Stream) and train.source.moments is not None:
        mean, deviation = (np.asarray(each, dtype=np.float64) for each in train.source.moments)
        return mean, deviation
    if scaling == "standardize" and dtype != TOKENS:
        return _byte_moments(train) if dtype == "uint8" else _moments(train)
    return np.zeros(count), np.full(count, UNIT.get(dtype, 1.0) if scaling == "unit" else 1.0)


def _filled(split: "Split", device: torch.device | str, change: Callable[[Tensor], Tensor]) -> Tensor:
    """The inputs on the device, changed chunk by chunk there."""
    first = change(_tensor(np.empty((0, *split.source.shape[1:]), split.source.dtype.newbyteorder("="))).to(device))
    check_fits(split, first.element_size())
    filled, start = torch.empty((len(split), *split.source.shape[1:]), dtype=first.dtype, device=device), 0
    for chunk in split.chunks():
        filled[start : start + len(chunk)] = change(_tensor(chunk).to(device))
        start += len(chunk)
    return filled


def _tensor(chunk: np.ndarray) -> Tensor:
    return torch.from_numpy(chunk.astype(HELD.get(chunk.dtype.name, chunk.dtype), copy=False))


def _byte_moments(split: "Split") -> tuple[np.ndarray, np.ndarray]:
    """Exact mean and standard deviation per channel, from counts of the 256 byte values, without a float copy."""
    values, channels = np.arange(256.0), split.source.shape[1]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for inputs in split.chunks():
        counts += [np.bincount(inputs[:, channel].reshape(-1), minlength=256) for channel in range(channels)]
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ values
    deviation = np.sqrt(shares @ values**2 - mean**2)
    return mean, np.where(deviation > 0, deviation, 1.0)


def _moments(split: "Split") -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation in float64. They are those of (x - least) / span, scaled back, so that neither large
    values nor small differences lose digits; a constant feature has the deviation 1.
    """
    least, most = _extremes(split)
    span = np.where(most > least, most - least, 1.0)
    count, first, second = 0, np.zeros(len(least)), np.zeros(len(least))
    for part in _columns(split):
        unit = (part - least[:, None]) / span[:, None]
        count, first = count + unit.shape[1], first + unit.sum(1)
    for part in _columns(split):
        second += np.square((part - least[:, None]) / span[:, None] - first[:, None] / count).sum(1)
    return least + span * first / count, np.where(most > least, span * np.sqrt(second / count), 1.0)


def _extremes(split: "Split") -> tuple[np.ndarray, np.ndarray]:
    parts = [(part.min(1), part.max(1)) for part in _columns(split)]
    return np.min([a for a, _ in parts], axis=0), np.max([b for _, b in parts], axis=0)


def _columns(split: "Split") -> Iterator[np.ndarray]:
    """Chunks as float64, channels x values."""
    for part in split.chunks():
        yield np.moveaxis(part, 1, 0).reshape(part.shape[1], -1).astype(np.float64)
