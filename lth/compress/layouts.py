"""Storage layouts of a pruned net: masked, CSR, shrunk, compact."""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lth import quantization
from lth.compress.compact import compact, shrunk
from lth.layer import macs
from lth.recipe import Recipe
from lth.ticket import Mask, Trained, full_mask, masked, remaining, total
from lth.weights import load, weights_of

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
    """A linear layer as compressed sparse rows: B x inputs -> B x outputs."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*Sparse CSR.*")  # "... is in beta state"
            self.weight = layer.weight.detach().to_sparse_csr()
        bias = layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias.detach()
        self.bias = bias[:, None]

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, self.weight, x.T).T


def masked_net(trained: Trained, recipe: Recipe) -> nn.Module:
    """f(x; m * W_T), in training mode."""
    net = recipe.net()
    load(net, masked(trained.weights(), trained.mask))
    return net


def layouts(trained: Trained, recipe: Recipe) -> dict[str, Layout]:
    """Name -> the net in that layout; all compute the same. "csr" and "shrunk" are left out where they save nothing."""
    net, shape, mask = masked_net(trained, recipe).eval(), recipe.data.shape, trained.mask
    quantization.refuse_quantized(net, "a layout")
    if remaining(mask) == total(mask):
        return {"dense": _dense(net, shape)}
    weights = weights_of(net)
    found = {
        "masked": _dense(net, shape),
        "csr": _csr(net, mask, shape),
        "shrunk": _dense(shrunk(net, weights, mask, shape), shape),
        "compact": _dense(compact(net, weights, mask, shape), shape),
    }
    most = found["masked"].parameters
    return {name: each for name, each in found.items() if name in ("masked", "compact") or each.parameters < most}


def _dense(net: nn.Module, shape: Sequence[int]) -> Layout:
    return Layout(net, sum(p.numel() for p in net.parameters()), macs(net, torch.zeros(1, *shape)))


def _csr(net: nn.Module, mask: Mask, shape: Sequence[int]) -> Layout:
    """The net with CSR in place of linear layers that have pruned weights."""
    sparse, skipped = copy.deepcopy(net), full_mask(net)
    for name, kept in mask.items():
        layer = net.get_submodule(name.rpartition(".")[0])
        if isinstance(layer, nn.Linear) and not kept.all():
            sparse.set_submodule(name.rpartition(".")[0], Sparse(layer))
            skipped[name] = kept
    parameters = sum(p.numel() for p in net.parameters()) - total(skipped) + remaining(skipped)
    kept_weights = {name: int(kept.sum()) for name, kept in skipped.items()}
    return Layout(sparse, parameters, macs(net, torch.zeros(1, *shape), kept_weights))
