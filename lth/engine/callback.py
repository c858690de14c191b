"""What the outside hears of a training, and how it stops one."""

from collections.abc import Mapping

from lth.ticket import Ticket


class Interrupted(Exception):
    """Raised by a listener to stop a training between two steps; what was reached is saved."""


class Listener:
    """Hears nothing and stops nothing; subclasses show progress. No listener changes what training gives."""

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        """After every optimizer step: `step` of `steps` are done. May raise Interrupted."""

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        """After every evaluation, with its row (the columns of `Trained.evaluations`)."""
