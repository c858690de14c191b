"""Weights of linear layers in 4 bits, for ONNX Runtime's MatMulNBits: a float32 scale for each block of inputs."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from lth.compress.onnx.products import constants, drop_shapes, plain_products

# Weights along the input that share a scale: ONNX Runtime's smallest block, hence the smallest rounding error.
BLOCK = 16
DOMAIN = "com.microsoft"


def pack(model: onnx.ModelProto) -> bool:
    """Replace products with a constant matrix (inputs x outputs), in place; False if there is none."""
    graph = model.graph
    plain_products(graph, every=True)
    known = constants(graph)
    matrices = {node.input[1] for node in graph.node if _fits(node, known)}
    for node in graph.node:
        if _fits(node, known):
            node.CopyFrom(_node(node, known[node.input[1]]))
    graph.initializer.extend(tensor for name in sorted(matrices) for tensor in _tensors(name, known[name]))
    drop_shapes(graph)
    if DOMAIN not in {each.domain for each in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return bool(matrices)


def rounded(matrix: np.ndarray) -> np.ndarray:
    """The values that a matrix, inputs x outputs, has after rounding; float32."""
    q, scales = quantize(matrix)
    values = (q.astype(np.float32) - 8) * scales[..., None]
    return np.ascontiguousarray(values.reshape(matrix.shape[1], -1)[:, : matrix.shape[0]].T)


def quantize(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integers q, 0 to 15 (outputs x blocks x BLOCK), and scales S (outputs x blocks): r = S(q - 8). The value of
    largest magnitude in a block becomes -8 S.
    """
    blocks = -(-matrix.shape[0] // BLOCK)
    padded = np.zeros((matrix.shape[1], blocks * BLOCK), dtype=np.float32)
    padded[:, : matrix.shape[0]] = matrix.T
    r = padded.reshape(matrix.shape[1], blocks, BLOCK)
    low, high = r.min(-1), r.max(-1)
    scales = np.where(np.abs(high) > np.abs(low), high, low) / np.float32(-8)
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales != 0)
    q = r * inverse[..., None] + 8
    return np.clip(np.floor(np.abs(q) + 0.5) * np.sign(q), 0, 15).astype(np.uint8), scales


def _fits(node: onnx.NodeProto, known: dict[str, np.ndarray]) -> bool:
    return node.op_type == "MatMul" and node.input[1] in known and known[node.input[1]].ndim == 2


def _node(node: onnx.NodeProto, matrix: np.ndarray) -> onnx.NodeProto:
    x, name = node.input
    return helper.make_node(
        "MatMulNBits", [x, f"{name}_Q4", f"{name}_scales"], list(node.output), name=f"{node.name}_Q4", domain=DOMAIN,
        K=matrix.shape[0], N=matrix.shape[1], bits=4, block_size=BLOCK,
    )  # fmt: skip


def _tensors(name: str, matrix: np.ndarray) -> list[onnx.TensorProto]:
    """Two integers a byte, the first in the low half."""
    q, scales = quantize(matrix)
    packed = q[..., 0::2] | (q[..., 1::2] << 4)
    return [numpy_helper.from_array(packed, f"{name}_Q4"), numpy_helper.from_array(scales, f"{name}_scales")]
