"""Lightning around one training.

A Lightning "batch" is a block: the rows of all steps up to the next evaluation. `training_step` runs them in a plain
loop under manual optimization, so that Lightning's own work is paid once a block.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lth.data import Examples, rows
from lth.engine import stack_state
from lth.engine.lightning import pl
from lth.engine.loop import Loop
from lth.engine.splits import splits_on, streamed_on
from lth.engine.stack import Stack
from lth.engine.state import State, load


class Shell(pl.LightningModule):
    """Gives the loop its device, its optimizer and its blocks."""

    def __init__(self, loop: Loop | Stack, state: State | None, workers: int = 0) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net, self.loop, self.state, self.workers = loop.net, loop, state, workers

    def configure_optimizers(self) -> torch.optim.Optimizer:
        self.optimizer = self.loop.recipe.optimizer(self.net.parameters())
        return self.optimizer

    def on_fit_start(self) -> None:
        self.loop.start(self.optimizer, self._splits())
        if isinstance(self.loop, Stack):
            stack_state.load(self.loop)
        elif self.state is not None:
            load(self.loop, self.state)

    def _splits(self) -> dict[str, Examples]:
        data = self.loop.recipe.data
        if data.streams and isinstance(self.loop, Loop):
            return streamed_on(self.loop, self.device, self.workers)
        return splits_on(data, self.device)

    def training_step(self, block: Any) -> None:
        self.loop.run(block)

    def on_train_end(self) -> None:
        if self.loop.step == self.loop.recipe.steps:
            self.loop.usage.start()
            self.loop.train_metric = self.loop.score("train")[1]
            self.loop.usage.stop()


def blocks(loop: Loop, until: int, state: State | None) -> Iterator[Tensor]:
    """The rows of the steps from the loop's to `until`, cut at every evaluation; an empty block evaluates."""
    recipe, noise = loop.recipe, loop.ticket.noise
    first = loop.ticket.step if state is None else int(state["step"])
    for start, stop in _ranges(first, until, recipe.evaluate_every):
        yield rows(noise, start, stop, size=len(recipe.data.train), batch_size=recipe.batch_size)


def ranges(stack: Stack, until: int) -> Iterator[tuple[int, int]]:
    """Blocks of a stack, as their first step and the one after their last; begins where the stack is when asked."""
    yield from _ranges(stack.step, until, stack.recipe.evaluate_every)


def _ranges(first: int, until: int, every: int) -> Iterator[tuple[int, int]]:
    ends = [*range((first // every + 1) * every, until, every), until]
    return zip([first, first, *ends], [first, *ends], strict=False)
