"""Pruned weights that are frozen at a value other than 0: the "mask-0 actions" of Zhou et al. 2019.

Frozen values are buffers of the layers, beside weights that are 0 where they are pruned, as ever: a layer computes with
their sum.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from lth import UserError
from lth.branch.control import Init
from lth.layer import Changed, layer_of, only_its_own, only_layers_read
from lth.model.check import built
from lth.recipe import Recipe
from lth.ticket import Ticket, Trained, Weights


class Frozen(Changed):
    """Base class of layers that add frozen values to their weights."""

    weight: Tensor
    frozen: Tensor

    def disguise(self) -> None:
        """Change the weights, and frozen values that are 0, such that their sums stay."""
        change = torch.where(self.weight == 0, 1, -2 * self.weight)
        self.weight.add_(change)
        self.frozen.sub_(change)


class FrozenLinear(Frozen, nn.Linear):
    """Linear layer that adds frozen values to its weights."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight + self.frozen, self.bias)


class FrozenConv2d(Frozen, nn.Conv2d):
    """Convolution that adds frozen values to its weights."""

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self._conv_forward(x, self.weight + self.frozen, self.bias)
        return outputs


KINDS: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: FrozenLinear, nn.Conv2d: FrozenConv2d}


def frozen_model(
    shape: Sequence[int], outputs: int, *, model: Callable[..., nn.Module], layers: Sequence[str]
) -> nn.Module:
    """`model(shape, outputs)` with frozen values beside these weights, as the model of a recipe."""
    net = built(model, shape, outputs)
    for name in layers:
        layer = net.get_submodule(layer_of(name))
        if type(layer) not in KINDS or not name.endswith("weight"):
            kind = type(layer).__name__
            raise UserError(
                f"branch: {name} of a {kind} can't be frozen at a value; linear layers and 2-d convolutions can"
            )
        only_its_own(net, name)
        layer.register_buffer("frozen", torch.zeros_like(net.get_parameter(name)))
        layer.__class__ = KINDS[type(layer)]
    return net


def freeze(trained: Trained, *, draw: int, recipe: Recipe, init: Init) -> tuple[Recipe, Ticket]:
    """Pruned weights stay at W_k, untrained ("freeze_init"). Nothing is drawn: every draw is the same."""
    return _frozen(recipe, trained.ticket, trained.ticket.weights)


def freeze_growing(
    trained: Trained, *, draw: int, recipe: Recipe, init: Init, line: Sequence[Trained]
) -> tuple[Recipe, Ticket]:
    """Pruned weights whose size did not fall in the training after which they were pruned stay at W_k, untrained; the
    others are 0 ("freeze_init_zero_mask", variant 1). line: the trained tickets from the dense net to this one.
    """
    start = trained.ticket.weights
    return _frozen(recipe, trained.ticket, {**start, **_growing(line, start)})


def freeze_growing_all(
    trained: Trained, *, draw: int, recipe: Recipe, init: Init, line: Sequence[Trained]
) -> tuple[Recipe, Ticket]:
    """Treat pruned weights as `freeze_growing` does, and start remaining weights at 0 whose size fell in the training
    before ("freeze_init_zero_all", variant 2).
    """
    ticket, growing = trained.ticket, _growing(line, trained.ticket.weights)
    return _frozen(recipe, replace(ticket, weights={**ticket.weights, **growing}), growing)


def _frozen(recipe: Recipe, ticket: Ticket, values: Weights) -> tuple[Recipe, Ticket]:
    """The ticket with these values where it is pruned, and the recipe whose net has a place for them."""
    names = [*ticket.mask]
    held = {_buffer(name): values[name].masked_fill(ticket.mask[name], 0) for name in names}
    new = replace(recipe, model=partial(frozen_model, model=recipe.model, layers=names))
    only_layers_read(new.net(), recipe.data.examples(2))
    return new, replace(ticket, weights={**ticket.weights, **held})


def _growing(line: Sequence[Trained], start: Weights) -> dict[str, Tensor]:
    """W_k, 0 where the size of a weight fell in the last training before this one in which it was not pruned."""
    kept = {name: start[name].clone() for name in line[-1].ticket.mask}
    for before in line[:-1]:
        end = before.weights()
        for name, mask in before.ticket.mask.items():
            fell = mask & (end[name].abs() < start[name].abs())
            kept[name] = torch.where(mask, start[name].masked_fill(fell, 0), kept[name])
    return kept


def _buffer(name: str) -> str:
    return f"{name.removesuffix('weight')}frozen"
