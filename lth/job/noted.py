"""A callback that lets other processes know how far a training is, and how fast it goes."""

import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

from lth.engine import Callback, Forwarding
from lth.store import Store
from lth.ticket import Ticket

EVERY = 1.0  # seconds


class Noted(Forwarding):
    """Forward every call, and note the step of every ticket in the store, with the seconds and steps since it was first
    seen to move, because the first step includes set-up; of the same ticket not more often than every EVERY seconds.
    clock: in seconds.
    """

    def __init__(self, callback: Callback, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(callback)
        self.store, self.clock = store, clock
        # Ticket, held weakly since weights are large -> step and time to count from, and whether it has moved since.
        self.first: WeakKeyDictionary[Ticket, tuple[int, float, bool]] = WeakKeyDictionary()
        self.last: Ticket | None = None
        self.due = 0.0

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        now = self.clock()
        if ticket is not self.last or now >= self.due:
            began, since, moved = self.first.get(ticket, (step, now, False))
            if not moved:
                self.first[ticket] = step, now, step > began
                began, since = step, now
            self.store.note(ticket, step=step, steps=steps, taken=step - began, seconds=now - since)
            self.last, self.due = ticket, now + EVERY
        super().stepped(ticket, step, steps)
