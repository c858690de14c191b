"""ONNX export in float32, float16, int8 and int4, and ONNX Runtime. The only door to ONNX."""

from lth.compress.onnx.convert import VERIFIED, float16, float32, int4, int8, with_metadata
from lth.compress.onnx.memory import peak_memory
from lth.compress.onnx.products import in_float
from lth.compress.onnx.runtime import forward, logits, session

__all__ = [
    "VERIFIED",
    "float16",
    "float32",
    "forward",
    "in_float",
    "int4",
    "int8",
    "logits",
    "peak_memory",
    "session",
    "with_metadata",
]
