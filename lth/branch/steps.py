"""Steps of the trainings that a branch leads to, for plans."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
Steps = Callable[[int, int, Mapping[str, Any]], int]


def trains(steps: Steps) -> Callable[[F], F]:
    """Say of a branch for how many steps its tickets are trained, where it is not as long as the ticket beside them:
    (first step of that ticket, its last, arguments of the branch) -> steps, at most.
    """

    def said(function: F) -> F:
        vars(function)["trains"] = steps
        return function

    return said


def trained(function: Callable[..., Any], start: int, end: int, arguments: Mapping[str, Any]) -> int:
    """Steps that the tickets of a branch are trained for, beside one that is trained from `start` to `end`."""
    steps: Steps | None = getattr(function, "trains", None)
    return end - start if steps is None else steps(start, end, arguments)
