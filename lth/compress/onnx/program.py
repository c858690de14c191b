"""A net -> an ONNX program in float32 that takes batches of any size, or a sentence that says why there is none."""

import onnx
import torch
from torch import Tensor, nn

from lth import UserError, quantization
from lth.compress.tracing import ONE_SIZE, quiet, reason

INPUT, OUTPUT = "images", "logits"
LARGEST_BATCH = 2**16
ROUNDS = "the net rounds its weights itself (lth.quantization): export the net it was made from, in int8 or int4"


def program(net: nn.Module, inputs: Tensor) -> onnx.ModelProto:
    """The net in evaluation mode. inputs: B x shape, of the net's own type. Raises UserError.

    Tracing by values turns len(x) into a number; PyTorch's stricter tracing, which reads the source, does not, and is
    the second way.
    """
    pair, errors = inputs[:1].repeat(2, *[1] * (inputs.ndim - 1)), list[Exception]()
    for strict in (False, True):
        try:
            model = _exported(net, pair, strict=strict)
        except Exception as error:  # the exporter and the net raise anything
            errors.append(error)
            continue
        if model.graph.input[0].type.tensor_type.shape.dim[0].dim_param:
            return model
    if any(quantization.layers(net)):
        raise UserError(ROUNDS)
    raise UserError(reason(errors[0], "ONNX") if len(errors) == 2 else ONE_SIZE) from next(iter(errors), None)


def _exported(net: nn.Module, pair: Tensor, *, strict: bool) -> onnx.ModelProto:
    size = ({0: torch.export.Dim("batch", min=1, max=LARGEST_BATCH)},)
    names = {"input_names": [INPUT], "output_names": [OUTPUT]}
    with quiet():
        traced = torch.export.export(net, (pair,), dynamic_shapes=size, strict=True) if strict else net
        of_net = {} if strict else {"args": (pair,), "dynamic_shapes": size}
        exported = torch.onnx.export(
            traced, dynamo=True, external_data=False, verbose=False, **of_net, **names  # type: ignore[arg-type]
        )  # fmt: skip
    assert exported is not None
    model = exported.model_proto
    graph = model.graph
    # The exporter records each node's position in the source: half the bytes of a small file, and local paths.
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
    return model
