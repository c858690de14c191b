"""Keywords of functions: some values are given only to functions that have a keyword for them (`task` to criteria)."""

import inspect
from collections.abc import Callable
from typing import Any


def takes(function: Callable[..., Any] | None, keyword: str) -> bool:
    """True if the function has this keyword; False for None, and for a function that does not say what it takes."""
    try:
        return function is not None and keyword in inspect.signature(function).parameters
    except (ValueError, TypeError):  # one that is written in C may have no signature
        return False


def supplied(function: Callable[..., Any], **values: Any) -> dict[str, Any]:
    """The values whose keywords the function has, by keyword."""
    return {keyword: value for keyword, value in values.items() if takes(function, keyword)}
