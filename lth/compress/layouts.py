"""Storage layouts of a pruned net: masked, CSR, shrunk, compact."""

import logging
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lth import UserError, quantization
from lth.compress.compact import compact, shrunk
from lth.halving import most
from lth.imp import examples
from lth.layer import macs
from lth.recipe import Recipe
from lth.seed import seeded
from lth.ticket import Mask, Trained, full_mask, masked, remaining, total
from lth.weights import copied, load, weights_of

log = logging.getLogger("lth")

NAMED = 3  # layers that are named in a line

NOTES = {
    "masked": "dense, with zeros; N:M too, since PyTorch has a kernel for 2:4 on GPUs only",
    "csr": "linear layers as compressed sparse rows, convolutions dense",
    "shrunk": "neurons and filters without a weight removed, the rest dense",
    "compact": "all that the zeros make idle removed, the rest dense",
}


@dataclass(frozen=True)
class Layout:
    """A net in evaluation mode, the number of parameters it stores (neither zeros that it skips nor indices), and its
    multiply-accumulates for one image.
    """

    net: nn.Module
    parameters: int
    macs: int


class Sparse(nn.Module):
    """A linear layer as compressed sparse rows: ... x inputs -> ... x outputs."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*Sparse CSR.*")  # "... is in beta state"
            self.weight = layer.weight.detach().to_sparse_csr()
        bias = layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias.detach()
        self.bias = bias[:, None]

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, self.weight, x.flatten(0, -2).T).T.reshape(*x.shape[:-1], -1)


def masked_net(trained: Trained, recipe: Recipe) -> nn.Module:
    """f(x; m * W_T), in training mode."""
    net = recipe.net()
    load(net, masked(trained.weights(), trained.mask))
    return net


def layouts(trained: Trained, recipe: Recipe) -> dict[str, Layout]:
    """Name -> the net in that layout; all compute the same. "csr" and "shrunk" are left out where they save nothing;
    one that is not available for this net is named in the log.
    """
    net, example, mask = masked_net(trained, recipe).eval(), examples(recipe), trained.mask
    quantization.refuse_quantized(net, "a layout")
    if remaining(mask) == total(mask):
        return {"dense": _dense(net, example)}
    weights = weights_of(net)
    makers: dict[str, Callable[[], Layout]] = {
        "masked": lambda: _dense(net, example),
        "csr": lambda: _csr(net, mask, example),
        "shrunk": lambda: _dense(shrunk(net, weights, mask, example).eval(), example),
        "compact": lambda: _dense(compact(net, weights, mask, example), example),
    }
    found = {name: layout for name, make in makers.items() if (layout := _available(name, trained, make))}
    most = found["masked"].parameters
    return {name: each for name, each in found.items() if name in ("masked", "compact") or each.parameters < most}


def _available(name: str, trained: Trained, make: Callable[[], Layout]) -> Layout | None:
    try:
        return make()
    except UserError as error:
        log.warning("layout %s is not available for %s: %s", name, trained.ticket, error)
        return None


def _dense(net: nn.Module, example: Tensor) -> Layout:
    return Layout(net, sum(p.numel() for p in net.parameters()), macs(net, example[:1]))


def _csr(net: nn.Module, mask: Mask, example: Tensor) -> Layout:
    """The net with CSR in place of plain linear layers that have pruned weights."""
    users, parts = dict[str, list[tuple[str, nn.Linear]]](), [*net.named_modules(remove_duplicate=False)]
    for name, kept in mask.items():
        weight = net.get_parameter(name)
        found = [(path, part) for path, part in parts if any(own is weight for own in part._parameters.values())]
        linear = [(path, part) for path, part in found if type(part) is nn.Linear]
        if not kept.all() and len(linear) == len(found):
            users[name] = linear

    def with_sparse(names: Iterable[str]) -> nn.Module:
        sparse = copied(net)
        for path, part in (user for name in names for user in users[name]):
            sparse = _with(sparse, path, Sparse(part))
        return sparse

    names = most([*users], lambda names: _same(net, with_sparse(names), example))
    if dense := [name for name in users if name not in names]:
        more = f" and {len(dense) - NAMED} more" if len(dense) > NAMED else ""
        log.warning("layout csr keeps %s%s dense: %s does not compute the same with sparse layers there",
                    ", ".join(dense[:NAMED]), more, type(net).__name__)  # fmt: skip
    sparse, skipped = with_sparse(names), full_mask(net) | {name: mask[name] for name in names}
    parameters = sum(p.numel() for p in net.parameters()) - total(skipped) + remaining(skipped)
    kept_weights = {name: int(kept.sum()) for name, kept in skipped.items()}
    return Layout(sparse, parameters, macs(net, example[:1], kept_weights))


def _with(net: nn.Module, path: str, part: nn.Module) -> nn.Module:
    """The net with a part in the place of another: in it, or of the whole net."""
    if path:
        net.set_submodule(path, part)
    return net if path else part


def _same(net: nn.Module, sparse: nn.Module, example: Tensor) -> bool:
    """True if the outputs are equal but for rounding: the layers that were replaced are called, and not read."""
    outputs = []
    try:
        for each in (sparse, net):
            with torch.no_grad(), seeded("same"):
                outputs.append(each(example))
        largest = float(outputs[1].nan_to_num().abs().max())
        torch.testing.assert_close(*outputs, rtol=1e-3, atol=1e-4 * largest, equal_nan=True)
    except Exception:  # of a net that reads its layers' weights
        return False
    return True
