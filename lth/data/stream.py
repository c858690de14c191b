"""Inputs that need not fit in memory: a torch `Dataset` in place of an array, of which examples are read as needed."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from lth import UserError
from lth.seed import seeded

# Examples whose bytes are part of what identifies a stream, spread evenly over it.
SAMPLED = 8
Moments = tuple[Sequence[float], Sequence[float]]


class Stream:
    """The inputs of a `Dataset`, N x shape, indexed by rows like an array of which a part is read.

    dataset: row -> (input, target): an array or tensor, or a PIL image, which becomes bytes, channels first; all of one
    shape and type. What it draws from the generators of Python, NumPy and PyTorch is a function of the row alone where
    it is indexed, and of the key that is given to `read`. identity: text that names the content. moments: mean and
    standard deviation of each channel, in the units of the inputs (of bytes 0 to 255), used by scaling=standardize;
    None: computed, which reads the training set once. Raises UserError.
    """

    base = None  # of no memory map

    def __init__(self, dataset: Any, targets: np.ndarray, identity: str, moments: Moments | None = None) -> None:
        self.dataset, self.targets, self.identity, self.moments = dataset, targets, identity, moments
        if not len(targets):
            raise UserError(f"the streamed data set {identity[:60]} is empty: give at least one example")
        first = _array(self._drawn(0, ("example", 0))[0])
        self.dtype, self.one = first.dtype, first.shape
        if not np.array_equal(first, _array(self._drawn(0, ("example", 0))[0]), equal_nan=first.dtype.kind == "f"):
            raise UserError(
                f"example 0 of {self._name()} differs each time that it is read: draw from the generators of torch, "
                "random or np.random, which are seeded for every step, not from one of its own"
            )
        if moments is not None:
            self._check_moments(moments, first)

    def _check_moments(self, moments: Moments, first: np.ndarray) -> None:
        parts = [np.asarray(each, dtype=np.float64) for each in moments]
        if [part.shape for part in parts] != [self.one[:1]] * 2 or not np.isfinite(parts).all():
            channels = " x ".join(map(str, self.one[:1]))
            raise UserError(f"moments={moments}: give a mean and a deviation for each of {channels} channels")
        mean, deviation = parts
        if not (deviation > 0).all():
            raise UserError(f"moments={moments}: inputs are divided by the deviations, give numbers above 0")
        if self.dtype == np.uint8 and first.max() > 1 and mean.max() <= 1 and deviation.max() <= 1:
            raise UserError(f"moments={moments}: for bytes they must be on the scale of 0 to 255: multiply by 255")

    @property
    def shape(self) -> tuple[int, ...]:
        """N x shape, as that of an array."""
        return len(self), *self.one

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        chosen = np.arange(len(self))[rows]
        read = [self.read(int(row), "example", int(row)) for row in chosen]
        return np.stack(read) if read else np.empty((0, *self.one), self.dtype)

    def read(self, row: int, *key: int | str) -> np.ndarray:
        """One input. key: decides what the data set draws at random."""
        given, target = self._drawn(row, key)
        if not np.array_equal(np.asarray(target), self.targets[row]):
            raise UserError(f"example {row} of {self._name()} has the target {target}, and {self.targets[row]} in the "
                            "list of its targets: give streamed(..., targets=) as the examples have them")  # fmt: skip
        return self._checked(row, _array(given))

    def changed(self, row: int, change: Callable[[Any, tuple[int, int]], Any]) -> np.ndarray:
        """One image of a folder. change: (the whole decoded image, its new height and width) -> image."""
        return self._checked(row, _array(change(self.dataset.decoded(row), (self.one[1], self.one[2]))))

    @property
    def decodes(self) -> bool:
        """True if `changed` can be called: the data set has whole images, not cut to one size yet."""
        return hasattr(self.dataset, "decoded")

    def contents(self) -> Iterator[bytes]:
        """Yield what identifies the stream, in place of all its bytes, which are trusted."""
        yield repr((self.identity, self.shape, self.dtype.str, self.moments)).encode()
        for row in np.unique(np.linspace(0, len(self) - 1, SAMPLED).astype(int)):
            yield self[np.array([row])].tobytes()

    def _drawn(self, row: int, key: Sequence[int | str]) -> tuple[Any, Any]:
        with seeded(*key):
            example = self.dataset[row]
        if not isinstance(example, tuple | list) or len(example) != 2:
            raise UserError(f"example {row} of {self._name()} is a {type(example).__name__}: a streamed data set gives "
                            "(input, target)")  # fmt: skip
        return example[0], example[1]

    def _checked(self, row: int, value: np.ndarray) -> np.ndarray:
        if value.shape != self.one or value.dtype != self.dtype:
            raise UserError(f"example {row} of {self._name()} is {_text(value)}, the first one "
                            f"{_text(np.empty(self.one, self.dtype))}: give all of them one shape")  # fmt: skip
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise UserError(f"example {row} of {self._name()} holds NaN or infinite values: leave it out")
        return value

    def _name(self) -> str:
        return f"the streamed {type(self.dataset).__name__}"


def _array(value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "getbands"):  # a PIL image
        if value.mode not in ("L", "RGB"):
            deep = value.mode[0] in "IF"  # converted, pixels would be cut off at 255
            remedy = (
                "give its pixels as an array, np.asarray(image)[None]" if deep else "convert it, image.convert('RGB')"
            )
            raise UserError(f"a streamed data set gives an image of mode {value.mode}: {remedy}")
        pixels = np.asarray(value)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)) if pixels.ndim == 3 else pixels[None]
    raise UserError(f"a streamed data set gives an input of type {type(value).__name__}: give a tensor, a NumPy array "
                    "or a PIL image")  # fmt: skip


def _text(value: np.ndarray) -> str:
    return f"{value.dtype}, {' x '.join(map(str, value.shape))}"
