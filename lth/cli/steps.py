"""Counts of optimizer steps, of trainings that may run at once."""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)


class Steps(Generic[Name]):
    """Steps of trainings that are planned, each under a name; others may run too. planned: name -> its steps.

    running: training -> (its step, its last step).
    """

    def __init__(self, planned: Mapping[Name, int]) -> None:
        self.waiting, self.trainings, self.total = dict(planned), len(planned), sum(planned.values())
        self.taken = self.finished = 0
        self.running: dict[Name, tuple[int, int]] = {}

    def reach(self, training: Name, step: int, last: int) -> None:
        """Count the steps of a training since it was last seen; it may begin, or begin again, at any step."""
        self.waiting.pop(training, None)
        before, _ = self.running.get(training, (step, last))
        self.taken += max(0, step - before)
        self.running[training] = step, last

    def finish(self, training: Name) -> None:
        """Count a training as finished, trained or read from the store. It may run once more, for weights that were not
        kept.
        """
        self.finished += 1
        self.waiting.pop(training, None)
        self.running.pop(training, None)

    def beside(self, training: Name) -> int:
        """Number of other trainings that are under way."""
        return sum(step < last for name, (step, last) in self.running.items() if name != training)

    @property
    def left(self) -> int:
        """Steps left at most: those of running trainings, and all of those that have not begun."""
        return sum(self.waiting.values()) + sum(last - step for step, last in self.running.values())
