"""One example followed through a net, operation by operation: what is multiplied, what that costs, what becomes of it.

Neither the order in which layers are defined nor what a module is called decides: a layer called twice costs twice, and
one on tokens costs once per token.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from lth.layer.kind import prunable
from lth.seed import undisturbed
from lth.weights import memory

# Operations that take weights and that PyTorch's counter does not know -> multiply-accumulates. Each weight is used
# once an example and step; inputs of recurrent layers are steps x examples x features.
UNCOUNTED: dict[Any, Callable[..., int]] = {
    torch.ops.aten.embedding: lambda *_, **__: 0,
    torch.ops.aten._embedding_bag: lambda *_, **__: 0,
    torch.ops.aten._embedding_bag_forward_only: lambda *_, **__: 0,
    torch.ops.aten.mkldnn_rnn_layer: lambda x, *weights, **__: _recurrent(x, weights[:2]),
    torch.ops.aten._cudnn_rnn: lambda x, weights, *_, **__: _recurrent(x, weights),
    torch.ops.aten._trilinear: lambda x, weight, *_, **__: weight.numel() * x[..., 0].numel(),  # nn.Bilinear
}
# Products which that counter does not know either -> multiply-accumulates.
OTHERS: dict[Any, Callable[..., int]] = {
    torch.ops.aten.mv: lambda matrix, *_, **__: matrix.numel(),
    torch.ops.aten.addmv: lambda _, matrix, *__, **___: matrix.numel(),
    torch.ops.aten.dot: lambda vector, *_, **__: vector.numel(),
    **dict.fromkeys(
        (torch.ops.aten.addmm_, torch.ops.aten.addbmm, torch.ops.aten.addbmm_, torch.ops.aten.baddbmm_),
        lambda _, one, other, **__: one.numel() * other.shape[-1],
    ),
}
OTHERS[torch.ops.aten.addmv_] = OTHERS[torch.ops.aten.addmv]
# Products to which their first argument is added.
ADDING = {getattr(torch.ops.aten, name + end) for name in ("addmm", "addmv", "addbmm", "baddbmm") for end in ("", "_")}


@dataclass(frozen=True, eq=False)
class Cost:
    """Multiply-accumulates of one example. uses: prunable weight -> how often each of its entries is used, the mean if
    parts of it are used differently. sizes: its number of entries. fixed: multiply-accumulates of all else.
    """

    uses: Mapping[str, float]
    sizes: Mapping[str, int]
    fixed: int

    def macs(self, kept: Mapping[str, int]) -> int:
        """Multiply-accumulates. kept: layer -> number of weights that remain; of other layers all do."""
        return self.fixed + round(sum(uses * kept.get(name, self.sizes[name]) for name, uses in self.uses.items()))


@dataclass(frozen=True, eq=False)
class Trace:
    """Findings of one forward pass of one example.

    feeds: the prunable weights whose products become the outputs without passing another weight. multiplied: prunable
    weight -> what was multiplied with data: it, views of it, values computed from it; computed: the last alone. casts:
    memory of a copy of another type -> what it is a copy of. others: parameters, but vectors, that are multiplied or
    looked up and can't be pruned.
    """

    outputs: Any
    cost: Cost
    feeds: frozenset[str]
    multiplied: Mapping[str, list[Tensor]]
    computed: Mapping[str, list[Tensor]]
    casts: Mapping[int, Tensor]
    others: frozenset[str]


def trace(net: nn.Module, example: Tensor) -> Trace:
    """Follow one example, 1 x shape, or several at once, through the net in evaluation mode."""
    names, mode = prunable(net), net.training
    recorder = _Recorder(net, names, example)
    try:
        with undisturbed(), torch.enable_grad(), recorder:
            outputs = net.eval()(example)
    finally:
        net.train(mode)
    feeds = recorder.feeds(outputs)
    others = frozenset(recorder.others - names.keys())
    cost = Cost(recorder.uses, recorder.sizes, recorder.fixed)
    return Trace(outputs, cost, feeds, recorder.multiplied, recorder.computed, recorder.casts, others)


def macs(net: nn.Module, example: Tensor, kept: Mapping[str, int] | None = None) -> int:
    """Multiply-accumulates of one example: half of what `torch.utils.flop_counter` counts. kept: weights that remain in
    some layers; each of the others counts whole. Products inside fused attention kernels are not counted on a CPU.
    """
    return trace(net, example).cost.macs(kept or {})


@dataclass
class _Origin:
    """Origin of a tensor: parameters alone, or the example; and the prunable weights it is a product of."""

    names: frozenset[str] = frozenset()
    data: bool = False
    feeds: frozenset[str] = frozenset()

    def __or__(self, other: "_Origin") -> "_Origin":
        return _Origin(self.names | other.names, self.data or other.data, self.feeds | other.feeds)


class _Recorder(TorchDispatchMode):
    """Follows parameters and the example through every operation, by the memory that tensors share."""

    def __init__(self, net: nn.Module, names: Mapping[str, str], example: Tensor) -> None:
        super().__init__()
        self.sizes = {name: net.get_parameter(name).numel() for name in names}
        self.origins: dict[int, _Origin] = {}
        for name, parameter in net.named_parameters():
            self.origins[memory(parameter)] = self._origin(parameter) | _Origin(frozenset({name}))
        self.parameters = set(self.origins)
        self.vectors = {name for name, parameter in net.named_parameters() if parameter.ndim < 2}  # biases, norms
        self.origins[memory(example)] = _Origin(data=True)
        self.uses: dict[str, float] = {}
        self.multiplied: dict[str, list[Tensor]] = {}
        self.computed: dict[str, list[Tensor]] = {}
        self.casts: dict[int, Tensor] = {}
        self.others: set[str] = set()
        self.fixed, self.alive = 0, list[Tensor]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        inputs = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        self.alive += inputs  # memory must not be given to another tensor while it is followed
        origin = _Origin()
        for x in inputs:
            origin |= self._origin(x)
        if uncounted := UNCOUNTED.get(func.overloadpacket):
            self.fixed += uncounted(*args, **kwargs)
            origins = [self._origin(x) for x in inputs if x.ndim > 1]
            self.others |= {name for each in origins if not each.data for name in each.names} - self.vectors
            origin.feeds = frozenset()
        if (count := _of_product(func.overloadpacket, args, kwargs, out, data=origin.data)) is not None:
            added = inputs[:1] if func.overloadpacket in ADDING else []
            factors = [x for x in inputs[len(added) :] if x.ndim > 1 and x.numel()]
            origin.feeds = self._multiply(factors, origin, count).union(*(self._origin(x).feeds for x in added))
        for x in tree_leaves(out):
            if isinstance(x, Tensor) and memory(x) not in self.parameters:  # in place: embeddings with max_norm
                self.alive.append(x)
                self.origins[memory(x)] = origin
                if func.overloadpacket is torch.ops.aten._to_copy:
                    self.casts[memory(x)] = self.casts.get(memory(inputs[0]), inputs[0])
        return out

    def feeds(self, outputs: Any) -> frozenset[str]:
        """Weights whose products are the outputs."""
        every = [self._origin(x).feeds for x in tree_leaves(outputs) if isinstance(x, Tensor)]
        return frozenset().union(*every)

    def _origin(self, x: Tensor) -> _Origin:
        return self.origins.get(memory(x), _Origin())

    def _multiply(self, operands: list[Tensor], origin: _Origin, count: int) -> frozenset[str]:
        """Count a product; return the prunable weights that it is a product of."""
        weights = [x for x in operands if not self._origin(x).data and self._origin(x).names]
        names = {name for x in weights if (name := self._name(x))}
        if not origin.data or len(names) != 1:
            self.fixed += count
            self.others |= {n for x in weights for n in self._origin(x).names} - self.vectors
            return frozenset() if weights else origin.feeds
        (name,) = names
        self.uses[name] = self.uses.get(name, 0) + count / self.sizes[name]
        self.multiplied.setdefault(name, []).extend(weights)
        if copies := [x for x in weights if memory(x) not in self.parameters]:
            self.computed.setdefault(name, []).extend(copies)
        return frozenset(names)

    def _name(self, x: Tensor) -> str:
        """The prunable weight that this operand is, or is computed from alone or together with smaller ones."""
        same = [n for n in self._origin(x).names if n in self.sizes and memory(x)]  # a sparse tensor has no memory
        held = [n for n in same if self.sizes[n] == x.untyped_storage().nbytes() // x.element_size()]
        whole = same if memory(x) in self.parameters else held  # x may be a part: attention's keys, for one
        return whole[0] if len(whole) == 1 else ""


def _of_product(operation: Any, args: Any, kwargs: Any, out: Any, *, data: bool) -> int | None:
    """Multiply-accumulates of a product; None for any other operation, such as the norm that spectral normalization
    estimates from the weight alone. data: the example takes part.
    """
    if operation in OTHERS and data:
        return OTHERS[operation](*args, **kwargs)
    flops = flop_registry.get(operation)
    return None if flops is None else int(flops(*args, **kwargs, out_val=out)) // 2


def _recurrent(x: Tensor, weights: Iterable[Tensor]) -> int:
    return x[..., 0].numel() * sum(weight.numel() for weight in weights if weight.ndim > 1)
