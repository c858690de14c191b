"""Forward and backward pass of the nets of a stack: all at once by `torch.func.vmap`, or one after the other."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from lth import UserError
from lth.engine.channels_last import suits
from lth.engine.linear import StackedLinear
from lth.engine.objective import Objective
from lth.engine.stacked import Stacked, laid_out_like

STREAMS = 4


class Passes(NamedTuple):
    """Passes through a stack of nets.

    gradients: (objective, nets, x, y), a batch for each net -> losses, R; sets the gradients of the nets.
    scores: (objective, nets, x, y), one batch for all -> R x 2 (see `Objective.scores`).
    """

    gradients: Callable[[Objective, Stacked, Tensor, Tensor], Tensor]
    scores: Callable[[Objective, Stacked, Tensor, Tensor], Tensor]


def _gradients_together(objective: Objective, nets: Stacked, x: Tensor, y: Tensor) -> Tensor:
    with StackedLinear():
        losses, totals = vmap(objective)(nets.tensors, x, y)
    parameters = [p for p in nets.parameters() if p.requires_grad]
    for parameter, gradient in zip(parameters, _gradients(totals.sum(), parameters), strict=True):
        parameter.grad = None if gradient is None else laid_out_like(parameter, gradient)
    return losses.detach()


def _scores_together(objective: Objective, nets: Stacked, x: Tensor, y: Tensor) -> Tensor:
    return vmap(objective.scores, in_dims=(0, None, None))(nets.tensors, x, y)


def _gradients_in_turn(objective: Objective, nets: Stacked, x: Tensor, y: Tensor) -> Tensor:
    losses, unused = [], []
    trained = [name for name, parameter in nets.trainable.items() if parameter.requires_grad]
    for number in _streams(nets.nets, x.device):
        own = nets.of(number)
        loss, total = objective(own, _laid_out(x[number], objective), y[number])
        unused.append(_keep(nets, number, trained, _gradients(total, [own[name] for name in trained])))
        losses.append(loss.detach())
    for name in set().union(*unused):  # which the optimizer then leaves as they are, for all nets or for none
        if not all(name in each for each in unused):
            raise UserError(f"nets that are trained side by side use {name} in different steps: set width=1")
        nets.trainable[name].grad = None
    return torch.stack(losses)


def _scores_in_turn(objective: Objective, nets: Stacked, x: Tensor, y: Tensor) -> Tensor:
    x = _laid_out(x, objective)
    return torch.stack([objective.scores(nets.of(number), x, y) for number in range(nets.nets)])


TOGETHER = Passes(_gradients_together, _scores_together)
IN_TURN = Passes(_gradients_in_turn, _scores_in_turn)


def _gradients(total: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(total, parameters, allow_unused=True)


def _keep(nets: Stacked, number: int, names: Sequence[str], gradients: Sequence[Tensor | None]) -> set[str]:
    """Put the gradients of one net into those of the stack, whose memory stays the same from step to step; returns the
    names of those that there are none of.
    """
    unused = set[str]()
    for name, gradient in zip(names, gradients, strict=True):
        parameter = nets.trainable[name]
        if gradient is None:
            unused.add(name)
            continue
        if nets.nets == 1:
            parameter.grad = laid_out_like(parameter, gradient[None])
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        parameter.grad[number].copy_(gradient)
    return unused


def _streams(count: int, device: torch.device) -> Iterator[int]:
    """The numbers from 0 to count - 1; on CUDA each on one of several streams, so that small kernels overlap."""
    if device.type != "cuda" or count == 1:
        yield from range(count)
        return
    main, others = torch.cuda.current_stream(device), _side_streams(device)[:count]
    for stream in others:
        stream.wait_stream(main)
    for number in range(count):
        with torch.cuda.stream(others[number % len(others)]):
            yield number
    for stream in others:
        main.wait_stream(stream)


@lru_cache(maxsize=1)
def _side_streams(device: torch.device) -> list[torch.cuda.Stream]:
    return [torch.cuda.Stream(device) for _ in range(STREAMS)]


def channels_last(objective: Objective) -> bool:
    """True if convolutions are faster on images with their channels last: not in float32 on CUDA."""
    return suits(objective.recipe) and (objective.device.type != "cuda" or objective.recipe.precision != "fp32")


def _laid_out(x: Tensor, objective: Objective) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 and channels_last(objective) else x
