"""Latency and accuracy of a PyTorch module or an ONNX session."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lth.engine.timing import Call, Key, in_turn

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


def accuracy(logits: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) -> float:
    """Share of correct predictions, in [0, 1]; images float32, N x shape; labels int64, N."""
    batches = zip(images.split(BATCH), labels.split(BATCH), strict=True)
    with torch.no_grad():
        return sum(int((logits(x).argmax(1) == y).sum()) for x, y in batches) / len(labels)
