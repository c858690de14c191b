"""The splits of a data set on the device that trains on them."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from lth.data import Data, Examples, normalized
from lth.data.scaling import raw, targets
from lth.engine.streaming import Streamed

if TYPE_CHECKING:
    from lth.engine.loop import Loop


def streamed_on(loop: "Loop", device: torch.device, workers: int) -> dict[str, Any]:
    """Put the splits of a data set that streams before a training, as `Streamed` in the place of inputs: only the
    targets are on the device.
    """
    data = loop.recipe.data
    given: Any = {"workers": workers, "recipe": loop.recipe, "replicate": loop.ticket.noise, "ranks": loop.ranks}
    given["step"] = lambda: loop.step
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    return {
        name: (Streamed(split, device, training=name == "train", **given), targets(split, device))
        for name, split in splits.items()
    }


@lru_cache(maxsize=1)
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
