"""Masks of the tickets of a stack, and the step of their optimizer."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from lth.engine import growth
from lth.engine.masking import Masking, cost_of
from lth.engine.packing import Packing
from lth.engine.rates import elementwise
from lth.engine.stacked import Stacked, laid_out_like
from lth.engine.state import State, part
from lth.recipe import Recipe
from lth.ticket import Ticket


class StackMasking:
    """Holds the pruned weights of all tickets at 0. Masks that stay, where they leave few weights, are packed: then the
    optimizer has the kept weights alone. of: the mask and the counts of each ticket. saved: its state, or None.
    """

    def __init__(
        self, tickets: Sequence[Ticket], saved: Sequence[State | None], net: nn.Module, nets: Stacked, recipe: Recipe
    ) -> None:
        device = next(nets.parameters()).device
        cost = cost_of(net, recipe)
        self.nets, self.of = nets, [Masking(net, ticket, recipe, device, cost) for ticket in tickets]
        for number, (masking, state) in enumerate(zip(self.of, saved, strict=True)):
            masking.weights = {name: nets.trainable[name].detach()[number] for name in masking.weights}
            masking.reset = partial(self._reset, number)
            if state is not None:
                masking.load(state["macs"], part(state, "mask/"))
        self.moves = self.of[0].updater is not None

    def begin(self, optimizer: torch.optim.Optimizer) -> None:
        """Take over an optimizer that has not stepped yet."""
        masks = {name: torch.stack([masking.mask[name] for masking in self.of]) for name in self.of[0].mask}
        self.optimizer = optimizer
        self.packing = Packing(optimizer, self.nets, {} if self.moves or not elementwise(optimizer) else masks)
        dense = {n: m for n, m in masks.items() if n not in self.packing.packed and (self.moves or not m.all())}
        weights = {name: self.nets.trainable[name] for name in dense}
        self.factors = {name: laid_out_like(w, dense[name].to(w.dtype)) for name, w in weights.items()}
        self.pruned: list[Tensor] = [*weights.values()]

    def _reset(self, number: int, name: str, grown: Tensor) -> None:
        growth.reset(self.optimizer, self.nets.trainable[name], grown, number)

    def step(self) -> None:
        """Let the optimizer take a step; pruned weights are 0 after it."""
        self.packing.gather()
        self.optimizer.step()
        self.packing.scatter()
        if self.pruned:
            with torch.no_grad():
                torch._foreach_mul_(self.pruned, list(self.factors.values()))

    def move(self, step: int) -> None:
        """Let the updater move the mask of each ticket after `step` steps."""
        for number, masking in enumerate(self.of):
            before = masking.mask
            for name, weight in masking.weights.items():
                gradient = self.nets.trainable[name].grad
                weight.grad = None if gradient is None else gradient[number]
            masking.update(step)
            for name, mask in masking.mask.items() if masking.mask is not before else ():
                self.factors[name][number].copy_(mask)
