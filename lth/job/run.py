"""From a job's dense net to all that it trains."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from lth import engine, quantization
from lth.engine import Callback
from lth.imp import child, dense, imp, pruned_mask
from lth.job.values import Branch, Job
from lth.recipe import Recipe, describe, short
from lth.store import Store
from lth.store.table import origin
from lth.ticket import Ticket, Trained

log = logging.getLogger("lth")


def run(job: Job, store: Store, callback: Callback, heard: Callable[[Trained], None]) -> Iterator[Trained]:
    """Train what the job asks for; what is stored is read. Every trained ticket is recorded, then given to `heard`."""
    record = job.record(store)

    def train(tickets: list[Ticket], recipe: Recipe = job.recipe, **extra: Any) -> list[Trained]:
        cached, done = store.cached(_train(job, recipe, callback), recipe), []
        for ticket in tickets:
            done += cached([ticket])
            record.add({**origin(ticket), **extra, "digest": done[-1].facts["digest"]})
            heard(done[-1])
        return done

    done = []
    for trained in _walk(job, store, train):
        yield trained
        done.append(trained)
    reached = {t.ticket.level for t in done}
    last = {t.facts["digest"] for t in done if not reached & {*job.ladder.children.get(t.ticket.level, ())}}
    store.forget_weights(done, last)


def stored(job: Job, store: Store) -> list[Trained]:
    """What of the job is stored already; trains nothing and waits for nothing."""
    store = Store(store.root, wait=_refuse)

    def find(tickets: list[Ticket], recipe: Recipe = job.recipe, **extra: Any) -> list[Trained]:
        found = (store.find(_refuse, recipe, ticket) for ticket in tickets)
        return [trained for trained in found if trained is not None]

    done: list[Trained] = []
    with contextlib.suppress(_Missing):
        for trained in _walk(job, store, find):
            done.append(trained)
    return done


class _Missing(Exception):
    """Weights that were not kept would have to be trained anew."""


def _refuse(*unused: Any, **options: Any) -> Any:
    raise _Missing


def _walk(job: Job, store: Store, train: Callable[..., list[Trained]]) -> Iterator[Trained]:
    start = dense(job.recipe, job.init, job.replicate)
    for trained in imp([start], train, partial(_prune, job, store), job.ladder, _Stop(job)):
        yield trained
        for branch in job.branches.values():
            if branch.at(trained.ticket.level):
                yield from train([_branched(job, branch, trained.ticket, draw) for draw in range(branch.draws)])
        for name, quantized in job.quantizations.items():
            for bits in quantized.bits if quantized.at(trained.ticket.level) else ():
                recipe, ticket = quantized.transform(trained, recipe=job.recipe, bits=bits)
                named = replace(ticket, branch=f"{name}_{bits}")
                # As number, and at the steps of the line that it stands beside, so that a table can put them together.
                number = 16 if isinstance(bits, str) else bits
                extra = {
                    "bits": number,
                    "bytes": quantization.size(recipe.net(), ticket.mask),
                    "steps": job.recipe.steps,
                }
                yield from train([named], recipe, **extra)


class _Stop:
    """Whether a rule of the job stops pruning here; says which one."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.dense: Trained | None = None

    def __call__(self, trained: Trained) -> bool:
        if self.dense is None:
            self.dense = trained
        rules = [name for name, rule in self.job.stops.items() if rule(self.dense, trained)]
        if rules:
            log.info("%s: pruning stops here (stop=%s)", trained.ticket, ", ".join(rules))
        return bool(rules)


def _branched(job: Job, branch: Branch, ticket: Ticket, draw: int) -> Ticket:
    return branch.transform(ticket, draw=draw, recipe=job.recipe, init=job.init)


def _prune(job: Job, store: Store, trained: Trained, level: int) -> Ticket:
    """`lth.imp.prune`, the mask made once and stored."""
    rule = partial(pruned_mask, recipe=job.recipe, ladder=job.ladder, criterion=job.criterion, scope=job.scope)
    density = {kind: job.ladder.density(level, kind) for kind, rate in job.ladder.rate.items() if rate}
    key = short([describe(job.criterion), describe(job.scope), density, trained.ticket.level])
    mask = store.mask(trained, key, lambda: rule(trained, level))
    return child(trained, level, mask, job.rewind)


def _train(job: Job, recipe: Recipe, callback: Callback) -> Callable[..., list[Trained]]:
    step = getattr(job.rewind, "keywords", {}).get("step", 0)
    keep = {step} if step > 0 else set()
    return partial(engine.train, recipe=recipe, keep=keep, callback=callback, device=job.device, meter=job.meter)
