"""A net -> an ONNX program in float32 that takes batches of any size, or a sentence that says why there is none."""

import contextlib
import io
import logging
import re
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from lth import UserError, quantization
from lth.engine.words import named

INPUT, OUTPUT = "images", "logits"
LARGEST_BATCH = 2**16
# Names of the exporter's exceptions, whose modules are private and move.
ON_VALUES = {"GuardOnDataDependentSymNode", "DataDependentOutputException", "DynamicOutputShapeException"}
ONE_SIZE = (
    "the net computes on batches of one size only: it loops over the batch, or keeps its size as a number; use -1 or "
    "x.size(0) in its place"
)
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
    raise UserError(_reason(errors[0]) if len(errors) == 2 else ONE_SIZE) from next(iter(errors), None)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress the progress and warnings that the libraries print and log to the root logger."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        nowhere = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


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


def _reason(error: BaseException) -> str:
    """A sentence with the remedy."""
    if _any(error, {"ConstraintViolationError"}):
        return ONE_SIZE
    if _any(error, ON_VALUES):
        return (
            f"what the net computes depends on the values of its inputs{_line(error)}, which ONNX can't express: use "
            "torch.where in place of if, and no .item()"
        )
    if missing := _any(error, {"DispatchError"}):
        name = re.search(r"op='([^']+)'", str(missing))
        return f"ONNX has no operation for {name[1] if name else missing}, which the net uses: compute it from others"
    root = _chain(error)[-1]
    return f"PyTorch can't export the net to ONNX{_line(error)}: {named(root)}"


def _any(error: BaseException, names: set[str]) -> BaseException | None:
    return next((each for each in _chain(error) if type(each).__name__ in names), None)


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what caused it, the first cause last."""
    found = [error]
    while cause := found[-1].__cause__ or found[-1].__context__:
        found.append(cause)
    return found


def _line(error: BaseException) -> str:
    """The last line of the user's own source in the traceback, or "" if there is none."""
    library = str(Path(torch.__file__).parent)
    for each in reversed(_chain(error)):
        for frame in reversed(traceback.extract_tb(each.__traceback__)):
            if frame.name == "forward" and not frame.filename.startswith(library):
                return f" ({Path(frame.filename).name}, line {frame.lineno})"
    return ""
