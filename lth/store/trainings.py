"""Trainings of one recipe in a store: what is stored is read, what is not is trained and stored."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth.recipe import Recipe
from lth.store.digest import describe, digest_of
from lth.store.entry import (
    make_ready,
    partial_file,
    read_entry,
    read_weights,
    write_entry,
    write_weights,
)
from lth.store.file import Corrupt, Missing, Name
from lth.store.lease import Lease
from lth.store.locks import claimed
from lth.store.remains import tidy
from lth.store.result import is_complete
from lth.store.tensors import read_tensors, write_tensors
from lth.ticket import Mask, Ticket, Trained, Weights, masked

if TYPE_CHECKING:
    from lth.store.store import Store

log = logging.getLogger("lth")
Train = Callable[..., list[Trained]]
Finished = Callable[[Trained], None]
Facts = Callable[[Ticket], Mapping[str, Any]]


class Trainings:
    """Trainings by `train` with this recipe, in a store."""

    def __init__(self, store: "Store", train: Train, recipe: Recipe) -> None:
        self.store, self.train, self.recipe = store, train, recipe

    def get(self, finished: Finished | None, facts: Facts, tickets: list[Ticket]) -> list[Trained]:
        """Read what is stored, train and store what is not, resume what was interrupted (see `Store.cached`)."""
        described = describe(self.recipe)  # once for all: it takes a millisecond
        missing = {ticket: self.store.root / "trained" / digest_of(described, ticket) for ticket in tickets}
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
                if (stored := self.read(entry, ticket)) is not None:
                    tidy(entry)
                    done(stored)
            if not missing:
                return [found[ticket] for ticket in tickets if ticket in found]
            first = {entry: ticket for ticket, entry in reversed([*missing.items()])}
            told = {entry: {"ticket": str(ticket), **facts(ticket)} for entry, ticket in first.items()}
            with claimed(missing.values(), self.store.patient(), told.__getitem__) as leases:
                own = {t: e for t, e in missing.items() if e in leases and first[e] is t}
                todo = {t: e for t, e in own.items() if self.read(e, t) is None}
                self._train(todo, leases, done)
            diverged = {entry for ticket, entry in todo.items() if ticket in missing}
            missing = {ticket: entry for ticket, entry in missing.items() if entry not in diverged}

    def _train(
        self, entries: Mapping[Ticket, Path], leases: Mapping[Path, Lease], done: Callable[[Trained], None]
    ) -> None:
        """Train these tickets in one call; each is written, and its lease released, as soon as it is finished."""
        if not entries:
            return
        reported, new = set[Ticket](), {entry for entry in entries.values() if not is_complete(entry)}

        def finished(trained: Trained) -> None:
            reported.add(trained.ticket)
            entry = entries[trained.ticket]
            read = partial(self.read, entry, trained.ticket)
            theirs = entry in new and is_complete(entry)  # of a process that took over while this one stood still
            stored = read() if theirs else None
            if stored is None:
                write_entry(entry, self.recipe, trained, self.store.keep)
                stored = read(stored=False)
            if stored is None:
                raise OSError(f"{entry} was written and can't be read back: check the disk")
            done(stored)  # before the lease is released: a record names the training by then, so that gc keeps it
            leases[entry].release()

        self.store.leases = {ticket: leases[entry] for ticket, entry in entries.items()}
        for ticket, entry in entries.items():
            make_ready(entry, self.recipe, ticket)
        names = {ticket: Name(entry.name, "partial") for ticket, entry in entries.items()}
        files = {ticket: partial_file(entry) for ticket, entry in entries.items()}
        states = {
            ticket: self.store.intact(partial(read_tensors, file, names[ticket])) for ticket, file in files.items()
        }
        for ticket, state in states.items():
            if state is not None:
                log.info("%s continues from step %d", ticket, int(state["step"]))
        trained = self.train(
            [*entries],
            states={ticket: state for ticket, state in states.items() if state is not None},
            save=lambda ticket, state: write_tensors(files[ticket], state, **names[ticket].metadata),
            finished=finished,
        )
        if unreported := [each.ticket for each in trained if each.ticket not in reported]:
            raise TypeError(f"train did not call `finished` for {unreported[0]}, so that it can't be stored")

    def read(self, entry: Path, ticket: Ticket, *, stored: bool = True) -> Trained | None:
        """The training of an entry; None if it is not there or, after a warning, corrupt."""
        try:
            result, mask = read_entry(entry, self.recipe, ticket)
        except Corrupt as error:
            if not isinstance(error, Missing) or is_complete(entry):
                self.store.report(error, f"it is {'' if self.store.writes else 'to be '}trained again")
            return None
        described = {key: result[key] for key in ("digest", "environment", "keep")}
        facts = {**result["facts"], **described, "stored": stored}
        at = partial(self._weights, entry, ticket, {} if self.recipe.moves_mask else ticket.mask)
        final = mask if self.recipe.moves_mask else ticket.mask
        return Trained(ticket, result["evaluations"], at, result["steps"], final, facts)

    def _weights(self, entry: Path, ticket: Ticket, mask: Mask, step: int) -> Weights:
        """W_step, read from its file, or trained up to there again if it was not kept. mask: of that step."""
        if step == ticket.step:
            return masked(ticket.weights, ticket.mask)
        read = partial(read_weights, entry, step, ticket, mask)
        if (kept := self.store.intact(read)) is not None:
            return kept
        if not self.store.writes:
            return self.train([ticket], until=step)[0].at(step)
        file, name = partial_file(entry, step), Name(entry.name, "partial", str(step))
        with claimed([entry], self.store.patient()):
            if (kept := self.store.intact(read)) is not None:
                file.unlink(missing_ok=True)
                return kept
            log.info("the weights of step %d are not stored: %s is trained again up to there", step, ticket)
            state = self.store.intact(partial(read_tensors, file, name))
            trained = self.train(
                [ticket],
                until=step,
                states={} if state is None else {ticket: state},
                save=lambda _, state: write_tensors(file, state, **name.metadata),
            )
            if not trained:
                raise OSError(f"{ticket} diverged when it was trained again up to step {step}; here it is not the same")
            for each in {step, *trained[0].facts.get("kept", ())}:
                write_weights(entry, each, trained[0].at(each))
            file.unlink(missing_ok=True)
            return trained[0].at(step)
