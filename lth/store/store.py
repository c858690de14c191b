"""Storage as a decorator on the verb `train`: what is stored is read, what is not is trained and stored.

    root/trained/<digest>/                     a training (see `lth.store.entry`)
    root/experiments/<experiment>/<job>.json   the trainings of a job, and how it ended

No pickle is ever written or read.
"""

import logging
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from lth import UserError
from lth.recipe import Recipe
from lth.store.digest import describe, digest, digest_of
from lth.store.entry import (
    is_complete,
    make_ready,
    partial_file,
    read_compared,
    read_entry,
    read_pruned,
    read_weights,
    tidy,
    weights_file,
    write_compared,
    write_entry,
    write_pruned,
    write_weights,
)
from lth.store.file import Corrupt, Missing, Name, Newer
from lth.store.lease import Lease
from lth.store.locks import claimed
from lth.store.tensors import read_tensors, write_tensors
from lth.ticket import Mask, Ticket, Trained, Weights, masked

log = logging.getLogger("lth")
T = TypeVar("T")
Keep = Literal["all", "last", "none"]
Train = Callable[..., list[Trained]]
Finished = Callable[[Trained], None]
Facts = Callable[[Ticket], Mapping[str, Any]]


class Busy(Exception):
    """A training that is needed is being trained by another process, for longer than patience lasts. trained: trainings
    that the job did before.
    """

    trained = 0


