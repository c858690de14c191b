"""Small data sets, nets and recipes for tests, in a module because a recipe needs import paths."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from hypothesis import settings
from torch import Tensor, nn

from lth.data import Data, Split
from lth.engine import Callback, Interrupted
from lth.imp import dense
from lth.init import glorot_normal
from lth.layer import layers
from lth.model import mlp
from lth.recipe import Recipe
from lth.ticket import Ticket, Trained, Weights

torch.set_num_threads(1)

few = settings(deadline=None, max_examples=10)
many = settings(deadline=None, max_examples=60)


def split(seed: int, size: int) -> Split:
    """Images 1 x 4 x 4 of three classes; a class is the third of the bytes that is bright."""
    random = np.random.default_rng(seed)
    labels = np.arange(size) % 3
    images = random.integers(0, 120, (size, 1, 4, 4))
    for row, label in enumerate(labels):
        images[row].reshape(-1)[5 * label : 5 * label + 5] += 60
    return Split(images.astype(np.uint8), labels.astype(np.int64))


DATA = Data("tiny", train=split(1, 50), validation=split(2, 21), test=split(3, 24), scaling="unit")


def colour_split(seed: int, size: int) -> Split:
    """Images 3 x 8 x 8 of three classes; a class is the channel that is bright."""
    random = np.random.default_rng(seed)
    labels = np.arange(size) % 3
    images = random.integers(0, 160, (size, 3, 8, 8))
    images[np.arange(size), labels] += 40
    return Split(images.astype(np.uint8), labels.astype(np.int64))


COLOUR = Data(
    "colour", train=colour_split(1, 50), validation=colour_split(2, 21), test=colour_split(3, 24), scaling="unit"
)


def example_of(shape: Sequence[int], count: int = 4, dtype: torch.dtype = torch.float32) -> Tensor:
    """Inputs of this shape, uniform on [0, 1)."""
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(1)).to(dtype)


def conv_net(shape: Sequence[int], classes: int) -> nn.Module:
    """Convolution, batch norm, linear: 27 + 144 prunable weights on a 1 x 4 x 4 image and 3 classes."""
    channels, height, width = shape
    return nn.Sequential(
        nn.Conv2d(channels, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(3 * height * width, classes),
    )


def dropout_net(shape: Sequence[int], classes: int) -> nn.Module:
    """Net with dropout and batch norm."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(shape), 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(8, classes),
    )


def everything_net(shape: Sequence[int], classes: int) -> nn.Module:
    """Convolution, batch norm, pooling, dropout and two linear layers."""
    channels, height, width = shape
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(height * width, 6),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(6, classes),
    )


def embedding_net(shape: Sequence[int], classes: int) -> nn.Module:
    """A net with a random parameter that is not the weight or bias of a prunable layer."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), classes))
    net.register_parameter("extra", nn.Parameter(torch.randn(3)))
    return net


class Stop(Callback):
    """Interrupts when a ticket has reached a step."""

    def __init__(self, at: int) -> None:
        self.at = at

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        if step >= self.at:
            raise Interrupted


def exploding(step: int, *, at: int) -> float:
    """Learning-rate factor that is infinite at one step."""
    return math.inf if step == at else 1.0


def sgd(parameters: Iterable[nn.Parameter], *, lr: float = 0.1) -> torch.optim.Optimizer:
    """Plain SGD: no optimizer state, so that training depends on the weights alone."""
    return torch.optim.SGD(parameters, lr=lr)


momentum = partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01)
adam = partial(torch.optim.Adam, lr=0.01, weight_decay=0.01, fused=True)
net = partial(mlp, hidden=(8, 6))


def recipe(**changes: Any) -> Recipe:
    """Twenty steps of ten images, evaluated every four; 50 images, so that an epoch ends every five steps."""
    usual: dict[str, Any] = {"model": net, "data": DATA, "optimizer": sgd, "steps": 20, "batch_size": 10}
    return Recipe(**{**usual, "evaluate_every": 4, **changes})


def half_pruned(recipe: Recipe, **changes: Any) -> Ticket:
    """A ticket whose mask keeps about half of the weights of every layer; under the mask the weights are not 0."""
    ticket = dense(recipe, glorot_normal)
    random = torch.Generator().manual_seed(0)
    mask = {name: torch.rand(m.shape, generator=random) < 0.5 for name, m in ticket.mask.items()}
    return Ticket(**{"weights": ticket.weights, "mask": mask, "level": 3, **changes})


def trained(start: Weights, end: Weights, mask: Weights | None = None, **ticket: Any) -> Trained:
    """A trained ticket with given first and last weights, 10 steps apart."""
    mask = full_mask_of(start) if mask is None else mask
    first = Ticket(start, mask, **ticket)
    return Trained(first, pd.DataFrame(), {first.step: start, first.step + 10: end}.__getitem__, first.step + 10, mask)


def kinds_of(net: nn.Module, shape: Sequence[int]) -> dict[str, str]:
    """Prunable weight -> kind, for inputs of this shape."""
    return dict(layers(net, torch.zeros(1, *shape)).kinds)


def full_mask_of(weights: Weights) -> dict[str, Tensor]:
    """Mask that keeps every tensor named weight."""
    return {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items() if name.endswith("weight")}


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fresh tensors with the same values."""
    return {name: tensor.clone() for name, tensor in tensors.items()}


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Equal names and equal bits (0 equals -0)."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
