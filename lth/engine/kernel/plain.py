"""Steps and scores of one ticket by PyTorch, a batch at a time."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor

from lth.engine import evaluation
from lth.engine.kernel.dense import Dense
from lth.engine.kernel.update import Update
from lth.engine.parts import backward, part_of
from lth.seed import seed, start_all, start_host

if TYPE_CHECKING:
    from lth.engine.loop import Loop


class Plain:
    """Steps of PyTorch's optimizer, with the gradients of autograd, or of `dense` if the net has such passes."""

    def __init__(self, update: Update, dense: Dense | None) -> None:
        self.update, self.dense, self.factor = update, dense, 1.0

    def pieces(self, loop: "Loop", block: Tensor) -> Iterator[Tensor]:
        """The steps of a block one by one."""
        return iter(block.split(1) if len(block) else ())

    def take(self, loop: "Loop", batches: Tensor) -> Tensor:
        """Take the step of one batch (int64, 1 x B) and return its loss."""
        factor = loop.recipe.lr(loop.step)
        if factor != self.factor:
            self.factor = factor
            for group, rate in zip(loop.optimizer.param_groups, loop.rates, strict=True):
                group["lr"] = rate * factor
        loss = self._gradients(loop, *_examples(loop, batches[0]))
        if not (loop.masking.replaces and loop.masking.update(loop.step + 1, stepped=False)):
            self.update.step(loop.masking.pruned, loop.masking.factors)
        return loss

    def score(self, loop: "Loop", split: str) -> tuple[float, float]:
        """(mean loss, mean metric) on a split."""
        return evaluation.score(loop, split)

    def store(self) -> None:
        """Nothing to do: net and optimizer are up to date."""

    def load(self) -> None:
        """Nothing to do: each step reads net and optimizer."""

    def _gradients(self, loop: "Loop", x: Tensor, y: Tensor) -> Tensor:
        """Set the gradients of a batch and return its mean loss."""
        if self.dense is not None:
            return self.dense.gradients(loop.scaled(x, raw=True), y)
        if loop.ranks.rank:  # the first process goes on with the generator of the training
            start = start_host if loop.device.type == "cpu" else start_all
            start(seed("training", loop.ticket.noise, loop.step, loop.ranks.rank))
        loss = loop.recipe.task.loss(loop.outputs(x, raw=True), y)
        loop.optimizer.zero_grad()
        penalty = loop.recipe.regularization(loop.penalized)
        total = loss if penalty is None else loss + penalty
        if loop.ranks.count > 1:
            return backward(loop, total, loss.detach())
        total.backward()
        return loss.detach()


def _examples(loop: "Loop", batch: Tensor) -> tuple[Tensor, Tensor]:
    """Augmented inputs and targets of a batch, or of the part of it that this process has."""
    if loop.ranks.count > 1:
        return part_of(loop, batch)
    inputs, targets = loop.splits["train"]
    return loop.augmented(inputs.index_select(0, batch), loop.step), targets.index_select(0, batch)
