"""Validation of the inputs of a data set: what can't be treated exactly is refused with a sentence."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from lth import UserError
from lth.data.stream import Stream

if TYPE_CHECKING:
    from lth.data.dataset import Split

Scaling = Literal["standardize", "unit", "l2", "none"]
# Types of inputs that have exact float64 values, and tokens.
TYPES = ("bool", "uint8", "int8", "uint16", "int16", "int32", "int64", "float16", "float32", "float64")
TOKENS = "int64"
# Largest value of a type that scaling=unit divides by.
UNIT = {"bool": 1.0, "uint8": 255.0, "uint16": 65535.0}
LARGEST = float(np.finfo(np.float32).max)
# Channels of an image, at most; more are not taken for channels where the other end of the shape could be.
FEW = 4

Splits = Mapping[str, "Split"]


def are_tokens(split: "Split") -> bool:
    """True if the inputs are tokens, which are not scaled."""
    return split.source.dtype.name == TOKENS


def are_numbers(split: "Split") -> bool:
    """True if the targets are numbers to predict, not classes."""
    return split.targets.dtype.kind == "f"


def kinds(split: "Split") -> tuple[object, ...]:
    """Types and target shape, as far as they aren't bytes with one class each."""
    if split.source.dtype.name == "uint8" and not are_numbers(split) and split.targets.ndim == 1:
        return ()
    return split.source.dtype.name, "numbers" if are_numbers(split) else "classes", *split.targets.shape[1:]


def splits(name: str, found: Splits) -> None:
    """Raise UserError for a split that is none, such as a DataLoader."""
    for which, split in found.items():
        if not (hasattr(split, "source") and hasattr(split, "targets")):
            raise UserError(f"the {which} set of {name} is a {type(split).__name__}: give Split(inputs, targets) of "
                            "arrays, or the dataset of a DataLoader by lth.data.streamed; lth makes the batches "
                            "itself")  # fmt: skip


def inputs(name: str, splits: Splits, scaling: str, channels: int | None) -> None:
    """Check types, sizes, shapes and values of the inputs; raises UserError."""
    if scaling not in get_args(Scaling):
        raise UserError(f"data.scaling={scaling}: choose one of {', '.join(get_args(Scaling))}")
    for which, split in splits.items():
        _check_arrays(f"the {which} set of {name}", split)
    train = splits["training"]
    for which, split in splits.items():
        one, two = ((s.source.dtype.name, s.source.shape[1:]) for s in (split, train))
        if one != two:
            raise UserError(f"the {which} inputs of {name} are {_text(*one)}, the training inputs {_text(*two)}: "
                            "give all splits the same type and shape")  # fmt: skip
    _check_channels(name, train, channels)
    for which, split in splits.items():
        _check_values(f"the {which} inputs of {name}", split, scaling)


def _text(dtype: str, shape: tuple[int, ...]) -> str:
    return f"{dtype}, {' x '.join(['N', *map(str, shape)])}"


def _check_arrays(where: str, split: "Split") -> None:
    for array in (split.source, split.targets):
        if isinstance(array, Stream):
            continue
        if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
            raise UserError(f"{where} holds a {type(array).__name__}: give NumPy arrays (tensor.numpy(), of a table "
                            "frame.to_numpy(), of a masked array only its complete examples)")  # fmt: skip
    dtype, shape = split.source.dtype.name, split.source.shape
    if dtype not in TYPES:
        raise UserError(f"{where} has inputs of type {dtype}, which can't be treated exactly: convert them to one of "
                        f"{', '.join(TYPES)}")  # fmt: skip
    if isinstance(split.source, Stream) and dtype == TOKENS:
        raise UserError(f"{where} streams tokens (int64): give them as one array, which may be mapped (np.load(file, "
                        "mmap_mode='r')); images stream as uint8, numbers as float32")  # fmt: skip
    if split.rows is not None:
        _check_rows(where, split.rows, len(split.source))
    count = len(shape) and len(split.source if split.rows is None else split.rows)
    targets = len(split.targets) if split.targets.ndim else 0
    if count != targets:
        raise UserError(f"{where} has {count} inputs and {targets} targets: give one target for each input")
    if not count:
        raise UserError(f"{where} is empty: give at least one example for training, validation and test")
    if 0 in shape or len(shape) < 2:
        raise UserError(f"{where} has inputs of shape {_text(dtype, shape[1:])}: give each input at least one value, "
                        "such as N x 1 (inputs[:, None])")  # fmt: skip


def _check_rows(where: str, rows: object, size: int) -> None:
    if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "iu" or rows.ndim != 1:
        raise UserError(
            f"{where} has rows that are not row indices: give N integers (for a boolean mask, np.flatnonzero(mask))"
        )
    if len(rows) and not -size <= rows.min() <= rows.max() < size:
        raise UserError(f"{where} has rows from {rows.min()} to {rows.max()}, and there are {size} inputs")


def _check_channels(name: str, train: "Split", channels: int | None) -> None:
    """Refuse a shape whose channels seem to be last or missing, unless `channels` confirms it."""
    dtype, shape = train.source.dtype.name, train.source.shape[1:]
    are = f"the inputs of {name} are {_text(dtype, shape)}"
    remedy = f"or Data(..., channels={shape[0]}) if there are {shape[0]} channels"
    if dtype == TOKENS:
        if len(shape) > 1:
            raise UserError(f"{are}: int64 stands for tokens, N x T. Convert images to uint8, other numbers to float32")
    elif channels is not None:
        if shape[0] != channels:
            raise UserError(f"{are}, and channels={channels}: channels come first, right after N (np.moveaxis(inputs, "
                            "-1, 1) if they are last)")  # fmt: skip
    elif len(shape) > 1 and shape[-1] <= FEW < shape[0]:
        raise UserError(f"{are}: the channels seem to be last. Give np.moveaxis(inputs, -1, 1), {remedy}")
    elif len(shape) == 2 and shape[0] > FEW and (shape[0] == shape[1] or dtype == "uint8"):
        raise UserError(f"{are}: images without an axis for channels? Give inputs[:, None], {remedy}")


def _check_values(where: str, split: "Split", scaling: str) -> None:
    dtype = split.source.dtype
    if isinstance(split.source, Stream) and dtype.kind == "f":  # looked at as they are read
        if scaling == "unit":
            raise UserError(f"data.scaling=unit: {where} are {dtype.name} and stream, so that their range is unknown: "
                            "use none, or standardize")  # fmt: skip
        return
    if dtype.name in UNIT or (dtype.name != TOKENS and dtype.kind == "i" and scaling != "unit"):
        return
    least, most = bounds(split)
    if not (np.isfinite(least) and np.isfinite(most)):
        raise UserError(f"{where} hold NaN or infinite values: leave these examples out, or replace the values")
    if max(-least, most) > LARGEST:
        raise UserError(f"{where} reach {max(-least, most):g}, beyond float32: scale them down")
    if dtype.name == TOKENS:
        if least < 0:
            raise UserError(f"{where} hold the token {least}: tokens are 0 to V - 1 (convert numbers to float32)")
    elif scaling == "unit" and not 0 <= least <= most <= 1:
        raise UserError(f"data.scaling=unit divides bytes by 255, and {where} are {dtype.name} from {least:g} to "
                        f"{most:g}: use standardize, or none")  # fmt: skip


def bounds(split: "Split") -> tuple[float, float]:
    """Smallest and largest input; NaN if one is."""
    parts = [(part.min(), part.max()) for part in split.chunks()]
    return min(a for a, _ in parts).item(), max(b for _, b in parts).item()
