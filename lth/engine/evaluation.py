"""Evaluation of a net between the steps of its loop: loss and metric of a split, and rows of the learning curve."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from lth.engine.divergence import NonFiniteLoss
from lth.engine.precision import exact
from lth.recipe import Recipe

if TYPE_CHECKING:
    from lth.engine.loop import Loop

# Examples of a batch: many for MLPs, few for convolutional nets so that activations stay in cache.
BATCH, BATCH_OF_IMAGES = 1000, 125


def due(step: int, first: int, recipe: Recipe, curve: Sequence[Sequence[float]]) -> bool:
    """True if this step is the first, an n-th or the last, and the curve has no row of it yet."""
    ends = step in (first, recipe.steps)
    return (ends or step % recipe.evaluate_every == 0) and not (curve and curve[-1][0] == step)


def score(loop: "Loop", split: str) -> tuple[float, float]:
    """(mean loss, mean metric) of the net, in evaluation mode, on a split."""
    inputs, targets = loop.splits[split]
    task, loss, metric = loop.recipe.task, 0.0, 0.0
    size, own = BATCH_OF_IMAGES if loop.images else BATCH, loop.ranks.own
    loop.net.eval()
    with torch.no_grad():
        for x, y in zip(own(inputs.split(size)), own(targets.split(size)), strict=True):
            loop.callback.stepped(loop.ticket, loop.step, loop.recipe.steps)
            outputs = loop.outputs(x, raw=split == "train")
            loss += task.total(outputs, y).item()
            metric += task.metrics(outputs, y).to(exact(loop.device)).sum().item()
    loop.net.train()
    loss, metric = loop.ranks.total(loss, metric)
    return loss / len(targets), metric / len(targets)


def row(loop: "Loop") -> list[float]:
    """A row of the learning curve: step, training loss, then loss and metric of validation and of test set. The
    mean training loss of no step is NaN. Raises NonFiniteLoss.
    """
    losses = torch.hstack([*loop.losses]).double().cpu() if loop.losses else torch.empty(0)
    found = [loop.step, losses.mean().item(), *loop.score("validation"), *loop.score("test")]
    if error := NonFiniteLoss.among(losses, found[2], loop.step, loop.ticket):
        raise error
    return [float(value) for value in found]
