"""Latency and accuracy of a PyTorch module or an ONNX session."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import pandas as pd
import torch
from torch import Tensor

from lth import UserError
from lth.engine.timing import Call, Key, in_turn, rounds_in_turn, spread
from lth.task import CLASSIFICATION, Task

AT_LEAST = 0.0005  # seconds of one measurement: well above the clock's resolution, below a scheduler time slice
BUDGET = 1.0  # seconds of all measurements of the slowest net
ROUNDS = (15, 400)
BATCHES = (1, 128)  # images of one forward pass that is timed
UNSETTLED = 0.1  # spread of the timings of one net above which a warning is given
WARNING = ("WARNING: that is much, as where other work runs too. Ratios of times that differ by less are not "
           "settled: measure again while nothing else runs.")  # fmt: skip
BATCH = 500  # images evaluated at once


@dataclass(frozen=True)
class Latency:
    """Median milliseconds of a forward pass, and the spread of its repeated timings (`lth.engine.timing.spread`)."""

    milliseconds: float
    spread: float


def latencies(passes: Mapping[Key, Call]) -> dict[Key, Latency]:
    """Latency of each forward pass (a call without arguments); passes are interleaved."""
    with torch.no_grad():
        slowest = max(in_turn(passes, 1, at_least=AT_LEAST).values())
        rounds = min(max(round(BUDGET / max(slowest, AT_LEAST)), ROUNDS[0]), ROUNDS[1])
        taken = rounds_in_turn(passes, rounds, at_least=AT_LEAST)
        return {key: Latency(1000 * median(each), spread(each)) for key, each in taken.items()}


def columns(size: int, latency: Latency) -> dict[str, float]:
    """The columns of a table that hold the latency of batches of this size."""
    return {f"ms_{size}": latency.milliseconds, f"spread_{size}": latency.spread}


def settled(table: pd.DataFrame) -> str:
    """A sentence on the spread of the timings in a table with such columns, and a warning where it is great; empty of
    nets that were not timed.
    """
    widest = {size: share for size in BATCHES if not math.isnan(share := table[f"spread_{size}"].max())}
    if not widest:
        return ""
    said = ", ".join(f"{share:.0%} at batch {size}" for size, share in widest.items())
    warned = f" {WARNING}" if max(widest.values()) > UNSETTLED else ""
    return (
        f"Spread of the repeated timings of a net (the middle half of them, over the median): at most {said}.{warned}"
    )


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
