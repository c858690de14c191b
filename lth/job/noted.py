"""A callback that lets other processes know how far a training is, and how fast it goes."""

import time
from collections.abc import Callable, Mapping
from weakref import WeakKeyDictionary

from lth.engine import Callback
from lth.store import Store
from lth.ticket import Ticket


class Noted(Callback):
    """Forward every call, and note the step of every ticket in the store, with the seconds and steps since the first
    one that was seen. clock: in seconds.
    """

    def __init__(self, callback: Callback, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self.callback, self.store, self.clock = callback, store, clock
        self.first: WeakKeyDictionary[Ticket, tuple[int, float]] = WeakKeyDictionary()  # weights are large

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        now = self.clock()
        began, since = self.first.setdefault(ticket, (step, now))
        self.store.note(ticket, step=step, steps=steps, taken=step - began, seconds=now - since)
        self.callback.stepped(ticket, step, steps)

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        self.callback.evaluated(ticket, row)

    def failed(self, ticket: Ticket, error: ArithmeticError) -> None:
        self.callback.failed(ticket, error)