class Store:
    """Results under `root`. keep: the W_T that stay on the disk, "all", "last" (of the levels) or "none"; an entry
    remembers it. `wait` is called again and again while another process holds what is needed. patience: seconds that a
    training of another process is waited for before Busy is raised; what was finished by then is stored. writes: False
    to look only, which changes nothing on the disk and waits for nothing.
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
        return partial(self._get, train, recipe, finished, facts)

    def note(self, ticket: Ticket, **facts: Any) -> None:
        """Let other processes know, in a while, how far the training of a ticket is."""
        if lease := self.leases.get(ticket):
            lease.note(**facts)

    def find(self, train: Train, recipe: Recipe, ticket: Ticket) -> Trained | None:
        """The stored training of this ticket, or None."""
        return self._read(self._entry(recipe, ticket), train, recipe, ticket)

    def wait_for(self, recipe: Recipe, tickets: Iterable[Ticket]) -> None:
        """Return once one of these tickets is being trained by no other process. Raises Busy."""
        with claimed([self._entry(recipe, ticket) for ticket in tickets], self._patient()):
            pass

    def mask(self, trained: Trained, key: str, make: Callable[[], Mask]) -> Mask:
        """The mask that `make` computes, once per trained ticket and key."""
        entry = self.root / "trained" / str(trained.facts["digest"])
        if (stored := self._intact(partial(read_pruned, entry, key, trained))) is not None:
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
        if (stored := self._intact(partial(read_compared, entry, key))) is not None:
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

    def _patient(self) -> Callable[[], None]:
        """`wait`, until patience ends; then it raises Busy."""
        begun = time.monotonic()

        def wait() -> None:
            self.wait()
            if time.monotonic() - begun >= self.patience:
                raise Busy("what it needs next is being trained by another process")

        return wait

    def _get(
        self, train: Train, recipe: Recipe, finished: Finished | None, facts: Facts, tickets: list[Ticket]
    ) -> list[Trained]:
        described = describe(recipe)  # once for all: it takes a millisecond
        missing = {ticket: self.root / "trained" / digest_of(described, ticket) for ticket in tickets}
        found: dict[Ticket, Trained] = {}

        def done(trained: Trained) -> None:
            known = trained.ticket in found
            found[trained.ticket] = trained
            entry = missing.pop(trained.ticket)
            if finished and not known:
                finished(trained)
            if not is_complete(entry):  # deleted before `finished` recorded it: see `lth.store.upkeep`
                missing[trained.ticket] = entry

        while True:
            for ticket, entry in [*missing.items()]:
                if (stored := self._read(entry, train, recipe, ticket)) is not None:
                    tidy(entry)
                    done(stored)
            if not missing:
                return [found[ticket] for ticket in tickets if ticket in found]
            first = {entry: ticket for ticket, entry in reversed([*missing.items()])}
            told = {entry: {"ticket": str(ticket), **facts(ticket)} for entry, ticket in first.items()}
            with claimed(missing.values(), self._patient(), told.__getitem__) as leases:
                own = {t: e for t, e in missing.items() if e in leases and first[e] is t}
                todo = {t: e for t, e in own.items() if self._read(e, train, recipe, t) is None}
                self._train(train, recipe, todo, leases, done)
            diverged = {entry for ticket, entry in todo.items() if ticket in missing}
            missing = {ticket: entry for ticket, entry in missing.items() if entry not in diverged}

    def _train(
        self,
        train: Train,
        recipe: Recipe,
        entries: Mapping[Ticket, Path],
        leases: Mapping[Path, Lease],
        done: Callable[[Trained], None],
    ) -> None:
        """Train these tickets in one call; each is written, and its lease released, as soon as it is finished."""
        reported, new = set[Ticket](), {entry for entry in entries.values() if not is_complete(entry)}

        def finished(trained: Trained) -> None:
            reported.add(trained.ticket)
            entry = entries[trained.ticket]
            read = partial(self._read, entry, train, recipe, trained.ticket)
            theirs = entry in new and is_complete(entry)  # of a process that took over while this one stood still
            stored = read() if theirs else None
            if stored is None:
                write_entry(entry, recipe, trained, self.keep)
                stored = read(stored=False)
            if stored is None:
                raise OSError(f"{entry} was written and can't be read back: check the disk")
            done(stored)  # before the lease is released: a record names the training by then, so that gc keeps it
            leases[entry].release()

        if not entries:
            return
        self.leases = {ticket: leases[entry] for ticket, entry in entries.items()}
        for ticket, entry in entries.items():
            make_ready(entry, recipe, ticket)
        names = {ticket: Name(entry.name, "partial") for ticket, entry in entries.items()}
        files = {ticket: partial_file(entry) for ticket, entry in entries.items()}
        states = {ticket: self._intact(partial(read_tensors, file, names[ticket])) for ticket, file in files.items()}
        trained = train(
            [*entries],
            states={ticket: state for ticket, state in states.items() if state is not None},
            save=lambda ticket, state: write_tensors(files[ticket], state, **names[ticket].metadata),
            finished=finished,
        )
        if unreported := [each.ticket for each in trained if each.ticket not in reported]:
            raise TypeError(f"train did not call `finished` for {unreported[0]}, so that it can't be stored")

    def _read(
        self, entry: Path, train: Train, recipe: Recipe, ticket: Ticket, *, stored: bool = True
    ) -> Trained | None:
        try:
            result, mask = read_entry(entry, recipe, ticket)
        except Corrupt as error:
            if not isinstance(error, Missing) or (entry / "result.json").exists():
                self._report(error, f"it is {'' if self.writes else 'to be '}trained again")
            return None
        facts = {**result["facts"], **{key: result[key] for key in ("digest", "environment", "keep")}, "stored": stored}
        at = partial(self._weights, entry, train, ticket, {} if recipe.moves_mask else ticket.mask)
        final = mask if recipe.moves_mask else ticket.mask
        return Trained(ticket, result["evaluations"], at, result["steps"], final, facts)

    def _intact(self, read: Callable[[], T]) -> T | None:
        """Content that is read; None if it is absent or, after a warning, corrupt. Raises UserError if it is newer."""
        try:
            return read()
        except Missing:
            return None
        except Corrupt as error:
            self._report(error, "it is computed again")
            return None

    def _report(self, error: Corrupt, remedy: str) -> None:
        """Warn of a file, once. One of a newer version is an error, unless it is only looked at."""
        if isinstance(error, Newer) and self.writes:
            raise UserError(str(error), code=1) from error
        message = str(error) if isinstance(error, Newer) else f"{error}; {remedy}"
        if message not in self.reported:
            self.reported.add(message)
            log.warning("%s", message)

    def _weights(self, entry: Path, train: Train, ticket: Ticket, mask: Mask, step: int) -> Weights:
        """W_step, read from its file, or trained up to there again if it was not kept. mask: of that step."""
        if step == ticket.step:
            return masked(ticket.weights, ticket.mask)
        read = partial(read_weights, entry, step, ticket, mask)
        if (kept := self._intact(read)) is not None:
            return kept
        if not self.writes:
            return train([ticket], until=step)[0].at(step)
        with claimed([entry], self._patient()):
            if (kept := self._intact(read)) is not None:
                return kept
            log.info("the weights of step %d were not kept: %s is trained again up to there", step, ticket)
            trained = train([ticket], until=step)
            if not trained:
                raise OSError(f"{ticket} diverged when it was trained again up to step {step}; here it is not the same")
            for each in {step, *trained[0].facts.get("kept", ())}:
                write_weights(entry, each, trained[0].at(each))
            return trained[0].at(step)

    def _entry(self, recipe: Recipe, ticket: Ticket) -> Path:
        return self.root / "trained" / digest(recipe, ticket)
