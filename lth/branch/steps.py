"""Steps of the trainings that a branch leads to, for plans."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
Steps = Callable[[int, int, Mapping[str, Any]], int]


def trains(steps: Steps) -> Callable[[F], F]:
    """Declare how many steps the tickets of a branch train, if not as many as the ticket beside them: (first step of
    that ticket, its last, arguments of the branch) -> steps; at most, or at least if it is not known before.
    """

    def declare(function: F) -> F:
        vars(function)["trains"] = steps
        return function

    return declare


def steps_of(function: Callable[..., Any], start: int, end: int, arguments: Mapping[str, Any]) -> int:
    """Steps that a ticket of a branch trains, beside one that trains from step `start` to `end`."""
    steps: Steps | None = getattr(function, "trains", None)
    return end - start if steps is None else steps(start, end, arguments)
