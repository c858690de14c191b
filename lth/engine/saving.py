"""A callback that saves the trainings in progress, every minute and when it is asked to."""

import time
from collections.abc import Callable, Iterable

from lth.engine.callback import Callback, Forwarding
from lth.engine.state import State
from lth.ticket import Ticket

SAVE_EVERY = 60.0  # seconds


class Saving(Forwarding):
    """Forward every call, and save what is trained after `every` seconds, or when the callback says that it is due.
    states: the tickets in training, with their states. until: the step at which the trainings end.
    """

    states: Callable[[], Iterable[tuple[Ticket, State]]]

    def __init__(
        self,
        callback: Callback,
        save: Callable[[Ticket, State], None] | None,
        every: float | None = None,
        until: int | None = None,
    ) -> None:
        super().__init__(callback)
        self.until = until
        self.save, self.last = save, time.monotonic()
        self.every = SAVE_EVERY if every is None else every

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        super().stepped(ticket, step, steps if self.until is None else self.until)
        due = self.save_due()
        if due or (self.save and time.monotonic() - self.last > self.every):
            self.save_now()
        if due:
            self.saved()

    def save_now(self) -> None:
        """Save every ticket in training."""
        for ticket, state in self.states() if self.save else ():
            assert self.save
            self.save(ticket, state)
        self.last = time.monotonic()
