"""Looks up what is stored of a job; trains nothing."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lth import UserError
from lth.job.levels import execute, stops
from lth.job.masks import densities, mask_key
from lth.job.rehearsal import rehearse, silent
from lth.job.row import row
from lth.job.values import Job
from lth.recipe import Recipe
from lth.store import Store
from lth.store import migrate as migration
from lth.store.digest import digest, short
from lth.ticket import Ticket, Trained

# (job, recipe) -> a function that trains tickets of the job by that recipe, as `lth.engine.train`.
Trains = Callable[[Job, Recipe], Callable[..., list[Trained]]]


def stored(job: Job, store: Store, trains: Trains | None = None) -> list[Trained]:
    """Everything of the job that is stored; trains nothing and waits for nothing. trains: gives a function such as
    `lth.job.trainer`; with it, weights that were not kept are trained again where they are asked for, and stored;
    without, what needs them counts as not stored. Raises UserError as `run` would.
    """
    rehearse(job)
    return _find(job, store, trains=trains)


def ended(job: Job, found: Sequence[Trained]) -> dict[int, int]:
    """Replicate -> level at which a stop rule ended pruning, as far as this job's stored tickets tell."""
    if job.start is not None:  # whose own run is what the rules look at
        return {}
    line = sorted((t for t in found if t.ticket.branch == "ticket"), key=lambda each: each.ticket.level)
    dense, levels = dict[int, Trained](), dict[int, int]()
    for trained in line:
        first = dense.setdefault(trained.ticket.replicate, trained)
        with contextlib.suppress(_Missing):
            if stops(job, first, trained):
                levels.setdefault(trained.ticket.replicate, trained.ticket.level)
    return levels


def wait(job: Job, store: Store) -> None:
    """Return once what the job needs next is being trained by no other process. Raises Busy; trains nothing."""
    if missing := _missing(job, store):
        store.wait_for(*missing)


def _missing(job: Job, store: Store) -> tuple[Recipe, list[Ticket]] | None:
    """The tickets, of one recipe, that the job would train next; None if all is stored, or can't be told."""
    store = Store(store.root, wait=_refuse, writes=False)

    def find(tickets: list[Ticket], recipe: Recipe) -> list[Trained]:
        found = [store.find(_refuse, recipe, ticket) for ticket in tickets]
        if missing := [ticket for ticket, each in zip(tickets, found, strict=True) if each is None]:
            raise _Next(recipe, missing)
        return [each for each in found if each is not None]

    with silent(), contextlib.suppress(Exception, SystemExit):  # of the user's functions; the job meets them itself
        try:
            execute(job, store, find, job.replicates)
        except _Next as reached:
            return reached.args
    return None


class _Next(Exception):
    """A recipe and tickets that are not stored."""

    args: tuple[Recipe, list[Ticket]]


def migrate(job: Job, store: Store) -> list[Trained]:
    """Everything of the job that version 0.1 stored, under its new names and in new records; trains nothing."""
    old, recipes = set[str](), dict[Ticket, Recipe]()

    def adopt(recipe: Recipe, ticket: Ticket) -> None:
        recipes[ticket] = recipe
        old.add(migration.old_digest(recipe, ticket))
        migration.adopt(store.root, recipe, ticket)
        _adopt_masks(job, store.root / "trained" / digest(recipe, ticket), ticket)

    found = _find(job, store, adopt)
    for replicate in {trained.ticket.replicate for trained in found}:
        record, own = job.record(store, replicate), [t for t in found if t.ticket.replicate == replicate]
        for trained in own:
            record.add(row(job, recipes[trained.ticket], trained))
        whole = sum(place.replicate == replicate for place in job.places())
        record.status("finished" if len(own) == whole else "interrupted")
    migration.forget(store.root, job.name, old)
    return found


def _adopt_masks(job: Job, entry: Path, ticket: Ticket) -> None:
    science = migration.old_science(job.criterion, job.distribution, job.structure)
    for level in job.ladder.children.get(ticket.level, ()) if ticket.branch == "ticket" else ():
        share = densities(job.ladder, level)
        migration.adopt_mask(entry, short([*science, share, ticket.level]), mask_key(job, level, ticket.level))


def _find(
    job: Job,
    store: Store,
    look: Callable[[Recipe, Ticket], None] | None = None,
    trains: Trains | None = None,
) -> list[Trained]:
    """Everything of the job that is stored; `look` is called before a ticket is looked up. trains: see `stored`."""
    whole, store = Store(store.root), Store(store.root, wait=_refuse, writes=False)
    done: list[Trained] = []

    def find(tickets: list[Ticket], recipe: Recipe) -> list[Trained]:
        if look:
            for ticket in tickets:
                look(recipe, ticket)
        found = source(tickets, recipe)
        done.extend(found)
        return found

    def source(tickets: list[Ticket], recipe: Recipe) -> list[Trained]:
        found = [t for ticket in tickets if (t := store.find(_refuse, recipe, ticket)) is not None]
        if trains is None:
            return found
        train = trains(job, recipe)
        return [whole.find(train, recipe, each.ticket) or each for each in found]

    for replicate in job.replicates:
        with contextlib.suppress(_Missing):
            execute(job, store, find, [replicate], source=source, without=(_Missing,))
    return done


class _Missing(UserError):
    """Weights that were not kept would have to be trained again."""


def _refuse(*unused: Any, **options: Any) -> Any:
    raise _Missing("weights that are needed were not kept")
