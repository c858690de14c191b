"""A script of its own, without PyTorch: the megabytes that an ONNX file and one batch take. FILE BATCH SHAPE..."""

import resource
import sys
from pathlib import Path

import numpy as np
import onnxruntime

STATUS = Path("/proc/self/status")


def main(file: str, batch: int, *shape: int) -> float:
    """Peak of the process with the file, less that without it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    before = peak()
    running = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    images = np.zeros((batch, *shape), dtype=np.float32)
    running.run(None, {running.get_inputs()[0].name: images})
    return peak() - before


def peak() -> float:
    """The most memory that this program had so far, in 10^6 bytes."""
    if STATUS.is_file():  # on Linux getrusage counts the process that started this one, too
        (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    print(main(sys.argv[1], *map(int, sys.argv[2:])))
