"""ONNX Runtime on one CPU thread."""

from collections.abc import Callable
from functools import partial

import onnxruntime
import torch
from torch import Tensor

from lth.compress.onnx.convert import INPUT


def session(model: bytes) -> onnxruntime.InferenceSession:
    """An ONNX model, ready to run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def forward(running: onnxruntime.InferenceSession, images: Tensor) -> Callable[[], object]:
    """A forward pass of these images (float32, B x shape) as a call without arguments, to be timed."""
    return partial(running.run, None, {INPUT: images.numpy()})


def logits(running: onnxruntime.InferenceSession) -> Callable[[Tensor], Tensor]:
    """The session as a function: images (float32, B x shape) -> logits (B x classes)."""
    return lambda images: torch.from_numpy(running.run(None, {INPUT: images.numpy()})[0])
