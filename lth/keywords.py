"""Keywords of functions: those that are bound, and those that a function has: some values are given only to functions
that have a keyword for them (`task` to criteria).
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any


def signature(function: Callable[..., Any]) -> inspect.Signature:
    """Arguments that a function takes, also those that its partials bind: those of its outermost decorator or, where
    that takes anything, as torch.no_grad() does, of what it decorates. Raises ValueError or TypeError for one that does
    not say what it takes, such as one that is written in C.
    """
    while isinstance(function, partial):
        function = function.func
    return inspect.signature(inspect.unwrap(function, stop=_says_what_it_takes), follow_wrapped=False)


def _says_what_it_takes(function: Callable[..., Any]) -> bool:
    kinds = {each.kind for each in inspect.signature(function, follow_wrapped=False).parameters.values()}
    return not kinds >= {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


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
