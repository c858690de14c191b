"""CPU time of a whole ladder of LeNet-300-100, level by level, beside a bare PyTorch loop that does the same.

20 prunings of 20%, 2,000 steps of 60 images a level, evaluation of 15,000 images every 100 steps, one thread. The
images are the 5,000 embedded digits, repeated, so that masks are those of real training.
"""

import time
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from lth import init, model, schedule
from lth.data import Data, Split, mnist_5k, normalized
from lth.engine.benchmark import RATE, bare
from lth.engine.train import train
from lth.imp import dense, prune
from lth.recipe import Recipe
from lth.ticket import Ticket, density

LEVELS, STEPS, EVERY = 20, 2000, 100
TRAINING, VALIDATION, TEST = 55_000, 5_000, 10_000


class Level(NamedTuple):
    """Cost of a level. kept: share of the weights. lth, bare: CPU seconds of the training and of its evaluations."""

    level: int
    kept: float
    kernel: str
    lth: float
    bare: float


def measure() -> Iterator[Level]:
    """Each level as soon as it is measured."""
    torch.set_num_threads(1)
    recipe, ladder = _recipe(), schedule.iterative(LEVELS)
    ticket = dense(recipe, init.glorot_normal)
    for level in range(LEVELS + 1):
        start = time.process_time()
        (trained,) = train([ticket], recipe=recipe, device="cpu")
        middle = time.process_time()
        _plainly(recipe, ticket)
        end = time.process_time()
        yield Level(level, density(ticket.mask), trained.facts["kernel"], middle - start, end - middle)
        ticket = prune(trained, level + 1, recipe=recipe, ladder=ladder) if level < LEVELS else ticket


def _recipe() -> Recipe:
    digits = mnist_5k()
    whole = digits.train.take(np.arange(len(digits.train)))

    def repeated(count: int) -> Split:
        return whole.take(np.arange(count) % len(whole))

    data = Data("digits", repeated(TRAINING), repeated(VALIDATION), repeated(TEST))
    adam = partial(torch.optim.Adam, lr=RATE, fused=True)
    return Recipe(model.lenet_300_100, data, adam, steps=STEPS, evaluate_every=EVERY)


def _plainly(recipe: Recipe, ticket: Ticket) -> None:
    """The bare loop's steps, then as many evaluations as the engine makes."""
    bare(recipe, ticket, STEPS)
    net, splits = recipe.net(), [normalized(recipe.data, part) for part in (recipe.data.validation, recipe.data.test)]
    with torch.no_grad():
        for _ in range(STEPS // EVERY + 1):
            for images, labels in splits:
                for x, y in zip(images.split(1000), labels.split(1000), strict=True):
                    outputs = net(x)
                    nn.functional.cross_entropy(outputs, y, reduction="sum").item()
                    (outputs.argmax(1) == y).sum().item()
