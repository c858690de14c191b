"""Looks up what is stored of a job; trains nothing."""

import contextlib
from collections.abc import Callable
from typing import Any

from lth.job.levels import execute
from lth.job.row import row
from lth.job.values import Job
from lth.recipe import Recipe
from lth.store import Store
from lth.store import migrate as migration
from lth.ticket import Ticket, Trained


def stored(job: Job, store: Store) -> list[Trained]:
    """Everything of the job that is stored; trains nothing and waits for nothing."""
    return _find(job, store)


def migrate(job: Job, store: Store) -> list[Trained]:
    """Everything of the job that version 0.1 stored, under its new names and in new records; trains nothing."""
    moved: set[str | None] = set()
    records = {replicate: job.record(store, replicate) for replicate in job.replicates}
    recipes: dict[Ticket, Recipe] = {}

    def adopt(recipe: Recipe, ticket: Ticket) -> None:
        recipes[ticket] = recipe
        moved.add(migration.adopt(store.root, recipe, ticket))

    found = _find(job, store, adopt)
    for trained in found:
        records[trained.ticket.replicate].add(row(job, recipes[trained.ticket], trained))
    migration.forget(store.root, job.name, {digest for digest in moved if digest})
    return found


def _find(job: Job, store: Store, look: Callable[[Recipe, Ticket], None] | None = None) -> list[Trained]:
    """Everything of the job that is stored; `look` is called before a ticket is looked up."""
    store = Store(store.root, wait=_refuse)
    done: list[Trained] = []

    def find(tickets: list[Ticket], recipe: Recipe) -> list[Trained]:
        if look:
            for ticket in tickets:
                look(recipe, ticket)
        found = [t for ticket in tickets if (t := store.find(_refuse, recipe, ticket)) is not None]
        done.extend(found)
        return found

    for replicate in job.replicates:
        with contextlib.suppress(_Missing):
            execute(job, store, find, [replicate])
    return done


class _Missing(Exception):
    """Weights that were not kept would have to be trained again."""


def _refuse(*unused: Any, **options: Any) -> Any:
    raise _Missing
