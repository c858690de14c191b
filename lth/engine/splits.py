"""The splits of a data set on the device that trains on them."""

import torch
from torch import Tensor

from lth.data import Data, normalized
from lth.data.dataset import CHUNK

Examples = tuple[Tensor, Tensor]


def splits_on(data: Data, device: torch.device) -> dict[str, Examples]:
    """Put the splits on the device: the training set as bytes, a quarter of the memory, since scaling a batch is cheap;
    the other two scaled, since every evaluation reads them.
    """
    train = torch.empty((len(data.train), *data.shape), dtype=torch.uint8, device=device)
    for part, raw in zip(train.split(CHUNK), data.train.chunks(), strict=True):
        part.copy_(torch.from_numpy(raw))
    return {
        "train": (train, torch.tensor(data.train.labels, device=device)),
        "validation": normalized(data, data.validation, device),
        "test": normalized(data, data.test, device),
    }
