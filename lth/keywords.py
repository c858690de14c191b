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
    them on to what it decorates, whose arguments count too. Raises ValueError or TypeError for a function that does not
    say what it takes, such as one that is written in C.
    """
    *outer, inner = _layers(function)
    taken = inspect.signature(inner, follow_wrapped=False)
    named = {name: each for layer in outer for name, each in _parameters(layer).items() if each.kind not in ANY}
    more = [each.replace(kind=each.KEYWORD_ONLY) for name, each in named.items() if name not in taken.parameters]
    own = [*taken.parameters.values()]
    last = [each for each in own if each.kind is each.VAR_KEYWORD]
    return taken.replace(parameters=[*own[: len(own) - len(last)], *more, *last])


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
    return not found or any(each.kind is each.VAR_KEYWORD for each in found.values())


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Parameters of a decorator; none if it does not say them, as functools.cache does not."""
    try:
        return inspect.signature(function, follow_wrapped=False).parameters
    except (ValueError, TypeError):
        return {}


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
