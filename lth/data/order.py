"""Batch order: (replicate, step) -> rows of the batch. A pure function, so that resuming repeats the same batches.

Here and in augmentations the replicate of a ticket with a second seed of its own is `Ticket.noise`.
"""

from functools import lru_cache

import torch
from torch import Tensor

from lth.seed import generator


def rows(replicate: int, start: int, stop: int, *, size: int, batch_size: int) -> Tensor:
    """Rows of the training set for steps start to stop - 1: int64, (stop - start) x batch_size.

    Epochs are random permutations, read as one endless stream: every example is seen once per epoch, and no batch is
    short (55,000 is not a multiple of 60).
    """
    first, last = start * batch_size, stop * batch_size
    epochs = range(first // size, -(-last // size))
    if not epochs:
        return torch.empty(0, batch_size, dtype=torch.int64)
    stream = torch.cat([_permutation(replicate, epoch, size) for epoch in epochs])
    offset = epochs[0] * size
    return stream[first - offset : last - offset].view(stop - start, batch_size)


@lru_cache(maxsize=4)
def _permutation(replicate: int, epoch: int, size: int) -> Tensor:
    return torch.randperm(size, generator=generator("order", replicate, epoch))
