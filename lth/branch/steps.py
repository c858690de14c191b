"""Steps of the trainings that a branch leads to, for plans."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
Steps = Callable[[int, int, Mapping[str, Any]], int]
Bound = Literal["", "at least ", "at most "]


def trains(steps: Steps, bound: Callable[[Mapping[str, Any]], Bound] = lambda _: "") -> Callable[[F], F]:
    """Declare how many steps the tickets of a branch train, if not as many as the ticket beside them: (first step of
    that ticket, its last, arguments of the branch, its draw among them) -> steps. bound: arguments -> what these are,
    if the number is not known before.
    """

    def declare(function: F) -> F:
        vars(function).update(trains=steps, bound=bound)
        return function

    return declare


def bound_of(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Bound:
    """Kind of number that `steps_of` gives: exact ("") or a bound."""
    bound: Callable[[Mapping[str, Any]], Bound] | None = getattr(function, "bound", None)
    return "" if bound is None else bound(arguments)


def steps_of(function: Callable[..., Any], start: int, end: int, arguments: Mapping[str, Any]) -> int:
    """Steps that a ticket of a branch trains, beside one that trains from step `start` to `end`."""
    steps: Steps | None = getattr(function, "trains", None)
    return end - start if steps is None else steps(start, end, arguments)
