"""Comparison of a smaller net with the masked one: outputs and gradients, in evaluation and in training."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lth.seed import seeded
from lth.weights import copied

Gradients = Mapping[str, Tensor]
NOT_FINITE = "the outputs of the masked net are not finite"
Select = Callable[[Gradients], Gradients] | None
# Tolerance as a share of the largest number: in float64, in float64 on weights that were rounded to float32, and in
# float32 for nets that compute in nothing else.
DOUBLE, ROUNDED, SINGLE = 1e-8, 1e-5, 1e-3
FIXED = {"bernoulli_": 1.0, "bernoulli": 1.0, "rand": 0.5, "rand_like": 0.5, "uniform_": 0.5, "randn": 0.5}
FIXED |= {"randn_like": 0.5, "normal_": 0.5}


def difference(
    net: nn.Module,
    small: nn.Module,
    inputs: Tensor,
    kept: Select = None,
    *,
    training: bool = True,
    tolerance: float = DOUBLE,
) -> str:
    """Say how the smaller net differs from the masked one on these inputs, "" if it does not.

    kept: the entries of the masked net's gradients that the smaller net has; None compares outputs alone. training:
    compare in training mode too, where the net can be. tolerance: largest difference, as a share of the largest
    number, for nets that compute in float64. Random numbers are the same in both: dropout keeps everything.
    """
    reasons = []
    for change, largest in ((_double, tolerance), (_single, SINGLE), (_same, SINGLE)):
        x = change(inputs)
        a, b = (change(copied(each)) for each in (net, small))
        try:
            expected = _run(a, x, False)
        except Exception as error:  # a net may compute in float32 alone, or in layers of several types
            reasons.append(f"{type(error).__name__}: {error}")
            continue
        said = _compared(expected, b, x, False, kept, largest)
        return said if said or not training else _in_training(a, b, x, kept, largest)
    return f"the net can't be run on {tuple(inputs.shape)}: {reasons[-1]}"


def _in_training(net: nn.Module, small: nn.Module, x: Tensor, kept: Select, tolerance: float) -> str:
    try:
        expected = _run(net, x, True)
    except Exception:  # batch norm needs more than one example, say
        return ""
    said = _compared(expected, small, x, True, kept, tolerance)
    return said if said and not _random(net, x, tolerance) else ""


def _double(x: Any) -> Any:
    return x.double() if isinstance(x, nn.Module) or x.is_floating_point() else x


def _single(x: Any) -> Any:
    return x.float() if isinstance(x, nn.Module) or x.is_floating_point() else x


def _same(x: Any) -> Any:
    return x


@dataclass(frozen=True, eq=False)
class _Result:
    outputs: list[Tensor]
    gradients: Gradients


def _compared(
    expected: _Result,
    small: nn.Module,
    x: Tensor,
    training: bool,
    kept: Select,
    tolerance: float,
) -> str:
    where = "in training" if training else "in evaluation"
    try:
        found = _run(small, x, training)
    except Exception as error:  # widths that the net's own code relies on
        return f"{where} it raises {type(error).__name__}: {error}"
    if not all(bool(y.isfinite().all()) for y in expected.outputs):
        return f"{where} {NOT_FINITE}"
    if not _close(expected.outputs, found.outputs, tolerance):
        return f"{where} its outputs differ"
    if kept is None:
        return ""
    gradients = kept(expected.gradients)
    if gradients.keys() != found.gradients.keys():
        return f"{where} it has other parameters"
    own = [found.gradients[name] for name in gradients]
    return "" if _close(list(gradients.values()), own, tolerance) else f"{where} its gradients differ"


def _random(net: nn.Module, x: Tensor, tolerance: float) -> bool:
    """True if training the net is random even with fixed numbers, so that two passes can't be compared."""
    return not _close(_run(net, x, True, 0).outputs, _run(net, x, True, 1).outputs, tolerance)


def _run(net: nn.Module, x: Tensor, training: bool, seed: int = 0) -> _Result:
    """Outputs, and the gradients of a weighted sum of them."""
    with seeded("trial", seed), torch.enable_grad(), _Still():
        outputs = [y for y in tree_leaves(net.train(training)(x)) if isinstance(y, Tensor) and y.is_floating_point()]
        loss = sum(((y * _weights(y)).sum() for y in outputs), torch.zeros(()))
        learned = {name: p for name, p in net.named_parameters() if p.requires_grad}
        if not loss.requires_grad:
            return _Result(outputs, {})
        found = torch.autograd.grad(loss, list(learned.values()), allow_unused=True, materialize_grads=True)
    dense = [g.to_dense() if g.is_sparse else g for g in found]  # those of embeddings may be sparse
    return _Result([y.detach() for y in outputs], dict(zip(learned, dense, strict=True)))


def _weights(y: Tensor) -> Tensor:
    return torch.arange(1, y.numel() + 1, dtype=y.dtype).cos().view(y.shape)


def _close(a: list[Tensor], b: list[Tensor], tolerance: float) -> bool:
    """True if all are finite and equal, to a share of the largest."""
    if [x.shape for x in a] != [x.shape for x in b]:
        return False
    if not all(bool(x.isfinite().all()) for x in [*a, *b]):
        return False
    scale = max((float(x.abs().max()) for x in a if x.numel()), default=0.0)
    gap = max((float((x - y).abs().max()) for x, y in zip(a, b, strict=True) if x.numel()), default=0.0)
    return gap <= tolerance * scale


class _Still(TorchDispatchMode):
    """Puts fixed numbers in place of random ones, of which there is one for each unit."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        value = FIXED.get(func.overloadpacket.__name__)
        return out if value is None else out.fill_(value)


def floats(net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters, and the running statistics of norms: what training moves."""
    yield from net.named_parameters()
    yield from ((name, x) for name, x in net.named_buffers() if name.endswith(("running_mean", "running_var")))
