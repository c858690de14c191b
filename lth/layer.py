"""The layers of a net that can be pruned: which they are, which gives the outputs, and what each of them costs.

Found by following one example through the net, operation by operation, so that neither the order in which layers are
defined nor what a module is called decides: a layer called twice costs twice, one on tokens costs once per token, and
the output layer is the one whose outputs are the net's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from lth import UserError
from lth.weights import first_names

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
PARAMETRIZED = "parametrizations.weight."
SHORTCUTS = {"shortcut", "downsample"}
# Operations that take weights and that PyTorch's counter of operations does not know.
LOOKED_UP = {
    torch.ops.aten.embedding,
    torch.ops.aten.embedding_bag,
    torch.ops.aten.mkldnn_rnn_layer,
    torch.ops.aten._cudnn_rnn,
    torch.ops.aten._trilinear,  # nn.Bilinear
}
NO_LAYER = "it is no weight of a linear, convolution or attention layer"
UNUSED = "no gradient of the outputs reaches it"
COMPUTED = "the layer computes its weight from it, and zeros do not stay zeros"


@dataclass(frozen=True, eq=False)
class Cost:
    """Multiply-accumulates of one example. uses: prunable weight -> how often each of its entries is used, the mean if
    parts of it are used differently. sizes: its number of entries. fixed: multiply-accumulates of all else.
    """

    uses: Mapping[str, float]
    sizes: Mapping[str, int]
    fixed: int

    def macs(self, kept: Mapping[str, int]) -> int:
        """Multiply-accumulates if so many weights of these layers remain, and all of the others."""
        return self.fixed + round(sum(uses * kept.get(name, self.sizes[name]) for name, uses in self.uses.items()))


@dataclass(frozen=True, eq=False)
class Trace:
    """Findings of one forward pass of one example.

    feeds: the prunable weights whose products become the outputs without passing another weight. multiplied: prunable
    weight -> what was multiplied with data: it, views of it, values computed from it; computed: the last alone. others:
    parameters that are multiplied or looked up and can't be pruned.
    """

    outputs: Any
    cost: Cost
    feeds: frozenset[str]
    multiplied: Mapping[str, list[Tensor]]
    computed: Mapping[str, list[Tensor]]
    others: frozenset[str]


@dataclass(frozen=True, eq=False)
class Layers:
    """kinds: prunable weight -> "conv", "shortcut", "linear" or "output", in the order of the net. left: every other
    matrix that is multiplied or looked up, and every layer that is not used -> why it is not pruned.
    """

    kinds: Mapping[str, str]
    left: Mapping[str, str]


def prunable(net: nn.Module) -> dict[str, str]:
    """Parameter name -> kind ("conv", "shortcut" or "linear"), by the types of the layers, in the order of the net.

    Prunable are the weights of convolution and linear layers and the projections of attention; never biases,
    normalization or embeddings. Of a parametrized weight it is the original of the same shape. A shortcut is a
    convolution in a part called "shortcut" or, as in torchvision, "downsample".
    """
    first = first_names(net)
    found = {first[name]: kind for name, kind in _by_type(net) if name in first}
    return {name: found[name] for name in dict.fromkeys(first.values()) if name in found}


def layers(net: nn.Module, example: Tensor, output: str = "") -> Layers:
    """Prunable weights by kind. example: one input as the net sees it, 1 x shape. output: name of the output layer, ""
    to find it. The net is not modified.
    """
    kinds = prunable(net)
    seen = trace(net, example)
    if shapes := _outside(net, seen.outputs):
        raise UserError(
            f"{type(net).__name__} learns tensors that are not its parameters (of shape {', '.join(shapes)}), so that "
            "nothing trains or stores them: keep layers in nn.ModuleList or nn.ModuleDict, tensors in nn.Parameter"
        )
    left = dict.fromkeys(sorted(seen.others), NO_LAYER)
    reached = _reached(net, seen, kinds)
    left |= {name: UNUSED for name in kinds if name not in reached}
    left |= {name: COMPUTED for name in seen.computed if name not in left and not _keeps_zeros(net, example, name)}
    used = {name: kind for name, kind in kinds.items() if name not in left}
    return Layers({**used, **dict.fromkeys(_outputs(used, seen.feeds, output), "output")}, left)


def trace(net: nn.Module, example: Tensor) -> Trace:
    """Follow one example, 1 x shape, through the net in evaluation mode."""
    names, mode = prunable(net), net.training
    recorder = _Recorder(net, names, example)
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), recorder:
            outputs = net.eval()(example)
    finally:
        net.train(mode)
    feeds = recorder.feeds(outputs)
    others = frozenset(recorder.others - names.keys())
    cost = Cost(recorder.uses, recorder.sizes, recorder.fixed)
    return Trace(outputs, cost, feeds, recorder.multiplied, recorder.computed, others)


def macs(net: nn.Module, example: Tensor, kept: Mapping[str, int] | None = None) -> int:
    """Multiply-accumulates of one example: half of what `torch.utils.flop_counter` counts. kept: weights that remain in
    some layers; each of the others counts whole. Products inside fused attention kernels are not counted on a CPU.
    """
    return trace(net, example).cost.macs(kept or {})


def bias_of(name: str) -> str:
    """The name that the bias beside a prunable weight has, if there is one."""
    layer, _, weight = name.rpartition(".") if PARAMETRIZED not in name else (*name.partition(PARAMETRIZED)[:2], "")
    bias = "in_proj_bias" if weight in PROJECTIONS else "bias"
    return f"{layer.removesuffix('.')}.{bias}" if layer else bias


def _by_type(net: nn.Module) -> Iterator[tuple[str, str]]:
    for name, layer in net.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(layer, (nn.Linear, *CONVOLUTIONS)):
            kind = "linear" if isinstance(layer, nn.Linear) else _kind_of_conv(name)
            yield from ((f"{prefix}{part}", kind) for part in _originals(layer))
        elif isinstance(layer, nn.MultiheadAttention):
            yield from ((f"{prefix}{part}", "linear") for part in PROJECTIONS if getattr(layer, part) is not None)


def _originals(layer: nn.Module) -> list[str]:
    """The parameter that the weight of a layer is, or that it is computed from."""
    own = dict(layer.named_parameters())
    if "weight" in own:
        return ["weight"]
    shape = getattr(getattr(layer, "weight", None), "shape", None)
    return [name for name, p in own.items() if name.startswith(("weight_", PARAMETRIZED)) and p.shape == shape]


def _kind_of_conv(name: str) -> str:
    return "shortcut" if SHORTCUTS & set(name.split(".")) else "conv"


def _reached(net: nn.Module, seen: Trace, kinds: Mapping[str, str]) -> set[str]:
    """Prunable weights that a gradient of the outputs reaches."""
    learned = {name: p for name in kinds if (p := net.get_parameter(name)).requires_grad and name in seen.cost.uses}
    with torch.enable_grad():
        sums = [x.sum() for x in tree_leaves(seen.outputs) if isinstance(x, Tensor) and x.requires_grad]
        if not sums or not learned:
            return set()
        gradients = torch.autograd.grad(sum(sums[1:], sums[0]), list(learned.values()), allow_unused=True)
    return {name for name, gradient in zip(learned, gradients, strict=True) if gradient is not None}


def _outside(net: nn.Module, outputs: Any) -> list[str]:
    """Shapes of the tensors that take part in the gradient and are no parameters of the net."""
    own, found, seen = {id(p) for p in net.parameters()}, dict[int, str](), set[Any]()
    nodes = [x.grad_fn for x in tree_leaves(outputs) if isinstance(x, Tensor) and x.grad_fn is not None]
    while nodes:
        if (node := nodes.pop()) in seen:
            continue
        seen.add(node)
        if (leaf := getattr(node, "variable", None)) is not None and id(leaf) not in own:
            found[id(leaf)] = " x ".join(map(str, leaf.shape)) or "1"
        nodes += [each for each, _ in node.next_functions if each is not None]
    return [*found.values()]


def _keeps_zeros(net: nn.Module, example: Tensor, name: str) -> bool:
    """True if the weight that a layer computes from a parameter has a 0 for every 0 of the parameter."""
    parameter = net.get_parameter(name)
    before = parameter.detach().clone()
    kept = torch.rand(before.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    try:
        with torch.no_grad():
            parameter.mul_(kept.to(before.device))
        values = trace(net, example).computed[name]
    finally:
        with torch.no_grad():
            parameter.copy_(before)
    return all(int((value == 0).sum()) >= int((~kept).sum()) for value in values)  # in whatever order they lie


def _outputs(kinds: Mapping[str, str], feeds: frozenset[str], output: str) -> list[str]:
    if not output:
        return [name for name in kinds if name in feeds]
    named = [name for name in kinds if output in (name, name.rpartition(".")[0])]
    if not named:
        raise UserError(f"model.output={output}: the layers of this net are {', '.join(kinds)}")
    return named


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
            self.origins[_memory(parameter)] = self._origin(parameter) | _Origin(frozenset({name}))
        self.parameters = set(self.origins)
        self.origins[_memory(example)] = _Origin(data=True)
        self.uses: dict[str, float] = {}
        self.multiplied: dict[str, list[Tensor]] = {}
        self.computed: dict[str, list[Tensor]] = {}
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
        if func.overloadpacket in LOOKED_UP:
            origins = [self._origin(x) for x in inputs if x.ndim > 1]
            self.others |= {name for each in origins if not each.data for name in each.names}
            origin.feeds = frozenset()
        if count := flop_registry.get(func.overloadpacket):
            operands = [x for x in inputs if x.ndim > 1]
            origin.feeds = self._multiply(operands, origin, count(*args, **kwargs, out_val=out) // 2)
        for x in tree_leaves(out):
            if isinstance(x, Tensor):
                self.alive.append(x)
                self.origins[_memory(x)] = origin
        return out

    def feeds(self, outputs: Any) -> frozenset[str]:
        """Weights whose products are the outputs."""
        every = [self._origin(x).feeds for x in tree_leaves(outputs) if isinstance(x, Tensor)]
        return frozenset().union(*every)

    def _origin(self, x: Tensor) -> _Origin:
        return self.origins.get(_memory(x), _Origin())

    def _multiply(self, operands: list[Tensor], origin: _Origin, count: int) -> frozenset[str]:
        """Count a product; return the prunable weights that it is a product of."""
        weights = [x for x in operands if not self._origin(x).data and self._origin(x).names]
        names = {name for x in weights if (name := self._name(x))}
        if not origin.data or len(names) != 1:
            self.fixed += count
            self.others |= {n for x in weights for n in self._origin(x).names}
            return frozenset() if weights else origin.feeds
        (name,) = names
        self.uses[name] = self.uses.get(name, 0) + count / self.sizes[name]
        self.multiplied.setdefault(name, []).extend(weights)
        if copies := [x for x in weights if _memory(x) not in self.parameters]:
            self.computed.setdefault(name, []).extend(copies)
        return frozenset(names)

    def _name(self, x: Tensor) -> str:
        """The prunable weight that this operand is, or is computed from alone or together with smaller ones."""
        same = [n for n in self._origin(x).names if n in self.sizes]
        held = x.untyped_storage().nbytes() // x.element_size()  # x may be a part: attention's keys, for one
        whole = same if _memory(x) in self.parameters else [n for n in same if self.sizes[n] == held]
        return whole[0] if len(whole) == 1 else ""


def _memory(x: Tensor) -> int:
    return int(x.untyped_storage()._cdata)
