"""Nets that mix the examples of a batch, so that parts of it on several devices are not the batch, found by trying."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from lth.data import normalized
from lth.engine.graph import drawn_on_host
from lth.engine.obstacle import EXAMPLES, close
from lth.recipe import Recipe
from lth.seed import undisturbed


@lru_cache(maxsize=8)
def mixes(recipe: Recipe) -> bool:
    """True if gradients or buffers after two halves of a batch, on a net each, are not those after the batch. Batch
    norm, which is synchronized, and what is random are left out.
    """
    count = min(EXAMPLES, len(recipe.data.train)) // 2 * 2
    x, y = normalized(recipe.data, recipe.data.train.take(np.arange(count)))
    with undisturbed():
        before = drawn_on_host()
        whole = _after(recipe, x, y)
        if count < 2 or drawn_on_host() != before:
            return False
        halves = [_after(recipe, *half) for half in zip(x.chunk(2), y.chunk(2), strict=True)]
    (gradients, buffers), (of_halves, theirs) = whole, zip(*halves, strict=True)
    means = [torch.stack(pair).mean(0) for pair in zip(*of_halves, strict=True)]
    kept = [each for own in theirs for each in own]
    return not (close(gradients, means) and close([*buffers, *buffers], kept))


def _after(recipe: Recipe, x: Tensor, y: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Gradients and buffers of a fresh net after a pass in training."""
    net = recipe.net().train()
    for part in net.modules():
        if isinstance(part, (_DropoutNd, _BatchNorm)):
            part.forward = nn.Identity().forward  # type: ignore[method-assign]
    recipe.task.losses(net(x), y).mean().backward()
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in net.parameters()]
    return gradients, [buffer.double() for buffer in net.buffers()]
