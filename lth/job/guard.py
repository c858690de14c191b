"""Functions of the user's own and of other libraries, whose results are checked at every call.

A wrong result is an error that names the function and what was expected, where it is made and not where it is missed.
Functions of lth are left as they are.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lth import UserError
from lth.job.checks import CHECKS, check_optimizer, check_settings
from lth.job.layers import kind
from lth.keywords import decorators, signature, supplied, unbound
from lth.recipe import Recipe
from lth.store.names import did_you_mean, similar
from lth.ticket import Ticket, Trained

# The arguments that functions of a role are called with by position, and those by keyword; the ones of GIVEN only where
# a function has them.
CALLED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "model": (("shape", "classes"), ()),
    "optimizer": (("parameters",), ()),
    "lr": (("step",), ()),
    "augment": (("images",), ("replicate", "step")),
    "regularization": (("weights",), ()),
    "updater": (("step", "weights", "gradients", "mask"), ()),
    "init": (("net", "seed"), ()),
    "criterion": (("net", "trained", "batch"), ()),
    "schedule": (("levels",), ()),
    "distribution": (("scores", "mask", "density"), ()),
    "structure": (("scores", "mask", "shares", "net", "example"), ()),
    "rewind": (("trained",), ()),
    "stop": (("dense", "trained"), ()),
    "compare": (("net", "nets", "mask", "data", "task"), ("before", "device", "tick")),
}
GIVEN = {"criterion": ("task",), "updater": ("replicate", "net", "stepped"), "compare": ("drawn",)}


class Guarded(partial[Any]):
    """A function in a role, such as "criterion". To the store, it is the function itself."""

    role: str

    def __call__(self, /, *args: Any, **keywords: Any) -> Any:
        value = self.unchecked(*args, **keywords)
        CHECKS[self.role](self, value, *args)
        return value

    def unchecked(self, /, *args: Any, **keywords: Any) -> Any:
        """Call the function without a check of its result; raises UserError if it changes what it is given in place."""
        before = [
            (tensor, tensor._version) for tensor in _given([*args, *keywords.values()]) if not tensor.is_inference()
        ]
        value = super().__call__(*args, **keywords)
        if any(tensor._version != version for tensor, version in before):
            raise UserError(f"{self} changed a mask or the weights of a ticket in place: change a copy (clone()), and "
                            "return it")  # fmt: skip
        return value

    def __str__(self) -> str:
        return f"{self.role}={self.func.__module__}.{getattr(self.func, '__qualname__', '')}"

    def wrong(self, given: str, expected: str) -> UserError:
        """Error for a result."""
        return UserError(f"{self} gave {given}: {expected}")


def _given(args: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among arguments that are a ticket's, trained or not, or masks. A change by way of `.data` or a NumPy
    array leaves no trace.
    """
    for each in args:
        if isinstance(each, Trained):
            yield from _given([each.ticket, each.mask])
        elif isinstance(each, Ticket):
            yield from [*each.weights.values(), *each.mask.values()]
        elif isinstance(each, Mapping):
            yield from (v for v in each.values() if isinstance(v, Tensor) and v.dtype == torch.bool)
        elif isinstance(each, list | tuple):
            yield from _given(each)


def guarded(role: str, function: Any) -> Any:
    """A function whose results are checked, unless it is one of lth's; raises UserError if it can't have this role."""
    if not callable(function):
        raise UserError(
            f"{role}: {kind(function)} was given, a function is needed; in a YAML node, add _partial_: true"
        )
    if isinstance(function, Guarded) and function.role == role:
        return function
    inner, bound = unbound(function)
    if getattr(inner, "__module__", "").partition(".")[0] == "lth":
        return function
    guard = Guarded(inner, **bound)
    guard.role = role
    if role == "optimizer" and isinstance(inner, type):
        check_optimizer(guard, inner)
    _check_taken(guard)
    if role == "optimizer" and isinstance(inner, type):
        check_settings(guard, inner, bound)
    return guard


def _check_taken(guard: Guarded) -> None:
    """Raise UserError for a function that can't be called with what the guard binds and its role gives, if it says what
    it takes. Arguments may be missing behind a decorator of the user's own, which may supply them.
    """
    try:
        given = signature(guard.func)
    except (ValueError, TypeError):
        return
    taken = given.parameters
    anything = any(each.kind is each.VAR_KEYWORD for each in taken.values())
    positional = [name for name, each in taken.items() if each.kind is each.POSITIONAL_ONLY]
    if (wrong := [name for name in guard.keywords if name not in taken]) and not anything:
        called, named = CALLED.get(guard.role, ((), ()))
        free = [name for name in [*taken][len(called) :] if name not in (*named, *guard.keywords)]
        near = did_you_mean([*dict.fromkeys(name for each in wrong for name in similar(each, free))])
        raise UserError(f"{guard} does not take {', '.join(wrong)}: it takes {', '.join(taken)}{near}")
    if (wrong := [name for name in guard.keywords if name in positional]) and not anything:
        raise UserError(f"{guard} takes {wrong[0]} by position only: leave out the / in {given}, or {wrong[0]}")
    if guard.role not in CALLED:
        return
    called, named = CALLED[guard.role]
    keywords = dict.fromkeys(named) | supplied(guard, **dict.fromkeys(GIVEN.get(guard.role, ())))
    try:
        bind = given.bind if all(map(_only_passes_on, decorators(guard.func))) else given.bind_partial
        bind(*called, **{**guard.keywords, **keywords})
    except TypeError as error:
        words = ", ".join([*called, *(f"{name}=" for name in keywords)])
        remedy = _by_name(guard) or _value_for(guard.role, str(error), positional)
        raise UserError(f"{guard} is called with ({words}), and takes {given}: {error}{remedy}") from error


def _only_passes_on(decorator: Any) -> bool:
    """True for a decorator of PyTorch, such as torch.no_grad(), or one in C, such as functools.cache."""
    module = getattr(decorator, "__globals__", {}).get("__name__") or type(decorator).__module__
    return str(module).partition(".")[0] in ("torch", "functools")


def _by_name(guard: Guarded) -> str:
    """The remedy for a net of torchvision, which lth has by its name."""
    known = guard.role == "model" and str(getattr(guard.func, "__module__", "")).startswith("torchvision.models.")
    return f"; use model=torchvision model.name={guard.func.__name__}" if known else ""


def _value_for(role: str, error: str, positional: Collection[str]) -> str:
    """The remedy for an argument that has no value, such as a schedule's number of steps. positional: arguments that
    can't be given by name.
    """
    found = re.search(r"missing a required .*argument: '(\w+)'", error)
    if found is None or role in ("stop", "compare") or found[1] in positional:
        return ""
    value = "${steps}" if found[1] == "steps" else "VALUE"
    return f"; give it a default, or a value: '+{role}.{found[1]}={value}'"


def guarded_recipe(recipe: Recipe) -> Recipe:
    """A recipe whose functions are checked."""
    roles = ("model", "optimizer", "lr", "augment", "regularization", "updater")
    functions = {role: guarded(role, getattr(recipe, role)) for role in roles}
    changed = {role: function for role, function in functions.items() if function is not getattr(recipe, role)}
    return replace(recipe, **changed) if changed else recipe
