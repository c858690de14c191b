"""Checks of results: CHECKS[role](guard, value, *arguments) raises UserError for one that the role does not allow."""

import inspect
import sys
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lth import UserError
from lth.job.layers import Role, check_mask, check_named, check_tensors, check_weights, kind
from lth.recipe import Recipe
from lth.schedule import KINDS, Ladder
from lth.ticket import Ticket
from lth.weights import weights_of

# Types of scores that can be ranked.
NUMBERS = {torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool}
NUMBERS |= {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}


def _model(guard: Role, net: Any, *unused: Any) -> None:
    if not isinstance(net, nn.Module):
        raise guard.wrong(kind(net), "a model must return a torch.nn.Module")
    lookups = (nn.Embedding, nn.EmbeddingBag)
    if sparse := [name for name, layer in net.named_modules() if isinstance(layer, lookups) and layer.sparse]:
        raise guard.wrong(f"a net whose {', '.join(sparse)} has sparse gradients", "leave out sparse=True")


def _optimizer(guard: Role, optimizer: Any, *unused: Any) -> None:
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise guard.wrong(kind(optimizer), "it must return a torch.optim.Optimizer of the parameters that it is given")
    check_optimizer(guard, type(optimizer))


def check_optimizer(guard: Role, of: type) -> None:
    """Raise UserError for a class of optimizers that needs more than one gradient a step, or sparse ones."""
    remedy = "take another, such as optimizer=adam or optimizer=sgd"
    closure = inspect.signature(of.step).parameters.get("closure") if hasattr(of, "step") else None
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise UserError(f"{guard}: {of.__name__} computes the loss again within a step (its `step` needs a closure), "
                        f"which no training here does; {remedy}")  # fmt: skip
    if issubclass(of, torch.optim.SparseAdam):
        raise UserError(f"{guard}: {of.__name__} takes sparse gradients only, and those here are dense; {remedy}")


def check_settings(guard: Role, of: type, bound: Mapping[str, Any]) -> None:
    """Raise UserError for settings that a class of PyTorch's own refuses, before anything is trained. It makes one of
    them; a user's own optimizer is not made once more than it is needed.
    """
    if not of.__module__.startswith("torch.optim"):
        return
    try:
        of([nn.Parameter(torch.zeros(1, 1))], **bound)
    except (ValueError, TypeError, RuntimeError) as error:
        given = ", ".join(f"{name}={value}" for name, value in bound.items())
        raise UserError(f"{guard} ({given}): {str(error).removeprefix(f'{of.__name__}.__init__() ')}") from error


def _lr(guard: Role, factor: Any, step: Any, *unused: Any) -> None:
    number: Any = factor if isinstance(factor, Real) and not isinstance(factor, bool) else -1
    if not 0 <= number <= sys.float_info.max:
        raise guard.wrong(f"{kind(factor)} at step {step}", "it must return 0 or more, the factor on optimizer.lr")


def _augment(guard: Role, images: Any, given: Tensor, *unused: Any) -> None:
    if not isinstance(images, Tensor) or images.shape != given.shape or images.dtype != given.dtype:
        raise guard.wrong(kind(images), f"it must return images as it is given them, {kind(given)}")


def _regularization(guard: Role, penalty: Any, *unused: Any) -> None:
    number = isinstance(penalty, Real) and not isinstance(penalty, bool)
    if not (penalty is None or number or (isinstance(penalty, Tensor) and penalty.ndim == 0)):
        raise guard.wrong(kind(penalty), "it must return a single number as a tensor of shape (), or None")


def _updater(guard: Role, mask: Any, step: int, weights: Any, gradients: Any, before: Mapping[str, Tensor]) -> None:
    check_mask(guard, mask, before)


def _init(guard: Role, weights: Any, net: nn.Module, *unused: Any) -> None:
    check_weights(guard, weights, weights_of(net))


def _criterion(guard: Role, scores: Any, net: Any, trained: Any, *unused: Any) -> None:
    check_tensors(guard, scores, trained.mask, "scores")
    for name in trained.mask:
        if scores[name].dtype not in NUMBERS:
            raise guard.wrong(f"{kind(scores[name])} for {name}", "scores are floats or whole numbers")
        if scores[name][trained.mask[name]].isnan().any():
            raise guard.wrong(f"scores of {name} that are not numbers", "check what it divides by, or takes roots of")


def _distribution(guard: Role, shares: Any, scores: Any, mask: Mapping[str, Tensor], *unused: Any) -> None:
    check_named(guard, shares, mask, "shares")
    for name in mask:
        if isinstance(shares[name], Tensor) or not isinstance(shares[name], Real) or not 0 <= shares[name] <= 1:
            raise guard.wrong(f"{kind(shares[name])} for {name}", "a share of its weights is a number from 0 to 1")


def _structure(guard: Role, mask: Any, scores: Any, before: Mapping[str, Tensor], *unused: Any) -> None:
    check_mask(guard, mask, before)
    for name, old in before.items():
        if (mask[name] & ~old).any():
            raise guard.wrong(f"a mask that brings back pruned weights of {name}", "what is pruned stays pruned")


def _rewind(guard: Role, result: Any, trained: Any, *unused: Any) -> None:
    if not isinstance(result, tuple) or len(result) != 2:
        raise guard.wrong(kind(result), "it must return (weights, step)")
    weights, step = result
    check_weights(guard, weights, trained.ticket.weights)
    if isinstance(step, bool) or not isinstance(step, int | np.integer) or not 0 <= step <= trained.steps:
        raise guard.wrong(f"the step {kind(step)}", f"a step is a whole number from 0 to {trained.steps}")


def _branch(guard: Role, result: Any, *unused: Any) -> None:
    if not isinstance(result, tuple) or tuple(map(type, result)) != (Recipe, Ticket):
        raise guard.wrong(kind(result), "it must return (recipe, ticket)")


def _stop(guard: Role, stops: Any, *unused: Any) -> None:
    if not isinstance(stops, bool | np.bool_):
        raise guard.wrong(kind(stops), "it must return True or False")


def _schedule(guard: Role, ladder: Any, *unused: Any) -> None:
    if not isinstance(ladder, Ladder):
        raise guard.wrong(kind(ladder), "it must return a lth.schedule.Ladder")
    for parent, children in ladder.children.items():
        for child in children:
            _rung(guard, ladder, parent, child)


def _rung(guard: Role, ladder: Ladder, parent: int, child: int) -> None:
    if child <= parent:
        raise guard.wrong(f"level {child} below level {parent}", "each level is pruned from one before it")
    for layers in KINDS:
        share, left = ladder.density(child, layers), ladder.density(parent, layers)
        if isinstance(share, bool) or not isinstance(share, Real) or not 0 <= share <= 1:
            raise guard.wrong(f"the density {kind(share)} at level {child}", "a density is a number from 0 to 1")
        if share > left:
            raise guard.wrong(f"{share:g} at level {child} after {left:g} at level {parent}",
                              "densities can't grow, since pruned weights stay pruned")  # fmt: skip


CHECKS: dict[str, Callable[..., None]] = {
    "model": _model,
    "optimizer": _optimizer,
    "lr": _lr,
    "augment": _augment,
    "regularization": _regularization,
    "updater": _updater,
    "init": _init,
    "criterion": _criterion,
    "distribution": _distribution,
    "structure": _structure,
    "schedule": _schedule,
    "rewind": _rewind,
    "branch": _branch,
    "stop": _stop,
}
