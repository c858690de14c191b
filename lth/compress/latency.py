"""Latency and accuracy of nets as they are."""

import time
from collections.abc import Hashable, Mapping
from statistics import median
from typing import TypeVar

import torch
from torch import Tensor, nn

AT_LEAST = 0.0005  # seconds of one repetition: long beside a step of the clock, short beside a turn of another process
BUDGET = 1.0  # seconds of all repetitions of the slowest net
ROUNDS = (15, 400)
EVALUATED = 500  # images at once

Key = TypeVar("Key", bound=Hashable)


def latencies(nets: Mapping[Key, nn.Module], images: Tensor) -> dict[Key, float]:
    """Milliseconds of a forward pass of these images: the median of repetitions in which all nets take turns, so that a
    busy neighbour slows down all of them.
    """
    times = {key: max(1, round(AT_LEAST / _seconds(net, images, 1))) for key, net in nets.items()}
    slowest = max(_seconds(net, images, times[key]) for key, net in nets.items())
    rounds = min(max(round(BUDGET / slowest), ROUNDS[0]), ROUNDS[1])
    found: dict[Key, list[float]] = {key: [] for key in nets}
    for first in range(rounds):
        for key in _rotated([*nets], first):
            found[key].append(_seconds(nets[key], images, times[key]) / times[key])
    return {key: 1000 * median(seconds) for key, seconds in found.items()}


def accuracy(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """In [0, 1], computed in float32 by this very net."""
    parts = zip(images.split(EVALUATED), labels.split(EVALUATED), strict=True)
    with torch.no_grad():
        return sum(int((net(x).argmax(1) == y).sum()) for x, y in parts) / len(labels)


def _rotated(keys: list[Key], first: int) -> list[Key]:
    """Another one goes first in every round: what ran before leaves its mark on the next."""
    start = first % len(keys)
    return keys[start:] + keys[:start]


def _seconds(net: nn.Module, images: Tensor, times: int) -> float:
    """Of so many passes, after one that brings the weights back into the cache."""
    with torch.no_grad():
        net(images)
        begun = time.perf_counter()
        for _ in range(times):
            net(images)
        return time.perf_counter() - begun
