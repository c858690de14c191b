"""Images per second of Conv-2 in training, for each precision and for a plain float32 loop; and the cost of augmenting.

Batches of 60 images of noise of CIFAR-10's size, Adam, one thread. Steps are interleaved, and the median is
reported. CPU time, since wall time depends on other load.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count

import torch

from lth import augment, init, model
from lth.engine.benchmark import noise_data, pruned
from lth.engine.callback import Callback
from lth.engine.loop import Loop
from lth.engine.plain_loop import plain_loop
from lth.engine.precision import fastest
from lth.engine.splits import splits_on
from lth.engine.timing import in_turn
from lth.imp import dense
from lth.recipe import Recipe
from lth.ticket import Ticket, density

BATCH, RATE, IMAGES = 60, 2e-4, 600
PLAIN = "plain float32 loop, channels first"


def measure(steps: int = 15) -> tuple[dict[str, float], float]:
    """(Loop -> images per CPU second, augmentation's share of the fastest loop's step)."""
    torch.set_num_threads(1)
    recipe = _recipe()
    best, few = fastest(recipe.net()), pruned(recipe, 11)
    plain = plain_loop(recipe, Ticket({}, {}), torch.device("cpu"))  # with no mask
    loops = {
        "lth engine, precision=fp32": _engine(recipe),
        "lth engine, precision=bf16": _engine(replace(recipe, precision="bf16")),
        f"lth engine, precision=auto (here {best})": _engine(replace(recipe, precision=best)),
        f"the same, {density(few.mask):.1%} of the weights": _engine(replace(recipe, precision=best), few),
    }
    calls = {PLAIN: partial(plain, 1), **{name: partial(next, loop) for name, loop in loops.items()}}
    seconds = in_turn(calls, steps, clock=time.process_time)
    return {name: BATCH / value for name, value in seconds.items()}, _augmentation(recipe) / min(seconds.values())


def _recipe() -> Recipe:
    adam = partial(torch.optim.Adam, lr=RATE, fused=True)
    data = noise_data((3, 32, 32), IMAGES)
    return Recipe(model.conv_2, data, adam, steps=10**6, batch_size=BATCH, evaluate_every=10**6)


def _engine(recipe: Recipe, ticket: Ticket | None = None) -> Iterator[None]:
    loop = Loop(ticket or dense(recipe, init.glorot_normal), recipe, (), Callback())
    loop.start(recipe.optimizer(loop.net.parameters()), splits_on(recipe.data, torch.device("cpu")))
    for step in count():
        loop.run(torch.arange(step * BATCH, (step + 1) * BATCH)[None] % IMAGES)
        yield


def _augmentation(recipe: Recipe) -> float:
    """CPU seconds for a batch."""
    images, steps = torch.from_numpy(recipe.data.train.source[:BATCH]), count()
    calls = {"augmentation": lambda: augment.flip_crop(images, replicate=1, step=next(steps))}
    return in_turn(calls, 100, clock=time.process_time)["augmentation"]
