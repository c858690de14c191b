"""Reasons not to train nets side by side, found by trying: it is exact, or not done."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from lth import UserError, quantization
from lth.data import normalized
from lth.engine.graph import drawn_on_host
from lth.engine.objective import Objective
from lth.engine.passes import IN_TURN, TOGETHER, Passes
from lth.engine.rates import elementwise, grouping
from lth.engine.stacked import Stacked
from lth.engine.words import named
from lth.layer import prunable
from lth.recipe import Recipe
from lth.seed import start_host, undisturbed
from lth.weights import weights_of

EXAMPLES, TOLERANCE = 4, 1e-3
LEAVES_OUT = "the net leaves out layers at random"


@lru_cache(maxsize=8)
def obstacle(recipe: Recipe) -> str:
    """Reason why tickets of a recipe can't share their steps exactly; empty if they can."""
    if reason := bound_to_one(recipe):
        return reason
    with undisturbed():
        before = drawn_on_host()
        try:
            _gradients(recipe, IN_TURN)
        except UserError:  # two nets that drew differently
            return LEAVES_OUT
        return "" if drawn_on_host() == before else "the net draws random numbers (dropout)"


@lru_cache(maxsize=8)
def bound_to_one(recipe: Recipe) -> str:
    """Reason why a ticket needs a module and an optimizer of its own; empty if stacked weights do."""
    if recipe.data.streams:
        return "the data set streams"
    if recipe.kernel == "sparse":
        return "kernel=sparse trains one ticket at a time"
    if recipe.replaces_steps:
        return "the updater takes the place of optimizer steps"
    if recipe.supplies("net"):
        return "the updater looks at the whole net"
    net = recipe.net()
    if any(quantization.layers(net)):
        return "the net is quantized, and rounds its own weights"
    optimizer = recipe.optimizer(net.parameters())
    if not elementwise(optimizer):
        return f"{type(optimizer).__name__} may look at more than one weight at a time"
    stack = Stacked(net, [weights_of(net)] * 2)
    if grouping(optimizer, net) != grouping(recipe.optimizer(stack.parameters()), stack):
        return "the optimizer groups parameters by their shape, or leaves some out"
    with undisturbed():
        start_host(0)
        _, *before = drawn_on_host()
        own = _gradients_alone(recipe)
        if [*drawn_on_host()[1:]] != before:
            return "the net draws random numbers of Python or NumPy"
        start_host(0)
        try:
            stacked = _gradients(recipe, IN_TURN)
        except UserError:
            return LEAVES_OUT
        if own is None:
            return LEAVES_OUT
    if len(own) != len(stacked) or not close(own, stacked):
        return "the net keeps values that are neither parameters nor buffers in their place"
    return ""


def _gradients_alone(recipe: Recipe) -> list[Tensor] | None:
    """The same as `_gradients`, by the nets as they are; None if one has a gradient that the other has not."""
    recipe = replace(recipe, precision="fp32")
    nets, (x, y) = [recipe.net(seed).train() for seed in (0, 1)], _few(recipe)
    losses = []
    for net in nets:
        loss = recipe.task.losses(net(x), y).mean()
        penalty = recipe.regularization([net.get_parameter(n) for n in recipe.penalized(net, prunable(net))])
        (loss if penalty is None else loss + penalty).backward()
        losses.append(loss.detach())
    pairs = [(one.grad, other.grad) for one, other in zip(*(net.parameters() for net in nets), strict=True)]
    if any((one is None) != (other is None) for one, other in pairs):
        return None
    gradients = [torch.stack([one, other]) for one, other in pairs if one is not None and other is not None]
    kept = [[value for name, value in net.named_buffers() if name in weights_of(net)] for net in nets]
    return [torch.stack(losses), *gradients, *(torch.stack(pair).double() for pair in zip(*kept, strict=True))]


def _few(recipe: Recipe) -> tuple[Tensor, Tensor]:
    return normalized(recipe.data, recipe.data.train.take(np.arange(min(EXAMPLES, len(recipe.data.train)))))


@lru_cache(maxsize=8)
@undisturbed()
def unmappable(recipe: Recipe) -> str:
    """Reason why `torch.func` can't map the net over stacked weights; empty if it can."""
    try:
        together = _gradients(recipe, TOGETHER)
    except Exception as error:  # whatever a net raises on tensors of torch.func
        return f"torch.func can't map the net over several weights ({named(error)})"
    return (
        ""
        if close(_gradients(recipe, IN_TURN), together)
        else "mapped over several weights by torch.func, the net gives other gradients than alone"
    )


def close(one: list[Tensor], other: list[Tensor]) -> bool:
    """Equal but for rounding, also where a gradient is 0 but for rounding."""
    rounding = TOLERANCE * max((float(tensor.norm()) for tensor in one), default=0.0)
    pairs = zip(one, other, strict=True)
    return all(float((a - b).norm()) <= TOLERANCE * (float(a.norm()) + rounding) for a, b in pairs)


def _gradients(recipe: Recipe, passes: Passes) -> list[Tensor]:
    """Losses, gradients and buffers of two nets with different weights, after a pass in training mode on the CPU."""
    recipe = replace(recipe, precision="fp32")
    nets = [recipe.net(seed) for seed in (0, 1)]
    stack = Stacked(nets[0], [weights_of(net) for net in nets])
    x, y = (torch.stack([each, each]) for each in _few(recipe))
    penalized = recipe.penalized(nets[0], prunable(nets[0]))
    losses = passes.gradients(Objective(nets[0].train(), recipe, torch.device("cpu"), penalized), stack, x, y)
    gradients = [p.grad for p in stack.parameters() if p.grad is not None]
    return [losses, *gradients, *(buffer.double() for buffer in stack.buffers())]
