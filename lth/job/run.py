"""Runs a job: trains what is missing, records every ticket as it finishes, writes the status."""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from lth import engine, quantization
from lth.engine import Callback
from lth.engine.granted import check_granted
from lth.job import retraining
from lth.job.compared import compared
from lth.job.idle import idle, of_data, of_outputs
from lth.job.levels import execute
from lth.job.noted import Noted
from lth.job.rehearsal import rehearse
from lth.job.row import row
from lth.job.source import Renamed, Source, origin, origin_places
from lth.job.values import Job
from lth.recipe import Recipe
from lth.store import Record, Store
from lth.ticket import Ticket, Trained

log = logging.getLogger("lth")


def run(
    job: Job,
    store: Store,
    callback: Callback,
    finished: Callable[[Trained], None],
    steps: Collection[int] = (),
    sourced: Callable[[Trained], None] = lambda _: None,
) -> list[Trained]:
    """Train everything the job asks for; what is stored is read. Each trained ticket is recorded, then given to
    `finished`, as soon as it is there. steps: those whose weights a dense net keeps in passing, for other jobs that
    rewind to them. sourced: called with each training of the run that the job starts from, which is recorded there.
    """
    check_granted(job.device)
    if job.device not in ("auto", "cpu"):
        from lth.engine.trainer import check_device  # with Lightning, which stored results do without

        check_device(job.device)  # before what is stored is read, and shown
    engine.check_devices(job.recipe, job.devices, job.device, job.width)
    rehearse(job)
    _say_left_out(job)
    records = {replicate: job.record(store, replicate) for replicate in job.replicates}
    done: list[Trained] = []
    noted = Noted(callback, store)

    def facts(ticket: Ticket) -> dict[str, str]:
        return {"experiment": job.name, "job": records[ticket.replicate].job}

    def add(recipe: Recipe, trained: Trained) -> None:
        records[trained.ticket.replicate].add(row(job, recipe, trained))
        finished(trained)
        done.append(trained)

    def train(tickets: list[Ticket], recipe: Recipe) -> list[Trained]:
        trained = store.cached(trainer(job, recipe, noted, steps), recipe, partial(add, recipe), facts)(tickets)
        for each, columns in compared(job, recipe, store, trained, done, callback):
            records[each.ticket.replicate].add({**row(job, recipe, each), **columns})
        return trained

    _name_left_in_float(job)
    width = engine.widest(job.recipe, job.device, job.width) if job.devices == 1 else 1
    with _source(job, store, callback, steps, sourced) as source:
        execute(job, store, train, job.replicates, width, source, noted.scored)
    store.forget_weights(done, _last(job, done))
    return done


def _say_left_out(job: Job) -> None:
    """Name the layers that are not pruned, the settings that do nothing, and what keeps a net from learning."""
    for name, reason in job.recipe.layers.left.items():
        log.info("%s is not pruned: %s", name, reason)
    for sentence in (*idle(job), *of_data(job.recipe), *of_outputs(job.recipe)):
        log.warning("%s", sentence)


@contextmanager
def _source(
    job: Job, store: Store, callback: Callback, steps: Collection[int], sourced: Callable[[Trained], None]
) -> Iterator[Callable[[list[Ticket], Recipe], list[Trained]] | None]:
    """The function that trains tickets of the run that a job starts from; the status of that run is written in the
    end, whatever ends it.
    """
    if (run := origin(job)) is None:
        yield None
        return
    source = Source(run, store, {place.level for place in origin_places(job)}, sourced)
    train = trainer(run, run.recipe, Noted(Renamed(callback), store), steps)
    try:
        yield partial(source.train, train)
    except BaseException:
        source.end("interrupted")
        raise
    source.end("finished")
    store.forget_weights(source.done, _last(run, source.done))


def _name_left_in_float(job: Job) -> None:
    schemes = [branch.scheme(bits) for branch in job.branches.values() for bits in branch.bits or ()]
    left = [quantization.left_in_float(job.recipe, scheme) for scheme in schemes]
    for name, why in dict(pair for each in left for pair in each.items()).items():
        where = "where the net is quantized" if all(name in each for each in left) else "in some of its quantizations"
        log.info("%s stays in float %s: %s", name, where, why)


def status(job: Job, store: Store, status: str, error: str = "") -> None:
    """Write the status of the job into the records of all its replicates; a change of the user's code is reported."""
    records = [job.record(store, replicate) for replicate in job.replicates]
    if status == "running":
        _report_changes(records)
    for record in records:
        record.status(status, error)


def _last(job: Job, done: list[Trained]) -> set[str]:
    """Digests of the trainings that nothing was pruned from."""
    reached, children = {(t.ticket.replicate, t.ticket.level) for t in done}, job.ladder.children
    return {
        t.facts["digest"]
        for t in done
        if not reached & {(t.ticket.replicate, level) for level in children.get(t.ticket.level, ())}
    }


def trainer(job: Job, recipe: Recipe, callback: Callback, steps: Collection[int] = ()) -> Callable[..., list[Trained]]:
    """`lth.engine.train` for tickets of a job. steps: as for `run`."""
    own, others = {retraining.step(job.rewind)} - {0}, {each for each in steps if 0 < each < recipe.steps}
    names = ("device", "meter", "width", "devices", "workers", "save_every")
    options: Any = {"callback": callback, **{name: getattr(job, name) for name in names}}

    def train(tickets: list[Ticket], **given: Any) -> list[Trained]:
        keep = own | _looked_at(job, tickets) | (others if _are_dense(tickets) else set())
        return engine.train(tickets, recipe=recipe, keep=keep, **options, **given)

    return train


def _looked_at(job: Job, tickets: list[Ticket]) -> set[int]:
    """Steps of these trainings whose weights branches of the levels that are pruned from them look at."""
    children = job.ladder.children
    below = {child for t in tickets if t.branch == "ticket" for child in children.get(t.level, ())}
    return {
        step
        for branch in job.branches.values()
        if any(branch.at(level) for level in below)
        for step in branch.epochs(job.recipe)
    }


def _are_dense(tickets: list[Ticket]) -> bool:
    return all((ticket.branch, ticket.level) == ("ticket", 0) for ticket in tickets)


def _report_changes(records: list[Record]) -> None:
    """Name the user's functions that changed since the same configuration was last run."""
    for change in sorted({change for record in records for change in record.changes()}):
        log.info("%s: its older results are stale, and in no figure", change)
