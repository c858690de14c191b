"""A data set is three splits of bytes: train, validation (choices are made on it) and test (only reported)."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

SCALINGS = ("standardize", "unit", "none")


@dataclass(frozen=True, eq=False)
class Split:
    """images: uint8, N x channels x height x width. labels: int64, N."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> "Split":
        """The examples of these rows, copied."""
        return Split(self.images[rows], self.labels[rows])


@dataclass(frozen=True, eq=False)
class Data:
    """scaling: "standardize" (mean and standard deviation of the training set, per channel), "unit" ([0, 1]) or "none"
    (bytes as they are, 0 to 255); the papers leave it open.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    scaling: str = "standardize"

    def __post_init__(self) -> None:
        if self.scaling not in SCALINGS:
            raise ValueError(f"data.scaling={self.scaling}: choose one of {', '.join(SCALINGS)}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image: (channels, height, width)."""
        return tuple(self.train.images.shape[1:])

    @cached_property
    def classes(self) -> int:
        """C, the number of different labels."""
        return int(self.train.labels.max()) + 1

    @cached_property
    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """(mean, standard deviation) by which images are scaled, float64, one per channel."""
        channels = self.shape[0]
        if self.scaling == "standardize":
            return _moments(self.train.images)
        return np.zeros(channels), np.full(channels, 255.0 if self.scaling == "unit" else 1.0)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of every byte of the three splits: two data sets are the same if and only if theirs are."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            digest.update(repr(split.images.shape).encode())
            digest.update(np.ascontiguousarray(split.images).data)
            digest.update(np.ascontiguousarray(split.labels.astype("<i8")).data)
        return digest.hexdigest()


def normalized(data: Data, split: Split, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """(images: float32, N x channels x height x width; labels: int64, N) on the device, scaled in one go."""
    mean, deviation = (torch.tensor(s, dtype=torch.float32, device=device)[:, None, None] for s in data.statistics)
    images = torch.tensor(split.images, device=device).float().sub_(mean).div_(deviation)
    return images, torch.tensor(split.labels, device=device)


def _moments(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exact mean and standard deviation per channel, from the counts of the 256 byte values: no float copy is made."""
    values = np.arange(256.0)
    channels = range(images.shape[1])
    shares = np.stack([np.bincount(images[:, c].reshape(-1), minlength=256) for c in channels])
    shares = shares / shares.sum(axis=1, keepdims=True)
    mean = shares @ values
    deviation = np.sqrt(shares @ values**2 - mean**2)
    return mean, np.where(deviation > 0, deviation, 1.0)
