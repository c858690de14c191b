"""Data sets as three splits of bytes: train, validation (used to choose) and test (only reported)."""

import hashlib
import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

Scaling = Literal["standardize", "unit", "none"]
CHUNK = 1000


@dataclass(frozen=True, eq=False)
class Split:
    """Images, uint8, N x channels x height x width, and their labels, int64, N.

    `rows` selects N rows of `source` (None: all), so that part of a memory-mapped array stays on disk.
    """

    source: np.ndarray
    labels: np.ndarray
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> np.ndarray:
        """All images; a copy in memory if `rows` selects some."""
        return self.source if self.rows is None else self.source[self.rows]

    def chunks(self) -> Iterator[np.ndarray]:
        """Yield the images in order, CHUNK at a time, so that no second copy of the data set is in memory."""
        for start in range(0, len(self), CHUNK):
            part = slice(start, start + CHUNK)
            yield np.array(self.source[part if self.rows is None else self.rows[part]])
            if isinstance(self.source.base, mmap.mmap):  # pages that were read can leave memory
                self.source.base.madvise(mmap.MADV_DONTNEED)

    def take(self, rows: np.ndarray) -> "Split":
        """Select examples by row."""
        return Split(self.source, self.labels[rows], rows if self.rows is None else self.rows[rows])


@dataclass(frozen=True, eq=False)
class Data:
    """Three splits and the scaling of their images, which the papers do not specify.

    scaling: "standardize" (by mean and standard deviation of the training set, per channel), "unit" (to [0, 1]) or
    "none" (0 to 255).
    """

    name: str
    train: Split
    validation: Split
    test: Split
    scaling: Scaling = "standardize"

    def __post_init__(self) -> None:
        if self.scaling not in get_args(Scaling):
            raise ValueError(f"data.scaling={self.scaling}: choose one of {', '.join(get_args(Scaling))}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image: (channels, height, width)."""
        return tuple(self.train.source.shape[1:])

    @cached_property
    def classes(self) -> int:
        """C, one more than the largest training label."""
        return int(self.train.labels.max()) + 1

    @cached_property
    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation used for scaling: float64, one per channel."""
        channels = self.shape[0]
        if self.scaling == "standardize":
            return _moments(self.train)
        return np.zeros(channels), np.full(channels, 255.0 if self.scaling == "unit" else 1.0)

    def example(self, count: int = 1) -> Tensor:
        """The first `count` training inputs as the net sees them: count x shape."""
        return normalized(self, self.train.take(np.arange(count)))[0]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of every byte of the three splits, independent of name and scaling."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            digest.update(repr((len(split), *split.source.shape[1:])).encode())
            for images in split.chunks():
                digest.update(np.ascontiguousarray(images).data)
            digest.update(np.ascontiguousarray(split.labels.astype("<i8")).data)
        return digest.hexdigest()


def scaler(data: Data, device: torch.device | str = "cpu") -> Callable[[Tensor], Tensor]:
    """Scaling function on the device: images uint8, N x channels x height x width -> float32."""
    mean, deviation = (torch.tensor(s, dtype=torch.float32, device=device)[:, None, None] for s in data.statistics)
    return lambda images: images.float().sub_(mean).div_(deviation)


def normalized(data: Data, split: Split, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Images (float32, N x channels x height x width, scaled) and labels (int64, N) on the device."""
    scaled, images = scaler(data, device), torch.empty((len(split), *data.shape), device=device)
    for part, raw in zip(images.split(CHUNK), split.chunks(), strict=True):
        part.copy_(scaled(torch.tensor(raw, device=device)))
    return images, torch.tensor(split.labels, device=device)


def _moments(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Exact mean and standard deviation per channel, from counts of the 256 byte values, without a float copy."""
    values, channels = np.arange(256.0), split.source.shape[1]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for images in split.chunks():
        counts += [np.bincount(images[:, channel].reshape(-1), minlength=256) for channel in range(channels)]
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ values
    deviation = np.sqrt(shares @ values**2 - mean**2)
    return mean, np.where(deviation > 0, deviation, 1.0)
