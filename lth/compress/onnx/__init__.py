"""ONNX export in float32, float16, int8 and int4, and ONNX Runtime. The only door to ONNX."""

from lth.compress.onnx.convert import float16, float32, int4, int8
from lth.compress.onnx.memory import peak_memory
from lth.compress.onnx.runtime import forward, logits, session

__all__ = ["float16", "float32", "forward", "int4", "int8", "logits", "peak_memory", "session"]
