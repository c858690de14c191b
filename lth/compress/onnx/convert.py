"""A net -> ONNX float32 -> smaller ONNX. A model maps images (float32, B x shape) to logits (B x classes)."""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from torch import Tensor, nn

INPUT, OUTPUT = "images", "logits"
# Weights along the input that share a scale in int4: ONNX Runtime's smallest block, hence the smallest rounding error.
BLOCK = 16
CALIBRATION_BATCH = 100


def float32(net: nn.Module, shape: Sequence[int]) -> bytes:
    """The net in evaluation mode, for batches of any size; shape: that of one image."""
    mode = net.training
    size = torch.export.Dim("batch", min=1, max=2**16)
    try:
        with _quiet():
            program = torch.onnx.export(
                net.eval(), (torch.zeros(2, *shape),), dynamo=True, dynamic_shapes=({0: size},), external_data=False,
                verbose=False, input_names=[INPUT], output_names=[OUTPUT]
            )  # fmt: skip
    finally:
        net.train(mode)
    assert program is not None
    model = program.model_proto
    graph = model.graph
    # The exporter records each node's position in the source: half the bytes of a small file, and local paths.
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
    return bytes(model.SerializeToString())


def float16(model: bytes) -> bytes:
    """Weights and arithmetic in float16; inputs and outputs stay float32."""
    with _quiet():
        return bytes(convert_float_to_float16(onnx.load_from_string(model), keep_io_types=True).SerializeToString())


def int8(model: bytes, images: Tensor) -> bytes:
    """Static quantization: layer inputs in uint8, with ranges calibrated on `images` (float32, B x shape); weights in
    int8 with a scale per output channel. QuantizeLinear and DequantizeLinear nodes, which ONNX Runtime fuses into
    integer kernels.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        plain, ready, quantized = (Path(folder) / f"{name}.onnx" for name in ("plain", "ready", "quantized"))
        plain.write_bytes(model)
        quant_pre_process(plain, ready, skip_symbolic_shape=True)
        quantize_static(
            ready, quantized, _Images(images), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        return quantized.read_bytes()


def int4(model: bytes) -> bytes | None:
    """Weights of linear layers in 4 bits with a scale for every 16; arithmetic and convolutions stay float32. None if
    no linear layer can be quantized.
    """
    proto = onnx.load_from_string(model)
    _matmuls(proto.graph)
    with _quiet():
        quantizer = MatMulNBitsQuantizer(proto, bits=4, block_size=BLOCK, is_symmetric=True)
        quantizer.process()
    proto = quantizer.model.model
    changed = any(node.op_type == "MatMulNBits" for node in proto.graph.node)
    return bytes(proto.SerializeToString()) if changed else None


class _Images(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, images: Tensor) -> None:
        self.batches = iter(images.split(CALIBRATION_BATCH))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {INPUT: batch.numpy()}


def _matmuls(graph: onnx.GraphProto) -> None:
    """Rewrite Gemm (x W^T + b) as MatMul and Add, the pattern that the 4-bit quantizer matches."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type != "Gemm":
            nodes.append(node)
            continue
        x, weight, bias = node.input
        transposed, product = f"{weight}_transposed", f"{node.output[0]}_product"
        values = onnx.numpy_helper.to_array(weights[weight])
        graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(values.T), transposed))
        graph.initializer.remove(weights[weight])
        nodes += [
            helper.make_node("MatMul", [x, transposed], [product], name=f"{node.name}_product"),
            helper.make_node("Add", [product, bias], list(node.output), name=f"{node.name}_bias"),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the progress and warnings that the libraries print and log to the root logger."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
