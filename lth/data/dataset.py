"""A data set is three splits of bytes: train, validation (choices are made on it) and test (only reported)."""

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

    `rows`, if given, are the N rows of `source` that the images are: a part of a memory-mapped array stays on the disk.
    """

    source: np.ndarray
    labels: np.ndarray
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> np.ndarray:
        """All of them, in memory if only a part of the source is meant."""
        return self.source if self.rows is None else self.source[self.rows]

    def chunks(self) -> Iterator[np.ndarray]:
        """The images in order, CHUNK at a time, so that no second copy of a data set is ever in memory."""
        for start in range(0, len(self), CHUNK):
            part = slice(start, start + CHUNK)
            yield np.array(self.source[part if self.rows is None else self.rows[part]])
            if isinstance(self.source.base, mmap.mmap):  # what was read need not stay in memory
                self.source.base.madvise(mmap.MADV_DONTNEED)

    def take(self, rows: np.ndarray) -> "Split":
        """The examples of these rows."""
        return Split(self.source, self.labels[rows], rows if self.rows is None else self.rows[rows])


@dataclass(frozen=True, eq=False)
class Data:
    """scaling: "standardize" (mean and standard deviation of the training set, per channel), "unit" ([0, 1]) or "none"
    (bytes as they are, 0 to 255); the papers leave it open.
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
        """Of one image: (channels, height, width)."""
        return tuple(self.train.source.shape[1:])

    @cached_property
    def classes(self) -> int:
        """C, the number of different labels."""
        return int(self.train.labels.max()) + 1

    @cached_property
    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """(mean, standard deviation) by which images are scaled, float64, one per channel."""
        channels = self.shape[0]
        if self.scaling == "standardize":
            return _moments(self.train)
        return np.zeros(channels), np.full(channels, 255.0 if self.scaling == "unit" else 1.0)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of every byte of the three splits: two data sets are the same if and only if theirs are."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            digest.update(repr((len(split), *split.source.shape[1:])).encode())
            for images in split.chunks():
                digest.update(np.ascontiguousarray(images).data)
            digest.update(np.ascontiguousarray(split.labels.astype("<i8")).data)
        return digest.hexdigest()


def scaler(data: Data, device: torch.device | str = "cpu") -> Callable[[Tensor], Tensor]:
    """Images uint8, N x channels x height x width on the device -> float32, scaled as the data set says."""
    mean, deviation = (torch.tensor(s, dtype=torch.float32, device=device)[:, None, None] for s in data.statistics)
    return lambda images: images.float().sub_(mean).div_(deviation)


def normalized(data: Data, split: Split, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """(images: float32, N x channels x height x width; labels: int64, N) on the device."""
    scaled, images = scaler(data, device), torch.empty((len(split), *data.shape), device=device)
    for part, raw in zip(images.split(CHUNK), split.chunks(), strict=True):
        part.copy_(scaled(torch.tensor(raw, device=device)))
    return images, torch.tensor(split.labels, device=device)


def _moments(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Exact mean and standard deviation per channel, from the counts of the 256 byte values: no float copy is made."""
    values, channels = np.arange(256.0), split.source.shape[1]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for images in split.chunks():
        counts += [np.bincount(images[:, channel].reshape(-1), minlength=256) for channel in range(channels)]
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ values
    deviation = np.sqrt(shares @ values**2 - mean**2)
    return mean, np.where(deviation > 0, deviation, 1.0)
