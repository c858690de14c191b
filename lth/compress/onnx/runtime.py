"""What an ONNX file does in ONNX Runtime, on one thread of the CPU: accuracy, latency, memory."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime
from torch import Tensor

from lth.compress.onnx.convert import INPUT

CHUNK = 1000
# A measurement is at least this long, so that the clock and a neighbour don't decide it.
SECONDS = 0.02

Key = TypeVar("Key", bound=Hashable)


def session(model: bytes) -> onnxruntime.InferenceSession:
    """The file, ready to run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def accuracy(model: bytes, images: Tensor, labels: Tensor) -> float:
    """Share of right answers in [0, 1]; images float32, N x shape; labels int64, N."""
    running = session(model)
    right = sum(
        int((running.run(None, {INPUT: x.numpy()})[0].argmax(1) == y.numpy()).sum())
        for x, y in zip(images.split(CHUNK), labels.split(CHUNK), strict=True)
    )
    return right / len(labels)


def latencies(models: Mapping[Key, bytes], shape: Sequence[int], batch: int, rounds: int = 7) -> dict[Key, float]:
    """Key -> median milliseconds for a batch of images of this shape. The files take turns."""
    images = {INPUT: np.random.default_rng(0).standard_normal((batch, *shape), dtype=np.float32)}
    running = {name: session(model) for name, model in models.items()}
    times: dict[Key, list[float]] = {name: [] for name in models}
    repeats = {name: max(1, round(SECONDS / _seconds(each, images, 1))) for name, each in running.items()}
    for _ in range(rounds):
        for name, each in running.items():
            times[name].append(1000 * _seconds(each, images, repeats[name]) / repeats[name])
    return {name: statistics.median(values) for name, values in times.items()}


def memory(model: bytes, shape: Sequence[int], batch: int) -> float:
    """Megabytes (10^6 bytes) that a process of its own needs at most for the file and a batch, beside Python's and the
    runtime's own.
    """
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model)
        file.flush()
        script = Path(__file__).with_name("peak.py")
        command = [sys.executable, str(script), file.name, str(batch), *map(str, shape)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _seconds(running: onnxruntime.InferenceSession, images: Mapping[str, np.ndarray], repeats: int) -> float:
    if repeats == 1:
        running.run(None, images)  # the first one lays out its memory
    begun = time.perf_counter()
    for _ in range(repeats):
        running.run(None, images)
    return time.perf_counter() - begun
