"""Callbacks that observe a training and may interrupt it."""

from collections.abc import Mapping

from lth.ticket import Ticket


class Interrupted(Exception):
    """Raised by a callback to stop a training between two steps; the state reached is saved."""


class Callback:
    """No-op base class; subclass it to report progress. Callbacks never affect the result."""

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        """Called after every optimizer step, or after a few that are taken at once, and between the batches of an
        evaluation: `step` of `steps` are done. May raise Interrupted.
        """

    def save_due(self) -> bool:
        """True if the states reached are to be saved now; asked after every call of `stepped`."""
        return False

    def saved(self) -> None:
        """Called once the states that were due are saved. What it raises ends the training."""

    def compared(self, ticket: Ticket, nets: int, done: int) -> None:
        """Called between the parts of a comparison of `nets` trained nets, one of them from this ticket: `done` parts
        are done; their total is not known. May raise Interrupted.
        """

    def scored(self, ticket: Ticket, level: int, done: int, rounds: int) -> None:
        """Called before each of several rounds in which the weights of a ticket are scored on the way to a level:
        `done` of `rounds` are done. May raise Interrupted.
        """

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        """Called after every evaluation, with its row (the columns of `Trained.evaluations`)."""

    def failed(self, ticket: Ticket, error: ArithmeticError) -> None:
        """Called when the loss of a ticket is not finite; raises it. Override it to let the other tickets go on."""
        raise error


class Forwarding(Callback):
    """Hands every call on to another callback; base class of those that add something to some calls."""

    def __init__(self, callback: Callback) -> None:
        self.callback = callback

    def told(self, ticket: Ticket) -> Ticket:
        """The ticket as the other callback gets it."""
        return ticket

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        self.callback.stepped(self.told(ticket), step, steps)

    def save_due(self) -> bool:
        return self.callback.save_due()

    def saved(self) -> None:
        self.callback.saved()

    def compared(self, ticket: Ticket, nets: int, done: int) -> None:
        self.callback.compared(self.told(ticket), nets, done)

    def scored(self, ticket: Ticket, level: int, done: int, rounds: int) -> None:
        self.callback.scored(self.told(ticket), level, done, rounds)

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        self.callback.evaluated(self.told(ticket), row)

    def failed(self, ticket: Ticket, error: ArithmeticError) -> None:
        self.callback.failed(self.told(ticket), error)
