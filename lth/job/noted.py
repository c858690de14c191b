"""A callback that lets other processes know how far a training is."""

from collections.abc import Mapping

from lth.engine import Callback
from lth.store import Store
from lth.ticket import Ticket


class Noted(Callback):
    """Forward every call, and note the step of every ticket in the store."""

    def __init__(self, callback: Callback, store: Store) -> None:
        self.callback, self.store = callback, store

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        self.store.note(ticket, step=step, steps=steps)
        self.callback.stepped(ticket, step, steps)

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        self.callback.evaluated(ticket, row)

    def failed(self, ticket: Ticket, error: ArithmeticError) -> None:
        self.callback.failed(ticket, error)
