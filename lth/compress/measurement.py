"""Accuracy, latency and memory of files."""

from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any, TypeVar

from torch import Tensor

from lth import UserError
from lth.compress import onnx
from lth.compress.formats import Failure, File, attempt
from lth.compress.latency import BATCHES, accuracy, batch, columns, latencies
from lth.data import normalized
from lth.recipe import Recipe
from lth.task import Task

COLUMNS = ("bytes", "accuracy", *(f"{kind}_{size}" for kind in ("ms", "spread") for size in BATCHES), "memory_mb")
Key = TypeVar("Key", bound=Hashable)


def measured(files: Mapping[Key, File | Failure], recipe: Recipe) -> dict[Key, dict[str, Any]]:
    """Columns of each file: `COLUMNS`, as far as they can be measured, and a note, which is all that a file has that
    could not be written or run. The files are timed together.
    """
    inputs, targets = normalized(recipe.data, recipe.data.test)
    rows = dict[Key, dict[str, Any]]()
    for key, each in files.items():
        row = attempt(partial(_alone, each, inputs, targets, recipe.task))
        rows[key] = {"note": row.why} if isinstance(row, Failure) else row
    sessions = {
        key: onnx.session(each.model)
        for key, each in files.items()
        if "bytes" in rows[key] and isinstance(each, File) and isinstance(each.model, bytes)
    }
    for size in BATCHES if sessions else ():
        speeds = latencies({key: onnx.forward(running, batch(inputs, size)) for key, running in sessions.items()})
        for key, latency in speeds.items():
            rows[key] |= columns(size, latency)
    return rows


def _alone(file: File | Failure, inputs: Tensor, targets: Tensor, task: Task) -> dict[str, Any]:
    """Columns of a file that do not depend on others; raises what running it raises."""
    if isinstance(file, Failure):
        raise UserError(file.why)
    row: dict[str, Any] = {"bytes": len(file.content), "note": file.note}
    if not isinstance(file.model, bytes):
        return {**row, "accuracy": accuracy(file.model, inputs, targets, task)}
    running = onnx.session(file.model)
    onnx.forward(running, batch(inputs, max(BATCHES)))()
    memory = onnx.peak_memory(file.model, inputs.shape[1:], max(BATCHES))
    return {**row, "accuracy": accuracy(onnx.logits(running), inputs, targets, task), "memory_mb": memory}
