"""Trackers that may fail while the training goes on."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from lth.cli import failure
from lth.cli.tracking import Silent
from lth.ticket import Ticket, Trained

log = logging.getLogger("lth")


class Lenient(Silent):
    """A tracker whose errors end no training: the first one becomes a warning."""

    def __init__(self, tracker: Silent) -> None:
        self.tracker, self.failed = tracker, False

    def __enter__(self) -> "Lenient":
        self.tracker = self._try("__enter__") or self.tracker
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._try("__exit__", kind, error, at)
        if self.failed:
            self._try("forget")

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        """Log an evaluation of a ticket that is being trained."""
        self._try("evaluated", ticket, row)

    def trained(self, trained: Trained) -> None:
        """Log a trained ticket, fresh or from the store."""
        self._try("trained", trained)

    def figures(self, draw: Callable[[], Mapping[str, Path]]) -> None:
        """Log figures as images by name."""
        self._try("figures", draw)

    def _try(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self.tracker, method)(*arguments)
        except Exception as error:
            if not self.failed:
                log.warning("tracking: %s; the training goes on, its tracking is incomplete", failure.explain(error))
            self.failed = True
            return None
