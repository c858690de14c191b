"""Peak memory of an ONNX model, measured in a process of its own: this file, run as a script, without PyTorch.

Arguments of the script: FILE BATCH SHAPE...; it prints megabytes.
"""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

STATUS = Path("/proc/self/status")
TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}


def peak_memory(model: bytes, shape: Sequence[int], batch: int) -> float:
    """Megabytes (10^6 bytes) that a process needs at most for the model and one batch, in addition to Python and ONNX
    Runtime. Raises RuntimeError if they can't be run.
    """
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model)
        file.flush()
        command = [sys.executable, __file__, file.name, str(batch), *map(str, shape)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode < 0:
        raise RuntimeError(f"ONNX Runtime crashes on the file (signal {-done.returncode})")
    if done.returncode:
        (*_, last) = ["no message", *done.stderr.strip().splitlines()]
        raise RuntimeError(f"ONNX Runtime can't run the file: {last[:200]}")
    return float(done.stdout)


def main(file: str, batch: int, *shape: int) -> float:
    """Peak memory of this process after one batch, less that before the file is loaded."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    before = _so_far()
    running = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    (given,) = running.get_inputs()
    running.run(None, {given.name: np.zeros((batch, *shape), TYPES[given.type])})
    return _so_far() - before


def _so_far() -> float:
    """Peak resident memory of this process, in 10^6 bytes."""
    if STATUS.is_file():  # on Linux getrusage includes the parent process
        (line,) = (line for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    print(main(sys.argv[1], *map(int, sys.argv[2:])))
