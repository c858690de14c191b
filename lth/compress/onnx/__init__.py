"""Nets as files that other programs run: ONNX in float32, float16, int8 and int4, and what such a file does in ONNX
Runtime. The only door to ONNX.
"""

from lth.compress.onnx.convert import float16, float32, int4, int8
from lth.compress.onnx.runtime import accuracy, latencies, memory, session

__all__ = ["accuracy", "float16", "float32", "int4", "int8", "latencies", "memory", "session"]
