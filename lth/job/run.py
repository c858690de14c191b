"""Executes a job: trains the dense nets of all replicates, their tickets and branches, level by level."""

import contextlib
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from lth import engine, quantization
from lth.engine import Callback
from lth.imp import dense, imp, prune
from lth.job.values import Job
from lth.recipe import Recipe
from lth.schedule import KINDS
from lth.store import Record, Store
from lth.store import migrate as migration
from lth.store.digest import describe, short
from lth.store.table import origin
from lth.ticket import Mask, Ticket, Trained

log = logging.getLogger("lth")
Lists = Callable[[list[Ticket], Recipe], list[Trained]]


def run(job: Job, store: Store, callback: Callback, finished: Callable[[Trained], None]) -> list[Trained]:
    """Train everything the job asks for; what is stored is read. Each trained ticket is recorded, then given to
    `finished`, as soon as it is there.
    """
    records = {replicate: job.record(store, replicate) for replicate in job.replicates}
    done: list[Trained] = []

    def add(recipe: Recipe, trained: Trained) -> None:
        records[trained.ticket.replicate].add(_row(job, recipe, trained))
        finished(trained)
        done.append(trained)

    def train(tickets: list[Ticket], recipe: Recipe) -> list[Trained]:
        return store.cached(_train(job, recipe, callback), recipe, partial(add, recipe))(tickets)

    _execute(job, store, train, job.replicates)
    store.forget_weights(done, _last(job, done))
    return done


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
        records[trained.ticket.replicate].add(_row(job, recipes[trained.ticket], trained))
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
            _execute(job, store, find, [replicate])
    return done


def status(job: Job, store: Store, status: str, error: str = "") -> None:
    """Write the status of the job into the records of all its replicates; a change of the user's code is reported."""
    for replicate in job.replicates:
        record = job.record(store, replicate)
        if status == "running":
            _report_changes(record)
        record.status(status, error)


class _Missing(Exception):
    """Weights that were not kept would have to be trained again."""


def _refuse(*unused: Any, **options: Any) -> Any:
    raise _Missing


def _execute(job: Job, store: Store, train: Lists, replicates: Iterable[int]) -> None:
    def level(tickets: list[Ticket]) -> list[Trained]:
        trained = train(tickets, job.recipe)
        for recipe, branched in _branched(job, trained):
            train(branched, recipe)
        return trained

    start = [dense(job.recipe, job.init, replicate) for replicate in replicates]
    one = partial(
        prune,
        recipe=job.recipe,
        ladder=job.ladder,
        criterion=job.criterion,
        distribution=job.distribution,
        structure=job.structure,
        rewind=job.rewind,
        masks=_masks(job, store),
    )
    for _ in imp(start, level, one, job.ladder, _Stop(job)):
        pass


def _branched(job: Job, trained: list[Trained]) -> list[tuple[Recipe, list[Ticket]]]:
    """All tickets that branch off these, of every replicate and draw, in one list for each recipe."""
    lists: dict[str, tuple[Recipe, list[Ticket]]] = {}
    for name, branch in job.branches.items():
        for each in trained:
            if branch.at(each.ticket.level):
                for recipe, ticket in branch.tickets(name, each, job):
                    lists.setdefault(short(describe(recipe)), (recipe, []))[1].append(ticket)
    return [*lists.values()]


def _row(job: Job, recipe: Recipe, trained: Trained) -> dict[str, Any]:
    """The row of a trained ticket in its record."""
    row = {**origin(trained), "digest": trained.facts["digest"]}
    if trained.ticket.bits is None:
        return row
    # At the steps of the line beside it, so that a table can put them together.
    return {**row, "bytes": quantization.size(recipe.net(), trained.mask), "steps": job.recipe.steps}


def _last(job: Job, done: list[Trained]) -> set[str]:
    """Digests of the trainings that nothing was pruned from."""
    reached = {(t.ticket.replicate, t.ticket.level) for t in done}
    return {
        t.facts["digest"]
        for t in done
        if not reached & {(t.ticket.replicate, level) for level in job.ladder.children.get(t.ticket.level, ())}
    }


class _Stop:
    """True where a stop rule of the job ends pruning; logs the rule."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.dense: dict[int, Trained] = {}

    def __call__(self, trained: Trained) -> bool:
        first = self.dense.setdefault(trained.ticket.replicate, trained)
        rules = [name for name, rule in self.job.stops.items() if rule(first, trained)]
        if rules:
            log.info("%s: pruning stops here (stop=%s)", trained.ticket, ", ".join(rules))
        return bool(rules)


def _masks(job: Job, store: Store) -> Callable[[Trained, int, Callable[[], Mask]], Mask]:
    """Masks from the store, each computed once."""
    science = [describe(function) for function in (job.criterion, job.distribution, job.structure)]
    ladder = job.ladder

    def masks(trained: Trained, level: int, make: Callable[[], Mask]) -> Mask:
        density = {kind: share for kind in KINDS if (share := ladder.density(level, kind)) < 1}
        return store.mask(trained, short([science, density, trained.ticket.level]), make)

    return masks


def _train(job: Job, recipe: Recipe, callback: Callback) -> Callable[..., list[Trained]]:
    step = getattr(job.rewind, "keywords", {}).get("step", 0)
    keep = {step} if step > 0 else set()
    return partial(engine.train, recipe=recipe, keep=keep, callback=callback, device=job.device, meter=job.meter)


def _report_changes(record: Record) -> None:
    """Name the user's files that changed since the same configuration was last run."""
    for file in record.changed_files():
        log.info("%s changed since: trained again", file)
