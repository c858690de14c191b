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


def peak_memory(model: bytes, shape: Sequence[int], batch: int) -> float:
    """Megabytes (10^6 bytes) that a process needs at most for the model and one batch, in addition to Python and ONNX
    Runtime.
    """
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model)
        file.flush()
        command = [sys.executable, __file__, file.name, str(batch), *map(str, shape)]
        return float(subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout)


def main(file: str, batch: int, *shape: int) -> float:
    """Peak memory of this process after one batch, less that before the file is loaded."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    before = _so_far()
    running = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    images = np.zeros((batch, *shape), dtype=np.float32)
    running.run(None, {running.get_inputs()[0].name: images})
    return _so_far() - before


def _so_far() -> float:
    """Peak resident memory of this process, in 10^6 bytes."""
    if STATUS.is_file():  # on Linux getrusage includes the parent process
        (line,) = (line for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    print(main(sys.argv[1], *map(int, sys.argv[2:])))
