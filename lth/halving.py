"""The most of several things that work together, found in few trials."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Thing = TypeVar("Thing")


def most(
    things: Sequence[Thing], work: Callable[[Sequence[Thing]], bool], known: Sequence[Thing] = ()
) -> Sequence[Thing]:
    """The known things, which work, and as many others as work with them, in their order; halves, to find the few that
    don't.
    """
    if not things:
        return known
    both = [*known, *things]
    if work(both):
        return both
    if len(things) == 1:
        return known
    half = len(things) // 2
    return most(things[half:], work, most(things[:half], work, known))
