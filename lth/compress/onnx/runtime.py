"""ONNX Runtime on one CPU thread."""

from collections.abc import Callable
from functools import partial

import onnxruntime
import torch
from torch import Tensor

from lth.compress.onnx.program import INPUT


def session(model: bytes) -> onnxruntime.InferenceSession:
    """An ONNX model, ready to run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def forward(running: onnxruntime.InferenceSession, inputs: Tensor) -> Callable[[], object]:
    """A forward pass of these inputs (B x shape) as a call without arguments, to be timed."""
    return partial(running.run, None, {INPUT: inputs.numpy()})


def logits(running: onnxruntime.InferenceSession) -> Callable[[Tensor], Tensor]:
    """The session as a function: inputs (B x shape) -> outputs (B x ...)."""
    return lambda inputs: torch.from_numpy(running.run(None, {INPUT: inputs.numpy()})[0])
