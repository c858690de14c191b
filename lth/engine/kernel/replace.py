"""Sparse linear layers in any net: which layers, whether the net is the same with them, and what is packed."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lth.engine.kernel.chain import is_plain_module
from lth.engine.kernel.choice import PENALTIES, why_dense
from lth.engine.kernel.update import has_hooks
from lth.engine.rates import elementwise, grouping
from lth.keywords import unbound
from lth.layer import layer_of
from lth.recipe import Recipe
from lth.seed import seeded
from lth.ticket import Mask
from lth.weights import copied, shared

if TYPE_CHECKING:
    from lth.engine.kernel.linear import SparseLinear

# Share of the weights of a layer up to which, and weights from which on, kernel=auto takes the sparse layer: measured
# on a layer of 4096 x 256, which is 1.3 times faster at 40%; small layers take as long either way.
LAYER_SHARE, LEAST = 0.4, 2**14
TOLERANCE = 1e-4


def sparse_layers(net: nn.Module, recipe: Recipe, mask: Mask) -> "dict[str, SparseLinear]":
    """Put sparse layers in the place of linear ones and return them by the names of their weights; nothing where the
    net would not compute or learn the same with them. net: on the CPU, with its weights masked.
    """
    names = [*_eligible(net, recipe, mask)]
    if not names or not _learns_alike(net, recipe, mask):
        return {}
    try:
        trial, other = copied(net), copied(net)  # whose buffers may change
    except Exception:  # a net that can't be copied
        return {}
    layers = _put(trial, names, mask)
    return _put(net, names, mask) if _same(other, trial, layers, recipe) else {}


def _eligible(net: nn.Module, recipe: Recipe, mask: Mask) -> Iterator[str]:
    several = shared(net)
    for name, kept in mask.items():
        if "." not in name:  # the net itself is the layer
            continue
        layer = net.get_submodule(layer_of(name))
        usual = type(layer) is nn.Linear and is_plain_module(layer) and layer.weight.requires_grad
        few = kept.numel() >= LEAST and kept.sum() <= LAYER_SHARE * kept.numel()
        if usual and id(layer.weight) not in several and (few or recipe.kernel == "sparse"):
            yield name


def _learns_alike(net: nn.Module, recipe: Recipe, mask: Mask) -> bool:
    """True if packed weights learn as those of a whole layer, and the net as a whole has no kernel, which is faster."""
    optimizer = recipe.optimizer(net.parameters())
    known = unbound(recipe.regularization)[0] in PENALTIES
    alike = known and elementwise(optimizer) and not has_hooks(optimizer) and not recipe.moves_mask
    if recipe.kernel == "dense" or not alike:
        return False
    return why_dense(recipe, net, optimizer, mask, torch.device("cpu")) != ""


def _put(net: nn.Module, names: list[str], mask: Mask) -> "dict[str, SparseLinear]":
    from lth.engine.kernel.linear import SparseLinear  # numba takes half a second

    found = {}
    for name in names:
        path = layer_of(name)
        found[name] = SparseLinear(net.get_submodule(path), mask[name])  # type: ignore[arg-type]
        net.set_submodule(path, found[name])
    return found


def _same(net: nn.Module, trial: nn.Module, layers: "Mapping[str, SparseLinear]", recipe: Recipe) -> bool:
    """True if both give the same outputs, in training and evaluation, the same gradients, and the same settings to the
    optimizer.
    """
    one, other = (grouping(recipe.optimizer(each.parameters()), each) for each in (net, trial))
    if one != other:
        return False
    for training, grad in ((True, True), (False, True), (False, False)):  # PyTorch may take another path without grad
        own, usual = (_outputs(each.train(training), recipe, grad=grad) for each in (trial, net))
        if own is None or usual is None or not _close(usual, own):
            return False
    found, expected = _gradients(trial, recipe), _gradients(net, recipe)
    for name, gradient in expected.items():
        packed = layers[name].pack(gradient) if gradient is not None and name in layers else gradient
        if not _alike(packed, found[name]):
            return False
    return True


def _alike(one: Tensor | None, other: Tensor | None) -> bool:
    return one is other if one is None or other is None else _close(one, other)


def _close(one: Tensor, other: Tensor) -> bool:
    largest = float(one.detach().abs().max()) if one.numel() else 0.0  # a layer may have lost all of its weights
    return torch.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE * max(1.0, largest))


def _gradients(net: nn.Module, recipe: Recipe) -> dict[str, Tensor | None]:
    """Gradients of a sum of the outputs in which each has a weight of its own."""
    outputs = _outputs(net.train(), recipe)
    assert outputs is not None
    total = (outputs * torch.linspace(-1, 2, outputs.numel()).view_as(outputs)).sum()
    named = {name: p for name, p in net.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(total, [*named.values()], allow_unused=True)
    return dict(zip(named, gradients, strict=True))


def _outputs(net: nn.Module, recipe: Recipe, *, grad: bool = True) -> Tensor | None:
    try:
        with seeded("trial"), torch.set_grad_enabled(grad):
            outputs: Tensor = net(recipe.data.examples(2))
    except Exception:  # whatever a net raises that looks at its layers
        return None
    return outputs


def dense_weights(weights: Mapping[str, Tensor], layers: "Mapping[str, SparseLinear]") -> dict[str, Tensor]:
    """Weights with those of sparse layers in their full shape, copied."""
    return {name: layers[name].unpack(w) if name in layers else w.clone() for name, w in weights.items()}


def packed_weights(weights: Mapping[str, Tensor], layers: "Mapping[str, SparseLinear]") -> dict[str, Tensor]:
    """Inverse of `dense_weights`."""
    return {name: layers[name].pack(w) if name in layers else w for name, w in weights.items()}
