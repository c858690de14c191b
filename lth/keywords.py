"""Keywords of functions: those that are bound, and those that a function has: some values are given only to functions
that have a keyword for them (`task` to criteria).
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def signature(function: Callable[..., Any]) -> inspect.Signature:
    """Arguments that a function takes, also those that its partials bind. A decorator that takes any keywords passes
    them on to what it decorates, whose arguments count too; of two arguments of one name, that of the outer decorator,
    which gives it to the inner function. Raises ValueError or TypeError for a function that does not say what it takes,
    such as one that is written in C.
    """
    *outer, inner = _layers(function)
    taken = inspect.signature(inner, follow_wrapped=False)
    named: dict[str, inspect.Parameter] = {}
    for layer in outer:
        named = {name: each for name, each in (_parameters(layer) or {}).items() if each.kind not in ANY} | named
    own = [_as_in(named.get(name, each), each) for name, each in taken.parameters.items()]
    more = [each.replace(kind=each.KEYWORD_ONLY) for name, each in named.items() if name not in taken.parameters]
    return taken.replace(parameters=sorted([*own, *more], key=lambda each: each.kind))


def _as_in(outer: inspect.Parameter, inner: inspect.Parameter) -> inspect.Parameter:
    """An argument of an inner function as the outer one takes it; by position as before, where it has no default."""
    if outer.kind is outer.KEYWORD_ONLY:
        return outer
    both = outer.default is not outer.empty and inner.default is not inner.empty
    return inner.replace(default=outer.default) if both else inner


def decorators(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    """The decorators of a function that pass on any keywords, the outermost first."""
    return _layers(function)[:-1]


def _layers(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    while isinstance(function, partial):
        function = function.func
    layers = [function]
    while hasattr(layers[-1], "__wrapped__") and _passes_on(layers[-1]):
        layers.append(layers[-1].__wrapped__)
    return layers


def _passes_on(function: Callable[..., Any]) -> bool:
    found = _parameters(function)
    return found is None or any(each.kind is each.VAR_KEYWORD for each in found.values())


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    """Parameters of a decorator; None if it does not say them, as functools.cache does not."""
    try:
        return inspect.signature(function, follow_wrapped=False).parameters
    except (ValueError, TypeError):
        return None


def takes(function: Callable[..., Any] | None, keyword: str) -> bool:
    """True if the function has this keyword; False for None, and for a function that does not say what it takes."""
    try:
        return function is not None and keyword in signature(function).parameters
    except (ValueError, TypeError):
        return False


def supplied(function: Callable[..., Any], **values: Any) -> dict[str, Any]:
    """The values whose keywords the function has, by keyword."""
    return {keyword: value for keyword, value in values.items() if takes(function, keyword)}


def unbound(function: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A function without its partials, and the arguments that they bind; of two for one keyword, the outer one's."""
    bound: dict[str, Any] = {}
    while isinstance(function, partial):
        if function.args:
            raise TypeError(
                f"{function!r} binds arguments by position: name them, so that a reader knows what they are"
            )
        bound, function = {**function.keywords, **bound}, function.func
    return function, bound


def arguments(function: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A function without its partials, and all of its arguments that have a value, by keyword: bound ones, or else
    defaults.
    """
    function, bound = unbound(function)
    try:
        parameters = signature(function).parameters.items()
    except (ValueError, TypeError):
        return function, bound
    return function, {name: p.default for name, p in parameters if p.default is not p.empty} | bound
