"""The straight line between the weights of two nets, and the errors of the nets on it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lth import UserError
from lth.data import Examples
from lth.seed import undisturbed
from lth.task import CLASSIFICATION, Task
from lth.ticket import Weights
from lth.weights import load

Norm = Literal["estimated", "averaged"]
BATCH = 250  # examples that are evaluated at once


@dataclass(frozen=True)
class Line:
    """Nets at evenly spaced alphas from 0 (the first) to 1 (the second): errors in [0, 1] and losses in nats on one
    split, each as long as alphas.
    """

    alphas: Sequence[float]
    errors: Sequence[float]
    losses: Sequence[float]

    @property
    def barrier(self) -> float:
        """Error barrier, which is the instability: highest error on the line minus the mean of those of its ends."""
        return barrier(self.errors)


def barrier(values: Sequence[float]) -> float:
    """The highest value on a line minus the mean of the values at its two ends; at least 0."""
    return max(values) - (values[0] + values[-1]) / 2


def spaced(count: int) -> list[float]:
    """`count` evenly spaced alphas from 0 to 1."""
    if count < 2:
        raise UserError(f"alphas={count}: a line has two ends, give at least 2")
    return [number / (count - 1) for number in range(count)]


def interpolated(first: Weights, second: Weights, alpha: float) -> dict[str, Tensor]:
    """(1 - alpha) W_1 + alpha W_2, statistics of batch norm included; what counts (integers) is that of the first."""
    return {
        name: torch.lerp(value, second[name], alpha) if value.is_floating_point() else value.clone()
        for name, value in first.items()
    }


def line(
    net: nn.Module,
    first: Weights,
    second: Weights,
    splits: Mapping[str, Examples],
    *,
    alphas: int = 30,
    norm: Norm = "estimated",
    task: Task = CLASSIFICATION,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, Line]:
    """The line between two nets on each split; splits["train"] is what norm="estimated" takes statistics from. The
    weights of `net` are overwritten. tick: called before every point, and may raise to stop.
    """
    points = spaced(alphas)
    found: dict[str, list[tuple[float, float]]] = {split: [] for split in splits}
    for alpha in points:
        tick()
        set_weights(net, interpolated(first, second, alpha), splits["train"][0], norm)
        for split, examples in splits.items():
            found[split].append(_score(net, examples, task))
    return {split: Line(points, *map(list, zip(*pairs, strict=True))) for split, pairs in found.items()}


def set_weights(net: nn.Module, weights: Weights, inputs: Tensor, norm: Norm) -> None:
    """Load weights into a net; norm="estimated": with statistics of batch norm from these inputs."""
    if norm not in get_args(Norm):
        raise UserError(f"norm={norm}: choose one of {', '.join(get_args(Norm))}")
    load(net, weights)
    net.eval()
    if norm == "estimated":
        estimate_norm(net, inputs)


def estimate_norm(net: nn.Module, inputs: Tensor) -> None:
    """Replace the running statistics of batch norm by means over batches of these inputs; of two layers, those of the
    second are taken behind the batch statistics of the first, as in training. All else stays in evaluation mode.
    """
    net.eval()
    layers = [layer for layer in net.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    momentum = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
        layer.train()
    if layers:
        outputs(net, inputs)
    for layer, usual in zip(layers, momentum, strict=True):
        layer.momentum = usual
        layer.eval()


def outputs(net: nn.Module, inputs: Tensor) -> Tensor:
    """Outputs of a net as it is set, N x C or N x T x C; no batch of one example, which batch norm can't take."""
    parts = max(1, len(inputs) // BATCH)
    with torch.no_grad(), undisturbed():
        return torch.cat([net(part) for part in inputs.tensor_split(parts)])


def text(errors: Sequence[float]) -> str:
    """Errors on a line as the text of a cell, with a space between two."""
    return " ".join(f"{error:.5g}" for error in errors)


def _score(net: nn.Module, examples: Examples, task: Task) -> tuple[float, float]:
    """(error, mean loss) of a net as it is set."""
    inputs, targets = examples
    given = outputs(net, inputs)
    return 1 - float(task.metrics(given, targets).double().mean()), float(task.loss(given, targets))
