"""Storage as a decorator on the verb `train`: what is stored is read, what is not is trained and stored.

    root/trained/<digest>/                     a training (see `lth.store.entry`)
    root/experiments/<experiment>/<job>.json   the trainings of a job, and how it ended

No pickle is ever written or read.
"""

import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from lth import UserError
from lth.recipe import Recipe
from lth.store.digest import digest
from lth.store.entry import (
    read_compared,
    read_pruned,
    weights_file,
    write_compared,
    write_pruned,
)
from lth.store.file import Corrupt, Missing, Newer
from lth.store.lease import Lease
from lth.store.locks import claimed, until
from lth.store.trainings import Facts, Finished, Train, Trainings
from lth.ticket import Mask, Ticket, Trained

log = logging.getLogger("lth")
T = TypeVar("T")
Keep = Literal["all", "last", "none"]


class Busy(Exception):
    """A training that is needed is being trained by another process, for longer than patience lasts. trained: trainings
    that the job did before.
    """

    trained = 0


class Store:
    """Results under `root`: trainings, masks pruned from them, comparisons. keep: the W_T that stay on the disk, "all",
    "last" (of the levels) or "none"; an entry remembers it. `wait` is called again and again while another process
    holds what is needed. patience: seconds that a training of another process is waited for before Busy is raised; what
    was finished by then is stored. writes: False to look only, which changes nothing on the disk and waits for nothing.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        keep: Keep = "all",
        wait: Callable[[], None] = lambda: None,
        patience: float = math.inf,
        writes: bool = True,
    ) -> None:
        self.root, self.keep, self.wait, self.patience, self.writes = Path(root), keep, wait, patience, writes
        self.reported = set[str]()
        self.leases: dict[Ticket, Lease] = {}

    def patient(self) -> Callable[[], None]:
        """`wait`, until patience ends; then it raises Busy."""
        return until(self.patience, Busy("what it needs next is being trained by another process"), self.wait)

    def intact(self, read: Callable[[], T]) -> T | None:
        """Content that is read; None if it is absent or, after a warning, corrupt. Raises UserError if it is newer."""
        try:
            return read()
        except Missing:
            return None
        except Corrupt as error:
            self.report(error, "it is computed again")
            return None

    def report(self, error: Corrupt, remedy: str) -> None:
        """Warn of a file, once. One of a newer version is an error, unless it is only looked at."""
        if isinstance(error, Newer) and self.writes:
            raise UserError(str(error), code=1) from error
        message = str(error) if isinstance(error, Newer) else f"{error}; {remedy}"
        if message not in self.reported:
            self.reported.add(message)
            log.warning("%s", message)

    def cached(
        self, train: Train, recipe: Recipe, finished: Finished | None = None, facts: Facts = lambda _: {}
    ) -> Callable[[list[Ticket]], list[Trained]]:
        """Decorate `train` for lists of tickets: read what is stored, store what is not, resume what was interrupted.

        train: `lth.engine.train` with the recipe bound, or a function that takes its keywords states, save, finished
        and until, and calls `finished` with every ticket that it has trained. Trainings that another process is at are
        waited for; raises Busy if that takes longer than `patience`. `finished` is called with each trained ticket as
        soon as it is there. facts: what other processes can read of a ticket that is being trained (see
        `lth.store.lease`), beside its name.
        """
        return partial(Trainings(self, train, recipe).get, finished, facts)

    def note(self, ticket: Ticket, **facts: Any) -> None:
        """Note how far the training of a ticket is, for other processes, which see it within seconds."""
        if lease := self.leases.get(ticket):
            lease.note(**facts)

    def find(self, train: Train, recipe: Recipe, ticket: Ticket) -> Trained | None:
        """The stored training of this ticket, or None."""
        return Trainings(self, train, recipe).read(self._entry(recipe, ticket), ticket)

    def wait_for(self, recipe: Recipe, tickets: Iterable[Ticket]) -> None:
        """Return once one of these tickets is being trained by no other process. Raises Busy."""
        with claimed([self._entry(recipe, ticket) for ticket in tickets], self.patient()):
            pass

    def mask(self, trained: Trained, key: str, make: Callable[[], Mask]) -> Mask:
        """The mask that `make` computes, once per trained ticket and key."""
        entry = self.root / "trained" / str(trained.facts["digest"])
        if (stored := self.intact(partial(read_pruned, entry, key, trained))) is not None:
            return stored
        mask = make()
        if self.writes and entry.is_dir():
            write_pruned(entry, key, mask)
        return mask

    def compared(
        self, trained: Sequence[Trained], key: str, make: Callable[[], Mapping[str, Mapping[str, Any]]]
    ) -> Mapping[str, Mapping[str, Any]]:
        """The measures of these trainings beside each other that `make` computes, digest -> columns, once per key."""
        entry = self.root / "trained" / str(trained[0].facts["digest"])
        if (stored := self.intact(partial(read_compared, entry, key))) is not None:
            return stored
        columns = make()
        if self.writes and entry.is_dir():
            write_compared(entry, key, columns)
        return columns

    def forget_weights(self, trained: Iterable[Trained], last: Collection[str]) -> None:
        """Drop the W_T that are not to be kept, of those that were stored by jobs that don't keep all. `last` are the
        digests of the last level.
        """
        for each in trained if self.keep != "all" else ():
            name = str(each.facts["digest"])
            temporary = each.facts["keep"] != "all"
            if temporary and (self.keep == "none" or name not in last):
                weights_file(self.root / "trained" / name, each.steps).unlink(missing_ok=True)

    def _entry(self, recipe: Recipe, ticket: Ticket) -> Path:
        return self.root / "trained" / digest(recipe, ticket)
