"""The layers of a net that can be pruned, what each of them is, and why the others are not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.utils._pytree import tree_leaves

from lth import UserError
from lth.layer.kind import layer_of, prunable
from lth.layer.trace import trace
from lth.seed import seeded
from lth.weights import copied, equal

NO_LAYER = "it is no weight of a linear, convolution or attention layer"
UNUSED = "no gradient of the outputs reaches it"
TRAINING = "it is used in training alone, and the net is judged without it"
UNFOLLOWED = "the outputs depend on it, but through no product of it alone that lth can follow"
FEW = 2  # nets without new layers after which no others are looked at
COMPUTED = "the layer computes its weight from it, and zeros do not stay zeros"


@dataclass(frozen=True, eq=False)
class Layers:
    """Layers of a net.

    kinds: prunable weight -> "conv", "shortcut", "linear" or "output", in the order of the net.
    left: every other matrix that is multiplied or looked up, and every layer that is not used -> why it is not pruned.
    """

    kinds: Mapping[str, str]
    left: Mapping[str, str]

    def __or__(self, other: "Layers") -> "Layers":
        """The layers that are used by the examples of either: a net may send each along another path."""
        kinds = {**self.kinds, **{name: kind for name, kind in other.kinds.items() if name not in self.kinds}}
        known = {name: why for name, why in self.left.items() if why != UNUSED}
        left = {**self.left, **other.left, **known}
        return Layers(kinds, {name: why for name, why in left.items() if name not in kinds})


def layers(net: nn.Module, example: Tensor, output: str = "") -> Layers:
    """Prunable weights by kind. example: an input as the net sees it, 1 x shape, or several. output: name of the output
    layer, "" to find it. The net is not modified.
    """
    kinds, before = prunable(net), {name: p.detach().clone() for name, p in net.named_parameters()}
    seen = trace(net, example)
    if changed := [name for name, p in net.named_parameters() if not equal(p, before[name])]:
        raise UserError(
            f"{type(net).__name__} changes {', '.join(changed)} whenever it is evaluated, so that its results would "
            "depend on how often that is: leave out max_norm of embeddings, or compute from a copy (clone())"
        )
    if shapes := _outside(net, seen.outputs):
        raise UserError(
            f"{type(net).__name__} learns tensors that are not its parameters (of shape {', '.join(shapes)}), so that "
            "nothing trains or stores them: keep layers in nn.ModuleList or nn.ModuleDict, tensors in nn.Parameter"
        )
    left = dict.fromkeys(sorted(seen.others), NO_LAYER)
    found = reached(net, seen.outputs, kinds)
    left |= {
        name: UNFOLLOWED if name in found else UNUSED for name in kinds if name not in found & seen.cost.uses.keys()
    }
    computed = {name for name in seen.computed if name not in left and not _keeps_zeros(net, example, name)}
    left |= {name: COMPUTED for name in kinds if name in computed or (name not in left and only_computed(net, name))}
    used = {name: kind for name, kind in kinds.items() if name not in left}
    return Layers({**used, **dict.fromkeys(_outputs(kinds, used, seen.feeds, output), "output")}, left)


def with_others(found: Layers, nets: Iterable[nn.Module], examples: Tensor, output: str = "") -> Layers:
    """The layers that one example uses and, of a net that sends each along a path of its own, those that others use.
    nets: of other weights, which may send all examples elsewhere; they are looked at as long as some show new layers,
    and at first for a few.
    """
    if UNUSED not in found.left.values():
        return found
    first = found.kinds
    for number, net in enumerate(nets):
        unused = [name for name, why in found.left.items() if why == UNUSED]
        if not any(net.get_parameter(name).requires_grad for name in unused):
            break
        if number == FEW and found.kinds == first:
            break
        with seeded("layers", number):  # of its own, so that a path that is chosen at random is another one
            found |= layers(net, examples, output)
    return found


def reached(net: nn.Module, outputs: Any, names: Iterable[str]) -> set[str]:
    """Names of the parameters, among these, that a gradient of the outputs reaches."""
    learned = {name: p for name in names if (p := net.get_parameter(name)).requires_grad}
    with torch.enable_grad():
        sums = [x.sum() for x in tree_leaves(outputs) if isinstance(x, Tensor) and x.requires_grad]
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


def only_computed(net: nn.Module, name: str) -> bool:
    """True if a parametrization computes the weight of a layer from this parameter, and zeros do not stay where they
    are, as in an orthogonal one: its numbers are no weights, and others in their place may give no weight at all.
    """
    layer = net.get_submodule(layer_of(name))
    if not is_parametrized(layer, "weight"):
        return False
    layer = copied(layer).eval()
    parameter = layer.get_parameter(name.removeprefix(layer_of(name)).lstrip("."))
    with torch.no_grad():
        parameter.mul_(_some(parameter))
        weight = cast(Tensor, layer.weight).nan_to_num()  # a weight norm divides by 0 where a row has no weight left
    return bool(weight[parameter == 0].any())


def _keeps_zeros(net: nn.Module, example: Tensor, name: str) -> bool:
    """True if the weight that a layer computes from a parameter has a 0 for every 0 of the parameter."""
    parameter = net.get_parameter(name)
    before, kept = parameter.detach().clone(), _some(parameter)
    try:
        with torch.no_grad():
            parameter.mul_(kept)
        values = trace(net, example).computed[name]
    finally:
        with torch.no_grad():
            parameter.copy_(before)
    return all(int((value == 0).sum()) >= int((~kept).sum()) for value in values)  # in whatever order they lie


def _some(parameter: Tensor) -> Tensor:
    """True for about a half of the numbers, the same ones whenever it is called."""
    return (torch.rand(parameter.shape, generator=torch.Generator().manual_seed(0)) < 0.5).to(parameter.device)


def no_output(output: str, used: Iterable[str]) -> UserError:
    """The error for a `model.output` that names no layer in use."""
    return UserError(f"model.output={output}: the layers of this net are {', '.join(used)}")


def _outputs(kinds: Iterable[str], used: Iterable[str], feeds: frozenset[str], output: str) -> list[str]:
    """Names of the output layers, among those that are used. kinds: all prunable ones."""
    if not output:
        return [name for name in used if name in feeds]
    named = [name for name in kinds if output in (name, layer_of(name))]
    if not named:
        raise no_output(output, used)
    return [name for name in named if name in used]
