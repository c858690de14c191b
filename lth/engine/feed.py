"""Batches of a stack on its device; what is random is drawn on the CPU, many steps ahead, by (replicate, step)."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from lth import augment
from lth.augment import PARTS
from lth.data import Examples, rows
from lth.engine.rates import pinned
from lth.keywords import arguments
from lth.recipe import Recipe


class Feed:
    """Batches of R tickets, of up to `size` steps at a time. replicates: `Ticket.noise` of each.

    `load` fills tables on the device and sets its step counter to 0; `batch` reads from them by that counter, and
    `advance` moves it on, so that both can be part of a CUDA graph. An augmentation that can't be drawn ahead is called
    by `prepare`, outside of the graph.
    """

    def __init__(self, recipe: Recipe, replicates: Sequence[int], train: Examples, size: int) -> None:
        self.recipe, self.replicates, (self.inputs, self.targets) = recipe, replicates, train
        self.device = self.inputs.device
        self.orders = {replicate: _Order(recipe, replicate) for replicate in replicates}
        function, settings = arguments(recipe.augment)
        self.parts = PARTS.get(function)
        self.settings, self.outside = settings, self.parts is None and function is not augment.none
        width = len(replicates) * recipe.batch_size
        self.at = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.rows = torch.zeros(size, width, dtype=torch.int64, device=self.device)
        self.drawn, self.augmented = torch.zeros(0), torch.zeros(0)
        self.ahead: tuple[tuple[int, int], list[Tensor]] | None = None

    def draw_ahead(self, start: int, stop: int) -> None:
        """Draw for the steps that will be loaded next, while the device is busy."""
        if stop > start:
            self.ahead = (start, stop), self._draw(start, stop)

    def load(self, start: int, stop: int) -> None:
        """Fill the tables for the steps from `start` to `stop` - 1."""
        key, tables = self.ahead if self.ahead and self.ahead[0] == (start, stop) else ((start, stop), None)
        order, *drawn = self._draw(*key) if tables is None else tables
        self.rows[: len(order)].copy_(order, non_blocking=True)
        for each in drawn:
            if not len(self.drawn):
                self.drawn = torch.zeros(len(self.rows), *each.shape[1:], dtype=each.dtype, device=self.device)
            self.drawn[: len(each)].copy_(each, non_blocking=True)
        self.ahead = None
        self.at.zero_()

    def prepare(self, index: int, step: int) -> None:
        """Augment the inputs of a step, the row `index` of the tables, if that can't be drawn ahead."""
        if not self.outside:
            return
        inputs = self.inputs.index_select(0, self.rows[index]).split(self.recipe.batch_size)
        pairs = zip(inputs, self.replicates, strict=True)
        augmented = torch.cat([self.recipe.augment(x, replicate=replicate, step=step) for x, replicate in pairs])
        if not len(self.augmented):
            self.augmented = torch.empty_like(augmented)
        self.augmented.copy_(augmented)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Inputs, not scaled yet, R * B x shape, and targets, R x B and their own shape, of the step that the counter
        stands at.
        """
        order = self.rows.index_select(0, self.at)[0]
        targets = self.targets.index_select(0, order).unflatten(0, (len(self.replicates), self.recipe.batch_size))
        if self.outside:
            return self.augmented, targets
        inputs = self.inputs.index_select(0, order)
        if self.parts is not None:
            inputs = self.parts.apply(inputs, self.drawn.index_select(0, self.at)[0], **self.settings)
        return inputs, targets

    def advance(self) -> None:
        """Move the counter to the next step."""
        self.at.add_(1)

    def _draw(self, start: int, stop: int) -> list[Tensor]:
        order = torch.cat([self.orders[replicate].rows(start, stop) for replicate in self.replicates], 1)
        move = pinned if self.device.type == "cuda" else torch.Tensor.contiguous
        if self.parts is None:
            return [move(order)]
        draw = partial(self.parts.draw, self.recipe.batch_size, **self.settings)
        drawn = [
            self._side_by_side({r: draw(replicate=r, step=step) for r in self.orders}) for step in range(start, stop)
        ]
        return [move(order), move(torch.stack(drawn))]

    def _side_by_side(self, drawn: dict[int, Tensor]) -> Tensor:
        return torch.cat([drawn[replicate] for replicate in self.replicates], -1)


class _Order:
    """Rows of a replicate. Drawn about an epoch at a time, since its permutation costs as much as many steps."""

    def __init__(self, recipe: Recipe, replicate: int) -> None:
        self.size, self.batch_size, self.replicate = len(recipe.data.train), recipe.batch_size, replicate
        self.start, self.known = 0, torch.zeros(0, self.batch_size, dtype=torch.int64)

    def rows(self, start: int, stop: int) -> Tensor:
        if not self.start <= start <= stop <= self.start + len(self.known):
            self.start, end = start, max(stop, start + self.size // self.batch_size)
            self.known = rows(self.replicate, start, end, size=self.size, batch_size=self.batch_size)
        return self.known[start - self.start : stop - self.start]
