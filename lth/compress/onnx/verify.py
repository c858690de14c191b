"""Comparison of a file with what it stands for, in ONNX Runtime, on one input and on all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor, nn

from lth import UserError
from lth.compress.onnx import meaning
from lth.compress.onnx.runtime import logits, session
from lth.engine.words import first_line, named
from lth.seed import undisturbed

# Largest difference of float32 outputs, relative to the largest output: the order of sums differs.
ROUNDING = 1e-4


@dataclass(frozen=True)
class Allowance:
    """Largest error of a file's outputs, root mean square: `times` that of its meaning, since the file rounds between
    layers too, where the meaning rounds at the layers alone; and `step` of the largest output, which is rounded itself.
    """

    times: float
    step: float


ALLOWED = {"float16": Allowance(16, 2**-8), "int8": Allowance(8, 4 / 255)}


def like_net(model: bytes, net: nn.Module, inputs: Tensor) -> None:
    """Raise UserError unless a float32 model computes what the net does in evaluation mode."""
    expected = [_net_outputs(net, x) for x in _batches(inputs)]
    _close(_outputs(model, inputs), expected, "the net's")


def like_model(model: bytes, other: bytes, inputs: Tensor) -> None:
    """Raise UserError unless a float32 model computes what another does."""
    _close(_outputs(model, inputs), _outputs(other, inputs), "the net's")


def like_meaning(model: bytes, plain: bytes, inputs: Tensor, name: str) -> None:
    """Raise UserError if the outputs of a model of few bits differ from those of the float32 model `plain` by more than
    its bits allow. name: "float16", "int8" or "int4".
    """
    outputs, exact = _outputs(model, inputs), _outputs(plain, inputs)
    meant = _outputs(getattr(meaning, name)(plain), inputs)
    if name not in ALLOWED:
        _close(outputs, meant, f"those of {name} weights")
        return
    largest = max(map(_largest, exact))
    noise = max(_size(rounded - wanted) for rounded, wanted in zip(meant, exact, strict=True))
    for found, wanted in zip(outputs, exact, strict=True):
        _near(found, wanted, ALLOWED[name].times * noise + ALLOWED[name].step * largest, name)


def _batches(inputs: Tensor) -> Sequence[Tensor]:
    return inputs[:1], inputs


def _net_outputs(net: nn.Module, x: Tensor) -> Tensor:
    """Outputs of a pass in evaluation mode, float32."""
    with torch.no_grad(), undisturbed():
        try:
            found, again = net(x), net(x)
        except Exception as error:
            raise UserError(f"the net can't compute on a batch of {len(x)}: {named(error)}") from error
    if not isinstance(found, Tensor):
        raise UserError(f"the net gives a {type(found).__name__}: return one tensor")
    if not found.isfinite().all():
        raise UserError("outputs of the net are not finite")
    if _largest(found.float() - again.float()) > ROUNDING * _largest(found):
        raise UserError(
            "the outputs of the net are random in evaluation mode: switch dropout off (training=self.training)"
        )
    return found.detach().float()


def _outputs(model: bytes, inputs: Tensor) -> list[Tensor]:
    doing = "load the file"
    try:
        run = logits(session(model))
        doing = f"run the file on batches of 1 and {len(inputs)}"
        return [run(x).float() for x in _batches(inputs)]
    except Exception as error:
        raise UserError(f"ONNX Runtime can't {doing}: {first_line(error)}") from error


def _close(outputs: Sequence[Tensor], expected: Sequence[Tensor], whose: str) -> None:
    largest = max(map(_largest, expected))  # of both batches: the outputs of one input may all be near 0
    for found, wanted in zip(outputs, expected, strict=True):
        if found.shape != wanted.shape:
            raise UserError(f"the file gives outputs {tuple(found.shape)}, the net {tuple(wanted.shape)}: not written")
        difference = _largest(found - wanted)
        if not difference <= ROUNDING * largest:
            raise UserError(
                f"outputs of the file differ from {whose} by up to {difference:.2g}, with a batch of {len(found)} (the "
                f"largest output is {largest:.2g}): not written"
            )


def _near(found: Tensor, wanted: Tensor, allowed: float, name: str) -> None:
    error = _size(found - wanted)
    if not isfinite(error + allowed):
        raise UserError(f"{name} can't hold the values inside the net: outputs of the file are not finite")
    if error > allowed:
        raise UserError(
            f"outputs of the file differ from the net's by {error:.2g}, where {name} allows {allowed:.2g} (root mean "
            f"square, with a batch of {len(found)}; the largest output is {_largest(wanted):.2g}): not written; more "
            f"bits may do, such as {'float16' if name == 'int8' else 'float32'}"
        )


def _largest(x: Tensor) -> float:
    return float(x.abs().max())


def _size(x: Tensor) -> float:
    return float(x.square().mean().sqrt())
