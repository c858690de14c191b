"""The sparse kernel in the loop of one ticket: its data, its rates and its scores."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from lth import augment
from lth.engine.kernel import compiled
from lth.engine.kernel.block import Block, Examples, announce
from lth.keywords import unbound
from lth.recipe import Recipe

if TYPE_CHECKING:
    from lth.engine.loop import Loop

# Steps between two calls of the callback, at most, and their examples; and the examples that are scored between two.
PIECE, EXAMPLES, SCORED = 50, 3000, 5000


class Sparse:
    """Steps and scores on kept weights. Bytes that are not augmented are scaled by the kernel, unless each input is
    divided by its own norm.
    """

    def __init__(self, layers: Sequence[nn.Linear], loop: "Loop") -> None:
        recipe, mask = loop.recipe, loop.ticket.mask
        names = {id(parameter): name for name, parameter in loop.net.named_parameters()}
        weights = [layer.weight for layer in layers]
        masks = [mask.get(names[id(w)], torch.ones_like(w, dtype=torch.bool)) for w in weights]
        self.block = Block(layers, masks, loop.optimizer, recipe.regularization)
        inputs, _ = loop.splits["train"]
        by_kernel = recipe.data.scaling != "l2" and unbound(recipe.augment)[0] is augment.none
        self.resident = isinstance(inputs, Tensor) and inputs.dtype == torch.uint8 and by_kernel
        self.mean, self.deviation = (each.astype(self.block.kind) for each in _scaling(recipe))
        features = layers[0].in_features
        self.neutral = np.zeros(features, self.block.kind), np.ones(features, self.block.kind)
        self._compile(loop)

    def pieces(self, loop: "Loop", block: Tensor) -> Iterator[Tensor]:
        """Steps of a block (int64, steps x B) that are taken in one go; after those of `keep` there is a cut."""
        piece = max(1, min(PIECE, EXAMPLES // loop.recipe.batch_size))
        cuts = {*range(0, len(block), piece), *(k - loop.step for k in loop.keep if 0 < k - loop.step < len(block))}
        ends = [*sorted(cuts), len(block)]
        return iter([block[start:stop] for start, stop in pairwise(ends)])

    def take(self, loop: "Loop", batches: Tensor) -> Tensor:
        """Take the steps of some batches (int64, steps x B) and return their losses."""
        steps = range(loop.step, loop.step + len(batches))
        rates = [loop.rates[0] * loop.recipe.lr(step) for step in steps]
        inputs, targets = loop.splits["train"]
        if self.resident:
            return self.block.take(batches.numpy(), self._examples(inputs, targets), rates)
        chosen = [
            loop.augmented(inputs.index_select(0, batch), step) for batch, step in zip(batches, steps, strict=True)
        ]
        x = loop.scaled(torch.cat(chosen), raw=True)
        examples = self._examples(x, targets.index_select(0, batches.flatten()))
        return self.block.take(np.arange(batches.numel()).reshape(batches.shape), examples, rates)

    def score(self, loop: "Loop", split: str) -> tuple[float, float]:
        """(mean loss, mean accuracy) on a split."""
        inputs, targets = loop.splits[split]
        loss, correct = 0.0, 0
        for x, y in zip(inputs.split(SCORED), targets.split(SCORED), strict=True):
            loop.callback.stepped(loop.ticket, loop.step, loop.recipe.steps)
            more, found = self.block.score(self._examples(loop.scaled(x, raw=split == "train"), y))
            loss, correct = loss + more, correct + found
        return loss / len(targets), correct / len(targets)

    def store(self) -> None:
        """Bring net and optimizer up to date."""
        self.block.store()

    def load(self) -> None:
        """Take over what is in net and optimizer."""
        self.block.load()

    def _compile(self, loop: "Loop") -> None:
        """Compile the kernel, or load it from its cache, by a call of zero steps, before the training's clock starts.
        Data that stream are not asked for.
        """
        announce(compiled.steps)
        none = torch.empty(0, dtype=torch.int64)
        examples = self._examples(torch.empty(0, len(self.mean)), none)
        self.block.score(examples)
        steps = none.numpy().reshape(0, loop.recipe.batch_size)
        self.block.take(steps, self._examples(*loop.splits["train"]) if self.resident else examples, [])

    def _examples(self, inputs: Tensor, targets: Tensor) -> Examples:
        scaling = (self.mean, self.deviation) if inputs.dtype == torch.uint8 else self.neutral
        return Examples(inputs.flatten(1).numpy(), targets.numpy(), *scaling)


def _scaling(recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of every feature."""
    shape = recipe.data.shape
    each = (np.asarray(s).reshape(-1, *(1 for _ in shape[1:])) for s in recipe.data.statistics)
    mean, deviation = (np.ascontiguousarray(np.broadcast_to(s, shape)).reshape(-1) for s in each)
    return mean, deviation
