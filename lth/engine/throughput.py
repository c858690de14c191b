"""Images per second of Conv-2 in training, for each precision, beside a plain float32 loop; and what augmenting costs.

Batches of 60 images of noise of CIFAR-10's size, Adam, one thread. The ways take turns, and the median of the steps
counts, in time of the processor, since the other cores may be at work.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count

import numpy as np
import torch
from torch import nn

from lth import augment, init, model
from lth.data import Data, Split, normalized
from lth.engine.callback import Callback
from lth.engine.loop import Loop, splits_on
from lth.engine.precision import fastest
from lth.imp import dense
from lth.recipe import Recipe

BATCH, RATE, IMAGES, WARM_UP = 60, 2e-4, 600, 2


def measure(steps: int = 15) -> tuple[dict[str, float], float]:
    """(way -> images per second, share of a step that augmentation takes)."""
    torch.set_num_threads(1)
    recipe = _recipe()
    ways = {
        "plain float32 loop, channels first": _plain(recipe),
        "lth engine, precision=fp32": _engine(recipe),
        "lth engine, precision=bf16": _engine(replace(recipe, precision="bf16")),
    }
    ways[f"lth engine, precision=auto (here {fastest(recipe.net())})"] = _engine(
        replace(recipe, precision=fastest(recipe.net()))
    )
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(WARM_UP + steps):
        for name, step in ways.items():
            seconds = _seconds(lambda step=step: next(step))  # type: ignore[misc]
            times[name] += [seconds] if turn >= WARM_UP else []
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {name: BATCH / value for name, value in medians.items()}, _augmentation(recipe) / min(medians.values())


def _seconds(call: Callable[[], object]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


def _recipe() -> Recipe:
    random = np.random.default_rng(0)

    def split(n: int) -> Split:
        return Split(random.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8), np.arange(n) % 10)

    data = Data("noise", split(IMAGES), split(10), split(10))
    adam = partial(torch.optim.Adam, lr=RATE, fused=True)
    return Recipe(model.conv_2, data, adam, steps=10**6, batch_size=BATCH, evaluate_every=10**6)


def _plain(recipe: Recipe) -> Iterator[None]:
    net, (images, labels) = recipe.net(), normalized(recipe.data, recipe.data.train)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE, fused=True)
    for step in count():
        rows = torch.arange(step * BATCH, (step + 1) * BATCH) % IMAGES
        loss = nn.functional.cross_entropy(net(images.index_select(0, rows)), labels.index_select(0, rows))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield


def _engine(recipe: Recipe) -> Iterator[None]:
    loop = Loop(dense(recipe, init.glorot_normal), recipe, (), Callback())
    loop.start(recipe.optimizer(loop.net.parameters()), splits_on(recipe.data, torch.device("cpu")), None)
    for step in count():
        loop.run(torch.arange(step * BATCH, (step + 1) * BATCH)[None] % IMAGES)
        yield


def _augmentation(recipe: Recipe, repeats: int = 100) -> float:
    images = torch.from_numpy(recipe.data.train.source[:BATCH])
    augmented = partial(augment.flip_crop, images, replicate=1)
    return statistics.median(_seconds(lambda step=step: augmented(step=step)) for step in range(repeats))  # type: ignore[misc]
