"""The splits of a data set on the device that trains on them."""

import torch
from torch import Tensor

from lth.data import Data, normalized
from lth.data.scaling import raw, targets

Examples = tuple[Tensor, Tensor]


def splits_on(data: Data, device: torch.device) -> dict[str, Examples]:
    """Put the splits on the device: the training set in its own type (bytes take a quarter of the memory of floats),
    since it is augmented before it is scaled, and scaling a batch is cheap; the other two scaled, since every
    evaluation reads them.
    """
    return {
        "train": (raw(data.train, device), targets(data.train, device)),
        "validation": normalized(data, data.validation, device),
        "test": normalized(data, data.test, device),
    }
