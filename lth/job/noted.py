"""A callback that lets other processes know how far a training is, and how fast it goes."""

import time
from collections.abc import Callable, Mapping
from weakref import WeakKeyDictionary

from lth.engine import Callback
from lth.store import Store
from lth.ticket import Ticket

EVERY = 1.0  # seconds


class Noted(Callback):
    """Forward every call, and note the step of every ticket in the store, with the seconds and steps since the first
    one that was seen; of the same ticket not more often than every EVERY seconds. clock: in seconds.
    """

    def __init__(self, callback: Callback, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self.callback, self.store, self.clock = callback, store, clock
        self.first: WeakKeyDictionary[Ticket, tuple[int, float]] = WeakKeyDictionary()  # weights are large
        self.last: Ticket | None = None
        self.due = 0.0

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        now = self.clock()
        if ticket is not self.last or now >= self.due:
            began, since = self.first.setdefault(ticket, (step, now))
            self.store.note(ticket, step=step, steps=steps, taken=step - began, seconds=now - since)
            self.last, self.due = ticket, now + EVERY
        self.callback.stepped(ticket, step, steps)

    def compared(self, ticket: Ticket, nets: int, done: int) -> None:
        self.callback.compared(ticket, nets, done)

    def scored(self, ticket: Ticket, level: int, done: int, rounds: int) -> None:
        self.callback.scored(ticket, level, done, rounds)

    def save_due(self) -> bool:
        return self.callback.save_due()

    def saved(self) -> None:
        self.callback.saved()

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        self.callback.evaluated(ticket, row)

    def failed(self, ticket: Ticket, error: ArithmeticError) -> None:
        self.callback.failed(ticket, error)
