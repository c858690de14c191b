"""Every weight is rounded wherever it is multiplied, or named: seen from below, in the operations that multiply."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from quantized_nets import LEFT, ROUNDED
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lth.quantization import Scheme, calibrate, layers, left, quantized_in_place

aten = torch.ops.aten
MULTIPLIES = {aten.mm, aten.addmm, aten.bmm, aten.baddbmm, aten.mv, aten.addmv, aten.convolution, aten._convolution}
COARSE = Scheme(weight_bits=2, activation_bits=2)


class Operands(TorchDispatchMode):
    """Copies of the matrices that are multiplied, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[list[Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in MULTIPLIES:
            matrices = [x.detach().clone() for x in tree_leaves(args) if isinstance(x, Tensor) and x.ndim > 1]
            if func is aten.convolution.default and args[6]:  # transposed: output channels of a group are on axis 1
                matrices[1] = torch.cat(matrices[1].chunk(args[8]), 1)
            self.found.append(matrices)
        return func(*args, **(kwargs or {}))


def operands(net: nn.Module, x: Tensor) -> list[list[Tensor]]:
    with Operands() as seen:
        net(x)
    return seen.found


def products(net: nn.Module, x: Tensor, other: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """(weights, inputs) of every product with something that does not depend on the input."""
    for a, b in zip(operands(net, x), operands(net, other), strict=True):
        fixed = [torch.equal(p, q) for p, q in zip(a, b, strict=True)]
        if sum(fixed) == 1 and len(fixed) == 2:  # a fixed and a changing matrix
            yield a[fixed.index(True)], a[fixed.index(False)]


def levels(weight: Tensor) -> int:
    """Most distinct values in a channel: along the axis where they are fewest."""
    matrix = weight[0] if (weight == weight[:1]).all() else weight  # the same for each of a batch
    channels = [matrix.movedim(axis, 0).flatten(1).sort().values for axis in range(min(matrix.ndim, 2))]
    return min(1 + int((each.diff() != 0).sum(1).max()) for each in channels)


def inputs(shape: tuple[int, ...], seed: int, count: int = 6) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def made(make: Callable[[], nn.Module], shape: tuple[int, ...], scheme: Scheme = COARSE) -> nn.Module:
    torch.manual_seed(0)
    net = make()
    with torch.no_grad():
        net(inputs(shape, 0))  # lazy layers
    calibrate(net := quantized_in_place(net, scheme), [inputs(shape, 1), inputs(shape, 2)])
    return net


@pytest.mark.parametrize("gradients", [False, True], ids=["no_grad", "grad"])
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", ROUNDED)
def test_what_is_multiplied_is_rounded(name: str, training: bool, gradients: bool) -> None:
    make, shape = ROUNDED[name]
    net = made(make, shape).train(training)
    with torch.set_grad_enabled(gradients):
        found = [*products(net, inputs(shape, 1), inputs(shape, 2))]
    assert len(found) >= len([*layers(net)]) - (name == "called in training alone")
    for weights, x in found:
        assert levels(weights) <= 3
        assert len(x.unique()) <= 4


@pytest.mark.parametrize("name", ROUNDED.keys() - {"called in training alone"})
def test_training_and_evaluation_compute_the_same(name: str) -> None:
    make, shape = ROUNDED[name]
    net, x = made(make, shape), inputs(shape, 3)
    trained = net.train()(x)
    with torch.no_grad():
        evaluated = net.eval()(x)
    assert torch.equal(trained, evaluated)


@pytest.mark.parametrize("name", ROUNDED)
def test_nothing_is_left(name: str) -> None:
    make, shape = ROUNDED[name]
    expected = {"called in training alone": {"extra.weight"}, "lora": {"up", "down"}}.get(name, set())
    assert left(made(make, shape), inputs(shape, 1, 1)).keys() == expected


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_in_float_is_named(name: str) -> None:
    make, shape, names = LEFT[name]
    net = made(make, shape).eval()
    assert left(net, inputs(shape, 1, 1)).keys() == names
