"""A net -> ONNX float32 -> smaller ONNX. A model maps inputs (B x shape) to outputs (B x ...), for any B.

Every function runs its file in ONNX Runtime on one of the inputs that it is given, and on all of them, before it
returns it, and raises UserError unless the outputs are those that they should be (see `lth.compress.onnx.verify`).
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from torch import Tensor, nn

from lth import UserError
from lth.compress.onnx import blocks, verify, zeros
from lth.compress.onnx.memory import peak_memory
from lth.compress.onnx.products import (
    LAYERS,
    constants,
    grouped_transposed,
    merge_weights,
    nodes,
    plain_products,
    refuse_float64,
)
from lth.compress.onnx.program import INPUT, program
from lth.compress.tracing import quiet
from lth.engine.words import named

T = TypeVar("T")
CALIBRATION_BATCH = 100
# Inputs that a file is verified on.
VERIFIED = 32


def float32(net: nn.Module, inputs: Tensor) -> bytes:
    """The net in evaluation mode. inputs: at least two, as the net sees them."""
    mode, inputs = net.training, inputs[:VERIFIED]
    if len(inputs) < 2:
        raise UserError(f"{len(inputs)} inputs: give at least 2, to verify the file at two batch sizes")
    try:
        model = bytes(program(net.eval(), inputs).SerializeToString())
        verify.like_net(model, net, inputs)
    finally:
        net.train(mode)
    return model


def float16(model: bytes, inputs: Tensor) -> bytes:
    """Weights and arithmetic in float16; inputs and outputs stay float32."""
    refuse_float64(model, "float16")

    def convert() -> bytes:
        half = convert_float_to_float16(onnx.load_from_string(model), keep_io_types=True)
        return bytes(half.SerializeToString())

    return _verified(convert, model, inputs, "float16")


def int8(model: bytes, inputs: Tensor) -> bytes:
    """Static quantization: layer inputs in uint8, with ranges calibrated on `inputs`; weights in 8 bits with a scale
    per output channel, symmetric about their zero point of 128. QuantizeLinear and DequantizeLinear nodes, which ONNX
    Runtime fuses into integer kernels.

    Where 8 bits between layers do not do (an attention mask of -inf), only the inputs and outputs of layers have them.
    """
    refuse_float64(model, "int8")
    try:
        return _verified(lambda: _static(model, inputs, None), model, inputs, "int8")
    except UserError:
        return _verified(lambda: _static(model, inputs, LAYERS), model, inputs, "int8")


def int4(model: bytes, inputs: Tensor) -> bytes | None:
    """Weights of linear layers in 4 bits with a scale for every 16; arithmetic and convolutions stay float32. None if
    no linear layer can be quantized.
    """
    refuse_float64(model, "int4")
    proto = _converted(lambda: _folded(onnx.load_from_string(model)), "int4")
    domains = {"", *(node.domain for part in (proto.graph, *proto.functions) for node in nodes(part))}
    for idle in [each for each in proto.opset_import if each.domain not in domains]:  # of ONNX Runtime's preparation
        proto.opset_import.remove(idle)
    del proto.metadata_props[:]  # likewise: those of lth are written later
    plain = proto.SerializeToString()
    if not blocks.pack(proto):
        return None
    verify.like_model(plain, model, inputs[:VERIFIED])
    return _verified(lambda: bytes(proto.SerializeToString()), plain, inputs, "int4")


def with_metadata(model: bytes, facts: Mapping[str, str]) -> bytes:
    """The same model with facts in its metadata, which ONNX Runtime gives as custom_metadata_map."""
    proto = onnx.load_from_string(model)
    for key, value in facts.items():
        proto.metadata_props.add(key=key, value=value)
    return bytes(proto.SerializeToString())


def _verified(convert: Callable[[], bytes], model: bytes, inputs: Tensor, name: str) -> bytes:
    smaller = _converted(convert, name)
    if name == "float16":
        _survives(smaller, inputs)
    verify.like_meaning(smaller, model, inputs[:VERIFIED], name)
    return smaller


def _converted(convert: Callable[[], T], name: str) -> T:
    try:
        with quiet():
            return convert()
    except Exception as error:  # the converters raise anything
        raise UserError(f"ONNX Runtime can't convert the net to {name}: {named(error)}") from error


def _survives(model: bytes, inputs: Tensor) -> None:
    """Run a model in a process of its own: ONNX Runtime crashes on some in float16, and the process with it."""
    try:
        peak_memory(model, inputs.shape[1:], 1)
    except RuntimeError as error:
        raise UserError(f"{error}: not written") from error


def _static(model: bytes, inputs: Tensor, operations: tuple[str, ...] | None) -> bytes:
    proto = onnx.load_from_string(model)
    plain_products(proto.graph, every=False)
    proto = _folded(proto)
    graph = proto.graph
    with tempfile.TemporaryDirectory() as folder:
        ready, quantized = (Path(folder) / f"{name}.onnx" for name in ("ready", "quantized"))
        ready.write_bytes(proto.SerializeToString())
        quantize_static(
            ready, quantized, _Inputs(inputs), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=operations,
            nodes_to_exclude=grouped_transposed(graph),
        )  # fmt: skip
        found = onnx.load(quantized)
        zeros.keep_biases(found, constants(graph))
        return _unsigned(found)


def _folded(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with weights that are computed from others, such as by weight norm, as values: the exporter leaves
    large ones to be computed for every batch.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain, folded = (Path(folder) / f"{name}.onnx" for name in ("plain", "folded"))
        plain.write_bytes(proto.SerializeToString())
        quant_pre_process(plain, folded, skip_symbolic_shape=True)
        found = onnx.load(folded)
        merge_weights(found.graph, {tensor.name for tensor in proto.graph.initializer})
        return found


def _unsigned(proto: onnx.ModelProto) -> bytes:
    """The same model with weights and zero points of int8 moved up by 128, to uint8. Without VNNI, an x86 processor
    adds two products of uint8 and int8 in 16 bits, which overflow; those of uint8 and uint8 ONNX Runtime adds in 32.
    """
    dequantized = {name for node in proto.graph.node if node.op_type == "DequantizeLinear" for name in node.input}
    for tensor in proto.graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8 and tensor.name in dequantized:
            values = numpy_helper.to_array(tensor).astype(np.int16) + 128
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.uint8), tensor.name))
    return bytes(proto.SerializeToString())


class _Inputs(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, inputs: Tensor) -> None:
        self.batches = iter(inputs.split(CALIBRATION_BATCH))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {INPUT: batch.numpy()}
