"""Counts of optimizer steps, of trainings that may run at once."""


class Steps:
    """Steps of `trainings` trainings of up to `each` steps. running: training -> (its step, its last step)."""

    def __init__(self, trainings: int, each: int) -> None:
        self.trainings, self.each = trainings, each
        self.taken = self.finished = 0
        self.running: dict[str, tuple[int, int]] = {}
        self.over = set[str]()

    def reach(self, training: str, step: int, last: int) -> None:
        """Count the steps of a training since it was last seen; it may begin, or begin again, at any step."""
        before, _ = self.running.get(training, (step, last))
        self.taken += max(0, step - before)
        self.running[training] = step, last

    def finish(self, training: str) -> None:
        """Count a training as finished, trained or read from the store."""
        self.finished += 1
        self.over.add(training)
        self.running.pop(training, None)

    def beside(self, training: str) -> int:
        """Number of other trainings that are under way."""
        return sum(step < last for name, (step, last) in self.running.items() if name != training)

    @property
    def left(self) -> int:
        """Steps left at most, never negative: those of running trainings, and all of those that have not begun. A
        training that is over may run once more, for weights that were not kept.
        """
        waiting = max(0, self.trainings - self.finished - len(self.running.keys() - self.over))
        return waiting * self.each + sum(last - step for step, last in self.running.values())
