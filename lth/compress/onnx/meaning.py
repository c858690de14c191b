"""Meaning of a file of few bits: the float32 model with the weights of its layers rounded in NumPy, and the inputs of
its layers by operations of the ONNX standard. Files are compared with it before they are written.
"""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from lth.compress.onnx.blocks import rounded
from lth.compress.onnx.products import LAYERS, constants, option

# (layer, which of its inputs, value) -> rounded value; (name of an input, name of the rounded one) -> operations.
Round = Callable[[onnx.NodeProto, int, np.ndarray], np.ndarray]
Insert = Callable[[str, str], list[onnx.NodeProto]]


def float16(model: bytes) -> bytes:
    """Weights and inputs of layers in float16, products in float32."""
    return _rewritten(model, lambda *given: given[2].astype(np.float16), _through_half)


def int8(model: bytes) -> bytes:
    """Weights of layers in 8 bits with a scale per output channel, inputs of layers in 8 bits over their own range."""
    return _rewritten(model, _eight_bits, _through_bytes)


def int4(model: bytes) -> bytes:
    """Matrices that inputs are multiplied by in 4 bits, all else in float32."""
    return _rewritten(model, _four_bits, lambda *_: [])


def _rewritten(model: bytes, round_: Round, insert: Insert) -> bytes:
    proto = onnx.load_from_string(model)
    graph, known, nodes = proto.graph, constants(proto.graph), list[onnx.NodeProto]()
    for node in list(graph.node):
        for position in (0, 1) if node.op_type in LAYERS else ():
            name, new = node.input[position], f"{node.output[0]}_rounded_{position}"
            if name in known:
                value = np.ascontiguousarray(round_(node, position, known[name]), dtype=np.float32)
                graph.initializer.append(numpy_helper.from_array(value, new))
                node.input[position] = new
            elif operations := insert(name, new):
                nodes += operations
                node.input[position] = new
        nodes.append(node)
    _replace(graph, nodes)
    return bytes(proto.SerializeToString())


def _replace(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    kept = [node.SerializeToString() for node in nodes]  # protobuf owns the nodes of a graph
    del graph.node[:]
    graph.node.extend(onnx.NodeProto.FromString(node) for node in kept)


def _through_half(name: str, new: str) -> list[onnx.NodeProto]:
    return [helper.make_node("Cast", [name], [f"{new}_half"], to=onnx.TensorProto.FLOAT16),
            helper.make_node("Cast", [f"{new}_half"], [new], to=onnx.TensorProto.FLOAT)]  # fmt: skip


def _through_bytes(name: str, new: str) -> list[onnx.NodeProto]:
    parts = [f"{new}_q", f"{new}_scale", f"{new}_zero"]
    return [
        helper.make_node("DynamicQuantizeLinear", [name], parts),
        helper.make_node("DequantizeLinear", parts, [new]),
    ]


def _eight_bits(node: onnx.NodeProto, position: int, weight: np.ndarray) -> np.ndarray:
    largest = np.abs(weight).max(axis=_summed(node, position, weight.ndim), keepdims=True)
    scale = np.where(largest > 0, largest, 1) / 127
    return np.asarray(np.round(weight / scale) * scale)


def _summed(node: onnx.NodeProto, position: int, axes: int) -> tuple[int, ...]:
    """Axes of a weight that a sum runs over: all but that of the outputs."""
    transposed = node.op_type == "Gemm" and option(node, "transB", 0)
    outputs = {"Conv": 0, "ConvTranspose": 1}.get(node.op_type, 0 if transposed or position == 0 else axes - 1)
    return tuple(axis for axis in range(axes) if axis != outputs)


def _four_bits(node: onnx.NodeProto, position: int, weight: np.ndarray) -> np.ndarray:
    if node.op_type not in ("Gemm", "MatMul") or position == 0 or weight.ndim != 2:
        return weight
    if node.op_type == "Gemm" and option(node, "transB", 0):
        return rounded(weight.T).T
    return rounded(weight)
