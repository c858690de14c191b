"""Optimizer steps on the kept weights of a stack alone: what is pruned costs no memory traffic, and stays exactly 0."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lth.engine.stacked import Stacked, flat, laid_out_like

# Share of the kept weights from which on moving them to and fro costs more than the pruned ones, and the weights of all
# nets together below which it costs more than it saves.
MOST, LEAST = 0.5, 2**20


@dataclass(frozen=True)
class Packed:
    """A parameter of all nets without its pruned weights.

    kept: the kept weights of all nets, one after the other.
    rows: their places in the parameter, int64.
    """

    parameter: nn.Parameter
    kept: nn.Parameter
    rows: Tensor


class Packing:
    """Puts the kept weights of sparse parameters into the optimizer in place of the parameters; to be done before its
    first step. The optimizer must move every weight by itself (see `rates.py`). masks: R x shape, by parameter. Numbers
    of parameters are the optimizer's, group after group.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, nets: Stacked, masks: Mapping[str, Tensor]) -> None:
        self.packed = {name: _packed(nets.trainable[name], mask) for name, mask in masks.items() if _is_sparse(mask)}
        instead = {id(each.parameter): each for each in self.packed.values()}
        self.parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self.numbers = {i: instead[id(p)] for i, p in enumerate(self.parameters) if id(p) in instead}
        for group in optimizer.param_groups:
            group["params"] = [instead[id(p)].kept if id(p) in instead else p for p in group["params"]]

    def gather(self) -> None:
        """Take over the gradients."""
        for each in self.packed.values():
            gradient = each.parameter.grad
            each.kept.grad = None if gradient is None else flat(gradient).index_select(0, each.rows)

    def scatter(self) -> None:
        """Write the kept weights back."""
        with torch.no_grad():
            for each in self.packed.values():
                flat(each.parameter).index_copy_(0, each.rows, each.kept)

    def pack(self, number: int, slot: Tensor) -> Tensor:
        """The part of a slot (R x shape) of the parameter of this number that the optimizer has, in its layout."""
        parameter, each = self.parameters[number], self.numbers.get(number)
        slot = laid_out_like(parameter, slot.to(parameter.device))
        return slot if each is None else flat(slot).index_select(0, each.rows)

    def unpack(self, number: int, slot: Tensor) -> Tensor:
        """The slot of all weights, R x shape; 0 where they are pruned."""
        each = self.numbers.get(number)
        if each is None:
            return slot
        whole = torch.zeros_like(each.parameter, dtype=slot.dtype)
        flat(whole).index_copy_(0, each.rows, slot)
        return whole


def _is_sparse(mask: Tensor) -> bool:
    return mask.numel() >= LEAST and float(mask.float().mean()) <= MOST


def _packed(parameter: nn.Parameter, mask: Tensor) -> Packed:
    rows = flat(laid_out_like(parameter, mask)).nonzero().squeeze(1)
    return Packed(parameter, nn.Parameter(flat(parameter)[rows]), rows)
