"""Fewer examples, and images of another size: for trials, and for nets that expect a size."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lth import UserError
from lth.data.dataset import Data, Split
from lth.data.memory import memory
from lth.seed import seed

# Bytes of memory for a byte of a split: the training set is kept as it is, the others are scaled to float32.
COPIES = {"train": 1, "validation": 4, "test": 4}


def limited(data: Data, count: int) -> Data:
    """`count` examples of each split, drawn by a fixed seed, in their order; all of a split that has no more. Those of
    a smaller count are among those of a larger one. The classes stay the same, even if one has no example left.
    """
    if count < 1:
        raise UserError(f"data.limit={count}: must be at least 1")
    train, validation, test = (_drawn(getattr(data, name), name, count) for name in COPIES)
    return replace(data, name=f"{data.name}[:{count}]", train=train, validation=validation, test=test)


def resized(data: Data, size: int | Sequence[int]) -> Data:
    """Images of `size` x `size` pixels, or of a height and a width, interpolated linearly, with antialiasing where they
    get smaller. Raises UserError for what is no image of bytes, and for more than the memory of this machine.
    """
    sides = [size, size] if isinstance(size, int) else [*size]
    if len(sides) != 2 or min(sides) < 1:
        raise UserError(f"data.size={size}: give a side of at least 1 pixel, or a height and a width such as [32,48]")
    height, width = sides
    _check(data, size, height, width)
    train, validation, test = (_resized(getattr(data, name), height, width) for name in COPIES)
    new = replace(data, name=f"{data.name}@{height}x{width}", channels=data.shape[0])
    return replace(new, train=train, validation=validation, test=test)


def _drawn(split: Split, name: str, count: int) -> Split:
    order = np.random.default_rng(seed("limit", name)).permutation(len(split))
    return split.take(np.sort(order[:count]))


def _check(data: Data, size: int | Sequence[int], height: int, width: int) -> None:
    if data.streams:
        raise UserError(f"data.size={size}: {data.name} streams, and its images are not resized; let its own function "
                        "give them another size")  # fmt: skip
    if len(data.shape) != 3 or data.train.source.dtype != np.uint8:
        kind = f"{data.train.source.dtype}, {' x '.join(['N', *map(str, data.shape)])}"
        raise UserError(
            f"data.size={size}: the inputs of {data.name} are {kind}; only images of bytes, N x channels x height x "
            "width, are resized"
        )
    pixels = data.shape[0] * height * width
    needed = sum(copies * len(getattr(data, name)) * pixels for name, copies in COPIES.items())
    if needed > memory():
        raise UserError(
            f"data.size={size}: the images of {data.name} take {needed / 1e9:,.1f} GB, and this machine has "
            f"{memory() / 1e9:,.1f}: take fewer, such as data.limit=1000"
        )


def _resized(split: Split, height: int, width: int) -> Split:
    """Pillow computes in whole numbers, so that the bytes are the same on every machine."""
    from PIL import Image

    images = np.empty((len(split), split.source.shape[1], height, width), dtype=np.uint8)
    at = 0
    for chunk in split.chunks():
        for planes in chunk:
            for channel, plane in enumerate(planes):
                resized = Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)
                images[at, channel] = np.asarray(resized)
            at += 1
    return Split(images, split.targets)
