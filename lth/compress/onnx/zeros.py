"""Biases of units whose weights are all 0, which pruning leaves, in a quantized model."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

LARGEST = 2**30  # of a bias, as an integer


def keep_biases(model: onnx.ModelProto, biases: Mapping[str, np.ndarray]) -> None:
    """Give output channels of zeros the middle scale of the others, in place. ONNX Runtime gives them a scale of 1, by
    which their biases are rounded, so coarsely that they are lost. biases: name -> value in float32.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    made = {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    for node in model.graph.node:
        weight, bias = (made.get(name) for name in (*node.input, "", "", "")[1:3])
        if weight and bias and node.input[2] in biases and {*weight.input[:2], *bias.input[:2]} <= tensors.keys():
            _rescale(tensors, weight, bias, biases[node.input[2]].astype(np.float64))


def _rescale(
    tensors: Mapping[str, onnx.TensorProto], weight: onnx.NodeProto, bias: onnx.NodeProto, values: np.ndarray
) -> None:
    q, scales, steps = (numpy_helper.to_array(tensors[n]) for n in (*weight.input[:2], bias.input[1]))
    if scales.shape != values.shape:  # one scale for all channels, or for those of each group
        return
    axis = next((helper.get_attribute_value(a) for a in weight.attribute if a.name == "axis"), 1)
    zero = ~np.moveaxis(q, axis, 0).reshape(len(scales), -1).any(1)
    if not zero.any() or zero.all():
        return
    inputs = steps / scales
    least = np.abs(values) / (inputs * LARGEST)
    new = np.where(zero, np.maximum(np.median(scales[~zero]), least), scales).astype(np.float32)
    steps = (inputs * new).astype(np.float32)
    integers = np.where(zero, np.round(values / steps), numpy_helper.to_array(tensors[bias.input[0]])).astype(np.int32)
    for name, array in ((weight.input[1], new), (bias.input[1], steps), (bias.input[0], integers)):
        tensors[name].CopyFrom(numpy_helper.from_array(array, name))
