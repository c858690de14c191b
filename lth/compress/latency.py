"""Latency and accuracy of a PyTorch module or an ONNX session."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lth import UserError
from lth.engine.timing import Call, Key, in_turn
from lth.task import CLASSIFICATION, Task

AT_LEAST = 0.0005  # seconds of one measurement: well above the clock's resolution, below a scheduler time slice
BUDGET = 1.0  # seconds of all measurements of the slowest net
ROUNDS = (15, 400)
BATCHES = (1, 128)  # images of one forward pass that is timed
BATCH = 500  # images evaluated at once


def latencies(passes: Mapping[Key, Call]) -> dict[Key, float]:
    """Median milliseconds of each forward pass (a call without arguments); passes are interleaved."""
    with torch.no_grad():
        slowest = max(in_turn(passes, 1, at_least=AT_LEAST).values())
        rounds = min(max(round(BUDGET / max(slowest, AT_LEAST)), ROUNDS[0]), ROUNDS[1])
        return {key: 1000 * each for key, each in in_turn(passes, rounds, at_least=AT_LEAST).items()}


def batch(inputs: Tensor, size: int) -> Tensor:
    """The first inputs, from the first one again where there are fewer."""
    return inputs[torch.arange(size) % len(inputs)]


def check(task: Task) -> None:
    """Raise UserError if the metric of the task is no accuracy, by which nets are compared."""
    if task.metric != "accuracy":
        raise UserError(f"task={task.name} has no accuracy to compare nets by; lth export writes one net as a file")


def accuracy(
    outputs: Callable[[Tensor], Tensor], inputs: Tensor, targets: Tensor, task: Task = CLASSIFICATION
) -> float:
    """Mean accuracy of a task over inputs (N x shape, scaled) and targets, in [0, 1]."""
    batches = zip(inputs.split(BATCH), targets.split(BATCH), strict=True)
    with torch.no_grad():
        return sum(task.metrics(outputs(x), y).double().sum().item() for x, y in batches) / len(targets)
