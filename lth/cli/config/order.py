"""The order of the jobs of a sweep: those that share trainings don't start side by side."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, TypeVar

T = TypeVar("T")

# Keys that decide the training of the dense net. Those that decide what is pruned from it, and controls, are not here.
TRAINING = ("root", "model", "init", "data", "task", "augment", "optimizer", "lr", "regularization", "updater", "steps",
            "batch_size", "precision", "kernel", "threads", "devices", "sync_batch_norm", "evaluate_every",
            "replicate")  # fmt: skip


def shared(config: Mapping[str, Any]) -> str:
    """A name that configurations whose dense nets are trained alike have in common."""
    return json.dumps({key: config.get(key) for key in TRAINING}, sort_keys=True, default=str)


def round_robin(jobs: Iterable[T], names: Sequence[str]) -> list[T]:
    """One job of each name, then the second of each, and so on."""
    groups: dict[str, list[T]] = {}
    for job, name in zip(jobs, names, strict=True):
        groups.setdefault(name, []).append(job)
    return [job for turn in zip_longest(*groups.values(), fillvalue=None) for job in turn if job is not None]
