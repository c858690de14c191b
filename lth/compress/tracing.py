"""Tracing of a net by PyTorch: without its output, and its errors as sentences with a remedy."""

import contextlib
import io
import logging
import re
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from lth.engine.words import named

# Names of the exporter's exceptions, whose modules are private and move.
ON_VALUES = {"GuardOnDataDependentSymNode", "DataDependentOutputException", "DynamicOutputShapeException"}
ONE_SIZE = (
    "the net computes on batches of one size only: it loops over the batch, or keeps its size as a number; use -1 or "
    "x.size(0) in its place"
)


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


def reason(error: BaseException, form: str) -> str:
    """A sentence with the remedy. form: of the file."""
    if _any(error, {"ConstraintViolationError"}):
        return ONE_SIZE
    if _any(error, ON_VALUES):
        if any(frame.name == "_detect_is_causal_mask" for frame in _frames(error)):  # of torch.nn.Transformer
            return (
                f"nn.Transformer checks whether its mask is causal{_line(error)}, which {form} can't express: give it "
                "is_causal=True or is_causal=False beside the mask"
            )
        return (
            f"what the net computes depends on the values of its inputs{_line(error)}, or of tensors that it makes, "
            f"which {form} can't express: use torch.where in place of if, and no .item()"
        )
    if missing := _any(error, {"DispatchError"}):
        name = re.search(r"op='([^']+)'", str(missing))
        return f"ONNX has no operation for {name[1] if name else missing}, which the net uses: compute it from others"
    root = _chain(error)[-1]
    return f"PyTorch can't trace the net{_line(error)}: {named(root)}"


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
    for frame in _frames(error):
        if frame.name == "forward" and not frame.filename.startswith(library):
            return f" ({Path(frame.filename).name}, line {frame.lineno})"
    return ""


def _frames(error: BaseException) -> Iterator[traceback.FrameSummary]:
    """The frames that the error and its causes passed, the deepest first."""
    for each in reversed(_chain(error)):
        yield from reversed(traceback.extract_tb(each.__traceback__))
