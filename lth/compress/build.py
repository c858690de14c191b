"""The net that an untrusted file names, built only if its tensors have the sizes that the file declares."""

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lth.compress.codec import Refused
from lth.seed import start_host
from lth.weights import first_names, on_meta

SPARE = 2**24  # values that a net may allocate beside its weights while it is built: masks, tables of positions
MISMATCH = "the tensors of the file do not match its architecture"


def built(build: Callable[[], nn.Module], weights: Mapping[str, Tensor]) -> nn.Module:
    """The net, as `lth.recipe` builds it. Raises Refused unless its tensors have the names and shapes of the weights; a
    tied parameter is declared by its first name, and lazy layers take the shapes of the file.

    Sizes are compared on the device "meta" first, which allocates nothing. A net that computes while it is built, such
    as a RegNet, can't be built there: it may then allocate four times what the file declares.
    """
    plan = on_meta(build)
    if plan is not None:
        _check(plan, weights)
    start_host(0)
    with _Bounded(SPARE + 4 * sum(w.numel() for w in weights.values())) if plan is None else nullcontext():
        net = build()
    check(net, weights)
    return net


def size(net: nn.Module | Callable[[], nn.Module]) -> int:
    """Number of values of a net, or of the one that a function builds; 0 of one that can't be built on "meta"."""
    found = net if isinstance(net, nn.Module) else on_meta(net)
    return 0 if found is None else sum(x.numel() for x in found.state_dict().values() if not is_lazy(x))


def check(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Raise Refused unless the tensors of the net have the names and shapes of the weights."""
    _check(net, weights)
    if set(first_names(net).values()) != weights.keys():
        raise Refused(MISMATCH)


def _check(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Raise Refused unless the net has a tensor of each weight's name and shape, and few values more."""
    found = net.state_dict()
    for name, weight in weights.items():
        if name not in found or not (is_lazy(found[name]) or found[name].shape == weight.shape):
            raise Refused(MISMATCH)
    others = sum(tensor.numel() for name, tensor in found.items() if name not in weights and not is_lazy(tensor))
    if others > SPARE + sum(weight.numel() for weight in weights.values()):
        raise Refused(MISMATCH)


class _Bounded(TorchDispatchMode):
    """Refuses to allocate more than `left` new values."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not any(isinstance(x, Tensor) for x in tree_leaves(args)):
            self._take(math.prod(args[0]) if args and isinstance(args[0], list | tuple) else 1)
        out = func(*args, **(kwargs or {}))
        if any(isinstance(x, Tensor) and x.numel() > self.left for x in tree_leaves(out)):
            raise Refused(MISMATCH)
        return out

    def _take(self, values: int) -> None:
        self.left -= values
        if self.left < 0:
            raise Refused(MISMATCH)
