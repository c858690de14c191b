"""Products of a graph: nodes that multiply inputs by a constant weight, in one form."""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from lth import UserError

FLOAT = onnx.TensorProto.FLOAT
LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# Operations whose first input is data and whose second is a weight, as all layers; and recurrent ones, which have two.
WEIGHTED = (*LAYERS, "LSTM", "GRU", "RNN", "Einsum")
FUSED = re.compile(r"^ConvBnFusion_W_|_token_\d+$")  # that is added to the name of a weight


def constants(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """Name -> value of float32 initializers and of their transposes, which the exporter leaves where they are large."""
    found = {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.data_type == FLOAT}
    for node in graph.node:
        if node.op_type == "Transpose" and node.input[0] in found:
            order = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
            found[node.output[0]] = np.transpose(found[node.input[0]], order)
    return found


def plain_products(graph: onnx.GraphProto, *, every: bool) -> None:
    """Rewrite Gemm (alpha x W + beta b, either transposed) as MatMul and Add; with every=False only those with an alpha
    or beta, which ONNX Runtime quantizes wrongly. A Gemm that is no product with a constant weight stays.
    """
    known, new, made = constants(graph), list[onnx.NodeProto](), dict[str, np.ndarray]()
    for node in graph.node:
        scaled = any(option(node, name, 1.0) != 1 for name in ("alpha", "beta"))
        fits = node.op_type == "Gemm" and (every or scaled) and _is_plain(node, known)
        new += _product(node, known, made) if fits else [node]
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in made.items())
    del graph.node[:]
    graph.node.extend(new)
    drop_shapes(graph)


def drop_shapes(graph: onnx.GraphProto) -> None:
    """Remove transposes and initializers that nothing reads any more."""
    outputs = {each.name for each in graph.output}
    read = {name for node in nodes(graph) for name in node.input} | outputs
    idle = [node for node in graph.node if node.op_type == "Transpose" and not set(node.output) & read]
    for node in idle:
        graph.node.remove(node)
    read = {name for node in nodes(graph) for name in node.input} | outputs
    for tensor in [t for t in graph.initializer if t.name not in read]:
        graph.initializer.remove(tensor)


def merge_weights(graph: onnx.GraphProto, own: Collection[str]) -> None:
    """Keep one of several equal weights, under the name that it has in the net: what folds batch norm into a
    convolution makes a weight for each call of the two. own: names of the initializers before.
    """
    weights = [tensor for tensor in graph.initializer if len(tensor.dims) > 1]
    taken = {tensor.name for tensor in graph.initializer} | {name for node in nodes(graph) for name in node.output}
    first, names = dict[Any, str](), dict[str, str]()
    for tensor in weights:
        name = tensor.name if tensor.name in own else FUSED.sub("", tensor.name)
        values = tensor.data_type, tuple(tensor.dims), numpy_helper.to_array(tensor).tobytes()
        names[tensor.name] = first.setdefault(values, tensor.name if name in taken else name)
        taken.add(name)
    for node in nodes(graph):
        for at, name in enumerate(node.input):
            node.input[at] = names.get(name, name)
    for tensor in weights:
        tensor.name = names[tensor.name]
    kept = {tensor.name: tensor for tensor in graph.initializer}
    del graph.initializer[:]
    graph.initializer.extend(kept.values())


def in_float(model: bytes) -> list[str]:
    """Layers of a file that multiply by float32 weights, such as "0.weight (Conv)"; one that the exporter renamed is
    named by its operation alone.
    """
    graph = onnx.load_from_string(model).graph
    known = constants(graph)
    found = [(name, node.op_type) for node in graph.node if node.op_type in WEIGHTED for name in node.input
             if name in known and known[name].ndim > 1]  # fmt: skip
    return list(dict.fromkeys(kind if name.startswith("val_") else f"{name} ({kind})" for name, kind in found))


def grouped_transposed(graph: onnx.GraphProto) -> list[str]:
    """Names of transposed convolutions in groups with a bias, which ONNX Runtime's quantizer takes for ones without
    groups: their scales, one for each output of a group, do not fit their biases. They stay in float32.
    """
    nodes = [node for node in graph.node if node.op_type == "ConvTranspose" and len(node.input) > 2]
    return [node.name for node in nodes if option(node, "group", 1.0) > 1]


def refuse_float64(model: bytes, name: str) -> None:
    """Raise UserError if the model has float64 weights, which ONNX Runtime converts to nothing smaller."""
    tensors = onnx.load_from_string(model).graph.initializer
    if any(tensor.data_type == onnx.TensorProto.DOUBLE and len(tensor.dims) > 1 for tensor in tensors):
        raise UserError(f"the net has float64 weights, which ONNX Runtime does not convert to {name}: use float32")


def _is_plain(node: onnx.NodeProto, known: dict[str, np.ndarray]) -> bool:
    has_weight = node.input[1] in known and known[node.input[1]].ndim == 2 and not option(node, "transA", 0)
    bias = node.input[2] if len(node.input) > 2 else ""
    return has_weight and (not bias or bias in known or option(node, "beta", 1.0) == 1)


def _product(
    node: onnx.NodeProto, known: dict[str, np.ndarray], made: dict[str, np.ndarray]
) -> Iterator[onnx.NodeProto]:
    """MatMul and, with a bias, Add. made: name -> new initializer, the same for every use of a weight."""
    x, weight, *rest = node.input
    bias = rest[0] if rest else ""
    name, values = weight, known[weight]
    if option(node, "transB", 0):
        name, values = f"{name}_transposed", values.T
    if (alpha := option(node, "alpha", 1.0)) != 1:
        name, values = f"{name}_times_{alpha:g}", values * np.float32(alpha)
    if name != weight:
        made[name] = np.ascontiguousarray(values)
    product = f"{node.output[0]}_product" if bias else node.output[0]
    yield helper.make_node("MatMul", [x, name], [product], name=f"{node.name}_product")
    if bias:
        if (beta := option(node, "beta", 1.0)) != 1:
            made[f"{bias}_times_{beta:g}"] = known[bias] * np.float32(beta)
            bias = f"{bias}_times_{beta:g}"
        yield helper.make_node("Add", [product, bias], list(node.output), name=f"{node.name}_bias")


def option(node: onnx.NodeProto, name: str, usual: float) -> float:
    """A number among the attributes of a node."""
    return next((float(helper.get_attribute_value(a)) for a in node.attribute if a.name == name), usual)


def nodes(graph: onnx.GraphProto) -> Iterable[onnx.NodeProto]:
    """The nodes of a graph, and of the graphs inside them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                yield from nodes(inner)
