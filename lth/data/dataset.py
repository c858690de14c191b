"""Data sets as three splits of arrays: train, validation (used to choose) and test (only reported)."""

import hashlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

import numpy as np
from torch import Tensor

from lth import UserError
from lth.data import check, labels, scaling
from lth.data.check import Scaling
from lth.data.stream import Stream
from lth.seed import seed

CHUNK = 1000


@dataclass(frozen=True, eq=False)
class Split:
    """N inputs (N x shape) and their targets: classes (integers, N), a class at each of T positions (integers, N x T)
    or numbers (floats, N or N x k). `Data` says which types it takes.

    `rows` selects N rows of `source` (None: all), so that part of a memory-mapped array stays on disk. A `source` that
    is a `Stream` is never read as a whole by a training (see `lth.data.streamed`).
    """

    source: np.ndarray | Stream
    targets: np.ndarray
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def inputs(self) -> np.ndarray:
        """All inputs; a copy in memory if `rows` selects some."""
        return self.source[:] if self.rows is None else self.source[self.rows]

    def chunks(self) -> Iterator[np.ndarray]:
        """Yield the inputs in order, CHUNK at a time, contiguous and in the byte order of the machine, so that no
        second copy of the data set is in memory.
        """
        native = self.source.dtype.newbyteorder("=")
        for start in range(0, len(self), CHUNK):
            part = slice(start, start + CHUNK)
            yield np.array(self.source[part if self.rows is None else self.rows[part]], dtype=native, order="C")
            if isinstance(self.source.base, mmap.mmap):  # pages that were read can leave memory
                self.source.base.madvise(mmap.MADV_DONTNEED)

    def contents(self) -> Iterator[memoryview | bytes]:
        """Yield the bytes that identify the inputs, in little-endian order: all of them, or what `Stream` says."""
        if isinstance(self.source, Stream):
            yield from self.source.contents()
            yield b"" if self.rows is None else self.rows.astype("<i8").tobytes()
            return
        for inputs in self.chunks():
            yield np.ascontiguousarray(inputs, dtype=inputs.dtype.newbyteorder("<")).data

    def take(self, rows: np.ndarray) -> "Split":
        """Select examples by row."""
        return Split(self.source, self.targets[rows], rows if self.rows is None else self.rows[rows])


@dataclass(frozen=True, eq=False)
class Data:
    """Three splits, and the scaling of their inputs, which the papers do not specify. Raises UserError for what it
    can't treat exactly: other types, NaN, labels that are no classes, sizes and shapes that don't fit, ...

    Inputs: images (N x channels x height x width), series (N x channels x steps) or tables (N x features) of bool,
    uint8, uint16, signed integers up to int32 or floats, all kept in their type until a batch is scaled to float32; or
    tokens (int64, N x steps), which the net gets as they are.
    Targets: integers are classes, 0 to C - 1; floats are numbers to predict.

    scaling: "standardize" (by mean and standard deviation of the training set, for each channel or feature: the first
    axis after N), "unit" (to [0, 1]: bytes by 255, uint16 by 65535; floats must lie there already), "l2" (each input by
    its own L2 norm, so that it has length 1; 0 stays 0) or "none".
    classes: C; None: one more than the largest label, if every class has a training example.
    channels: confirms the length of the first axis, where the shape looks as if the channels were last or missing.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    scaling: Scaling = "standardize"
    classes: int | None = None
    channels: int | None = None

    def __post_init__(self) -> None:
        splits = {"training": self.train, "validation": self.validation, "test": self.test}
        check.splits(self.name, splits)
        check.inputs(self.name, splits, self.scaling, self.channels)
        object.__setattr__(self, "classes", labels.classes(self.name, splits, self.classes))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input: (channels, height, width), (channels, steps), (features,) or, of tokens, (steps,)."""
        return tuple(self.train.source.shape[1:])

    @property
    def outputs(self) -> int:
        """Number of outputs of a net: C, the size of a vocabulary, or k, the number of target columns."""
        return self.train.targets[:1].size if self.classes is None else self.classes

    @property
    def streams(self) -> bool:
        """True if the inputs of a split are read as they are needed."""
        return any(isinstance(split.source, Stream) for split in (self.train, self.validation, self.test))

    @cached_property
    def covered(self) -> bool:
        """True if every class has a training example, so that the targets imply the number of classes."""
        return self.classes is None or len(np.unique(self.train.targets)) == self.classes

    @cached_property
    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation used for scaling: float64, one for each channel or feature."""
        return scaling.statistics(self.train, self.scaling)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of every byte of the three splits, independent of name and scaling. Inputs of a `Stream` are trusted
        to be what it says that they are.
        """
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            digest.update(repr((len(split), *split.source.shape[1:], *check.kinds(split))).encode())
            for part in split.contents():
                digest.update(part)
            digest.update(np.ascontiguousarray(split.targets.astype("<f8" if check.are_numbers(split) else "<i8")).data)
        return digest.hexdigest()

    def example(self, count: int = 1) -> Tensor:
        """The first `count` training inputs as a net sees them: count x shape, scaled float32, or int64 tokens."""
        if not 0 < count <= len(self.train):
            raise UserError(f"example({count}): the training set of {self.name} has {len(self.train)} inputs")
        return scaling.normalized(self, self.train.take(np.arange(count)))[0]

    def examples(self, most: int) -> Tensor:
        """The first `most` training inputs, or all if there are fewer, as `example` gives them."""
        return self.example(min(most, len(self.train)))


def held_out(train: Split, validation: int) -> tuple[Split, Split]:
    """(train, validation). validation: number of training examples that are held out, the same whatever the run."""
    if not isinstance(validation, Integral) or not 0 < validation < len(train):
        raise UserError(f"data.validation={validation}: hold out between 1 and {len(train) - 1} training images")
    order = np.random.default_rng(seed("validation split")).permutation(len(train))
    return train.take(np.sort(order[validation:])), train.take(np.sort(order[:validation]))
