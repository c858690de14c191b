"""Milliseconds per step of the engine, of a bare PyTorch loop, and of Lightning's automatic loop, in one process.

The same net (LeNet-300-100), batch (60) and data (55,000 images of noise); masks keep 21% of the weights, and the
sparse kernel has a line for each of several densities. A time is the slope between a short and a long training, so that
set-up cancels out; trainings are interleaved, and the median is reported. CPU time, since wall time depends on other
load.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lth import init, model, schedule
from lth.data import Data, Split, normalized, rows
from lth.engine.lightning import pl
from lth.engine.timing import in_turn
from lth.engine.train import train
from lth.engine.trainer import fit
from lth.imp import dense
from lth.recipe import Recipe
from lth.ticket import Ticket, density

SHORT, LONG, BATCH, RATE = 200, 1700, 60, 1.2e-3
LEVELS = (3, 5, 7, 11, 15, 18)
BARE = "bare PyTorch loop, fused Adam"


def measure(rounds: int = 5) -> dict[str, float]:
    """Loop -> CPU milliseconds per step, on one thread."""
    torch.set_num_threads(1)
    recipe = noise()
    tickets = {f"{density(ticket.mask):.1%}": ticket for ticket in (pruned(recipe, level) for level in LEVELS)}
    usual = pruned(recipe, 7)
    loops: dict[str, Callable[[int], object]] = {
        BARE: partial(bare, recipe, usual),
        "lth, kernel=dense": partial(engine, replace(recipe, kernel="dense"), usual),
        **{
            f"lth, kernel=sparse, {share} of the weights": partial(engine, replace(recipe, kernel="sparse"), ticket)
            for share, ticket in tickets.items()
        },
        "Lightning automatic, DataLoader, fused Adam": partial(_automatic, recipe, usual, True),
        "Lightning automatic, DataLoader, default Adam": partial(_automatic, recipe, usual, False),
    }
    calls = {(name, steps): partial(loop, steps) for name, loop in loops.items() for steps in (SHORT, LONG)}
    seconds = in_turn(calls, rounds, clock=time.process_time)
    return {name: 1000 * (seconds[name, LONG] - seconds[name, SHORT]) / (LONG - SHORT) for name in loops}


def first_call() -> float:
    """CPU seconds of a training of one step by the sparse kernel, without imports of PyTorch."""
    recipe = replace(noise(), kernel="dense")
    ticket = pruned(recipe, 7)
    engine(recipe, ticket, 1)
    start = time.process_time()
    engine(replace(recipe, kernel="sparse"), ticket, 1)
    return time.process_time() - start


def noise() -> Recipe:
    """LeNet-300-100 on noise, so that no time is lost on data; on ten images it is evaluated, which is not measured."""
    data = noise_data((1, 28, 28), 55_000)
    return Recipe(model.lenet_300_100, data, partial(torch.optim.Adam, lr=RATE, fused=True), steps=10 * LONG)


def noise_data(shape: tuple[int, int, int], train: int, validation: int = 10, test: int = 10) -> Data:
    """Images of noise of this shape, labeled 0 to 9 in turn."""
    random = np.random.default_rng(0)

    def split(n: int) -> Split:
        return Split(random.integers(0, 256, (n, *shape), dtype=np.uint8), np.arange(n) % 10)

    return Data("noise", split(train), split(validation), split(test))


def pruned(recipe: Recipe, level: int) -> Ticket:
    """A ticket whose mask keeps the largest weights of each layer."""
    ticket, ladder = dense(recipe, init.glorot_normal), schedule.iterative(level)
    mask = {}
    for name, kind in recipe.layers.kinds.items():
        sizes = ticket.weights[name].abs().flatten()
        kept = torch.zeros_like(sizes, dtype=torch.bool)
        kept[sizes.argsort(descending=True)[: round(ladder.density(level, kind) * len(sizes))]] = True
        mask[name] = kept.view_as(ticket.weights[name])
    return Ticket(ticket.weights, mask)


def engine(recipe: Recipe, ticket: Ticket, steps: int) -> None:
    """Take steps as lth does."""
    train([ticket], recipe=recipe, until=steps, device="cpu")


def bare(recipe: Recipe, ticket: Ticket, steps: int) -> None:
    """Take steps in a plain loop of PyTorch."""
    net, (images, labels) = recipe.net(), scaled_once(recipe.data)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE, fused=True)
    weights: list[Tensor] = [net.get_parameter(name) for name in ticket.mask]
    masks = [mask.float() for mask in ticket.mask.values()]
    order = rows(1, 0, steps, size=len(labels), batch_size=BATCH)
    torch.set_flush_denormal(True)
    for batch in order:
        loss = nn.functional.cross_entropy(net(images.index_select(0, batch)), labels.index_select(0, batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            torch._foreach_mul_(weights, masks)


class _Automatic(pl.LightningModule):
    """A module as in Lightning's documentation, with the masks applied after every batch."""

    def __init__(self, recipe: Recipe, ticket: Ticket, fused: bool) -> None:
        super().__init__()
        self.net, self.fused = recipe.net(), fused
        self.kept = [(self.net.get_parameter(name), mask.float()) for name, mask in ticket.mask.items()]

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def on_train_batch_end(self, *unused: object) -> None:
        with torch.no_grad():
            for weight, mask in self.kept:
                weight.mul_(mask)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.net.parameters(), lr=RATE, fused=self.fused or None)


def _automatic(recipe: Recipe, ticket: Ticket, fused: bool, steps: int) -> None:
    loader = DataLoader(TensorDataset(*scaled_once(recipe.data)), batch_size=BATCH, shuffle=True)
    fit(_Automatic(recipe, ticket, fused), loader, "cpu", max_epochs=-1, max_steps=steps)


@lru_cache(maxsize=1)
def scaled_once(data: Data) -> tuple[Tensor, Tensor]:
    """The training set, scaled, as every loop but the engine's takes it."""
    return normalized(data, data.train)
