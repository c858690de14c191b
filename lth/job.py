"""One job: a replicate of a configuration, from values to trained tickets, recorded as they come."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from torch import nn

from lth import augment, engine, quantizer, regularization
from lth.density import Ladder, rungs
from lth.engine import Listener
from lth.imp import Criterion, Rewind, Scope, child, dense, imp, pruned_mask
from lth.recipe import Recipe, describe, short
from lth.store import Record, Store
from lth.table import origin
from lth.ticket import Ticket, Trained, Weights

log = logging.getLogger("lth")


@dataclass(frozen=True)
class Branch:
    """A control: at which levels (None: all but the dense one), how many draws, and Ticket -> Ticket."""

    transform: Callable[..., Ticket]
    levels: Sequence[int] | None = None
    draws: int = 1

    def at(self, level: int) -> bool:
        """Whether the tickets of this level branch off."""
        return level > 0 if self.levels is None else level in self.levels


@dataclass(frozen=True)
class Quantized:
    """A quantization: at which levels (None: all), with how many bits a weight (or "fp16", "bf16"), and (Trained, bits)
    -> what is to be trained or, with no steps left, evaluated, and by which recipe.
    """

    transform: Callable[..., tuple[Recipe, Ticket]]
    bits: Sequence[int | str]
    levels: Sequence[int] | None = None

    def at(self, level: int) -> bool:
        """Whether the trained tickets of this level are quantized."""
        return self.levels is None or level in self.levels


@dataclass(frozen=True)
class Job:
    """The values that a configuration stands for. `reduced` says what is smaller than in the paper, for the tables."""

    name: str
    recipe: Recipe
    init: Callable[[nn.Module, int], Weights]
    criterion: Criterion
    scope: Scope
    density: Callable[[int | Sequence[int]], Ladder]
    rewind: Rewind
    levels: int | Sequence[int]
    replicate: int = 1
    branches: Mapping[str, Branch] = field(default_factory=dict)
    stops: Mapping[str, Callable[[Trained, Trained], bool]] = field(default_factory=dict)
    quantizations: Mapping[str, Quantized] = field(default_factory=dict)
    device: str = "auto"
    meter: str = "auto"
    reduced: str = ""

    @property
    def ladder(self) -> Ladder:
        """Which level is pruned to which density, from which level."""
        return self.density(self.levels)

    @property
    def columns(self) -> dict[str, Any]:
        """What all rows of the job have in common: functions by name, and their arguments that aren't defaults."""
        recipe, path = self.recipe, [] if isinstance(self.levels, int) else list(self.levels)
        science = {"model": recipe.model, "optimizer": recipe.optimizer, "lr": recipe.lr, "init": self.init}
        science |= {"criterion": self.criterion, "scope": self.scope, "schedule": self.density, "rewind": self.rewind}
        science |= (
            {} if getattr(recipe.augment, "func", recipe.augment) is augment.none else {"augment": recipe.augment}
        )
        if getattr(recipe.regularization, "func", recipe.regularization) is not regularization.none:
            science |= {"regularization": recipe.regularization}
        described = {name: _flat(name, function) for name, function in science.items()}
        return {
            **described.pop("model"),
            "data": recipe.data.name,
            "scaling": recipe.data.scaling,
            "batch_size": recipe.batch_size,
            "evaluate_every": recipe.evaluate_every,
            **{key: value for columns in described.values() for key, value in columns.items()},
            **({} if recipe.precision == "fp32" else {"precision": recipe.precision}),
            **({"compile": True} if recipe.compile else {}),
            **({"levels": str(path)} if path else {}),
            **({"reduced": self.reduced} if self.reduced else {}),
            "replicate": self.replicate,
            "config": self.identity[:8],
        }

    @property
    def identity(self) -> str:
        """A name for the job that does not change when it is asked for more levels or other controls."""
        science = [self.recipe, self.init, self.criterion, self.scope, self.density, self.rewind]
        path = None if isinstance(self.levels, int) else list(self.levels)
        return f"{short([*map(describe, science), path])}-{self.replicate}"

    def record(self, store: Store) -> Record:
        """Where the job writes down what it consists of."""
        return Record(store.root, self.name, self.identity, self.columns)

    @property
    def quantized(self) -> set[str]:
        """The branches that stand for a quantization."""
        return {f"{name}_{bits}" for name, quantized in self.quantizations.items() for bits in quantized.bits}

    def tickets(self) -> list[tuple[str, int, int]]:
        """(branch, draw, level) of everything that the job trains, in about this order."""
        return [
            entry
            for level in rungs(self.levels)
            for entry in [("ticket", 0, level), *((n, d, level) for n, b in self.branches.items()
                                                  for d in range(b.draws) if b.at(level)),
                          *((f"{n}_{bits}", 0, level) for n, q in self.quantizations.items() if q.at(level)
                            for bits in q.bits)]
        ]  # fmt: skip


def run(job: Job, store: Store, listener: Listener, heard: Callable[[Trained], None]) -> Iterator[Trained]:
    """Train what the job asks for; what is stored is read. Every trained ticket is recorded, then given to `heard`."""
    record = job.record(store)

    def train(tickets: list[Ticket], recipe: Recipe = job.recipe, **extra: Any) -> list[Trained]:
        cached, done = store.cached(_train(job, recipe, listener), recipe), []
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
                extra = {"bits": number, "bytes": quantizer.size(recipe.net(), ticket.mask), "steps": job.recipe.steps}
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


def _train(job: Job, recipe: Recipe, listener: Listener) -> Callable[..., list[Trained]]:
    step = getattr(job.rewind, "keywords", {}).get("step", 0)
    keep = {step} if step > 0 else set()
    return partial(engine.train, recipe=recipe, keep=keep, listener=listener, device=job.device, meter=job.meter)


def _flat(name: str, function: Any) -> dict[str, Any]:
    """A function as columns: {"rewind": "weights", "rewind.step": 100}."""
    described = describe(function)
    short_name = described.pop("function").rpartition(".")[2]
    return {name: short_name} | {f"{name}.{key}": value if isinstance(value, str | int | float) else str(value)
                                 for key, value in described.items()}  # fmt: skip
