"""Biases of units whose weights are all 0, which pruning leaves, in a quantized model."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from lth.compress.onnx.products import LAYERS

EXACT = 2**24  # a bias as an integer: as many digits as float32 has
LEAST = 1e-30  # of a scale: its products with those of inputs are numbers


def keep_biases(model: onnx.ModelProto, biases: Mapping[str, np.ndarray]) -> None:
    """Give output channels of zeros the scales that their biases need, in place. ONNX Runtime gives them a scale of 1,
    by which their biases are rounded, so coarsely that they are lost. biases: name -> value in float32.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    made = {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    layers: dict[str, tuple[onnx.NodeProto, list[str]]] = {}  # scale of a weight -> it, and the biases beside it
    for node in model.graph.node:
        if node.op_type in LAYERS and (weight := made.get(node.input[1])) and {*weight.input[:2]} <= tensors.keys():
            layers.setdefault(weight.input[1], (weight, []))[1].extend(node.input[2:])
    for weight, names in layers.values():
        known = [(made[name], biases[name].astype(np.float64)) for name in names if name in made and name in biases]
        if known and len(known) == len(names):  # the second use of a weight has a bias of its own, by another name
            _rescale(tensors, weight, known)


def _rescale(
    tensors: Mapping[str, onnx.TensorProto], weight: onnx.NodeProto, biases: Sequence[tuple[onnx.NodeProto, np.ndarray]]
) -> None:
    q, scales = (numpy_helper.to_array(tensors[name]) for name in weight.input[:2])
    if any(scales.shape != values.shape for _, values in biases):  # one scale for all channels, or for each of a group
        return
    axis = next((helper.get_attribute_value(a) for a in weight.attribute if a.name == "axis"), 1)
    zero = ~np.moveaxis(q, axis, 0).reshape(len(scales), -1).any(1)
    inputs = [numpy_helper.to_array(tensors[node.input[1]]) / scales for node, _ in biases]
    needed = [np.abs(values) / (scale * EXACT) for scale, (_, values) in zip(inputs, biases, strict=True)]
    new = np.where(zero, np.maximum(np.max(needed, axis=0), LEAST), scales).astype(np.float32)
    _set(tensors[weight.input[1]], new)
    for scale, (node, values) in zip(inputs, biases, strict=True):
        steps = (scale * new).astype(np.float32)
        integers = np.where(zero, np.round(values / steps), numpy_helper.to_array(tensors[node.input[0]]))
        _set(tensors[node.input[1]], steps)
        _set(tensors[node.input[0]], integers.astype(np.int32))


def _set(tensor: onnx.TensorProto, values: np.ndarray) -> None:
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
