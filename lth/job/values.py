"""The job that a configuration stands for."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from torch import nn

from lth import UserError, rules
from lth.branch.steps import steps_of
from lth.criterion.signature import Criterion, Structure
from lth.imp import Distribution, Rewind
from lth.job import columns, drawn, inverted, retraining, start
from lth.job.branch import Branch, Place
from lth.job.guard import guarded, guarded_recipe
from lth.job.settings import settings
from lth.keywords import arguments, unbound
from lth.recipe import Recipe
from lth.schedule import Ladder, rungs
from lth.stop import accuracy_drop
from lth.store import Record, Store
from lth.store.columns import SCIENCE
from lth.store.digest import describe, short, sourceless, sources
from lth.store.stale import RETURNED
from lth.ticket import Ticket, Trained, Weights

Device = Literal["auto", "cpu", "gpu", "cuda", "mps"]  # accelerators of Lightning that the engine knows
# What a job has from the one that it starts from, which has pruned its tickets.
PRUNES = ("criterion", "distribution", "structure", "schedule", "rewind", "stops", "train_from")


@dataclass(frozen=True)
class Job:
    """One configuration with all its replicates. train_from: first level that is trained; those before it are pruned
    untrained, where they start. save_every: seconds between saves of a running training. `reduced` names what is
    smaller than in the paper, for the tables. start: the job whose tickets are trained here, each at its level, and
    pruned no further; replicate r takes those of replicate r. What prunes is then that of `start`. overrides: those of
    `lth run` that made it, for its records. data_call: the user's own function that gave the data set, with its
    arguments: where it gives other data later, older results are stale.
    """

    name: str
    recipe: Recipe
    init: Callable[[nn.Module, int], Weights]
    criterion: Criterion
    distribution: Distribution
    structure: Structure
    schedule: Callable[[int | Sequence[int]], Ladder]
    rewind: Rewind
    levels: int | Sequence[int]
    replicates: Sequence[int] = (1,)
    branches: Mapping[str, Branch] = field(default_factory=dict)
    stops: Mapping[str, Callable[[Trained, Trained], bool]] = field(default_factory=dict)
    device: Device = "auto"
    width: int | str = "auto"
    devices: int = 1
    workers: int = 0
    meter: str = "auto"
    save_every: float | None = None
    reduced: str = ""
    train_from: int = 0
    start: "Job | None" = None
    overrides: Sequence[str] | None = None
    data_call: str = ""

    def __post_init__(self) -> None:
        for name in PRUNES if self.start is not None else ():
            object.__setattr__(self, name, getattr(self.start, name))
        for name in SCIENCE:
            object.__setattr__(self, name, guarded(name, getattr(self, name)))
        stops = {name: guarded("stop", rule) for name, rule in self.stops.items()}
        own = {"recipe": guarded_recipe(self.recipe), "stops": stops}
        for name, value in own.items():
            object.__setattr__(self, name, value)
        if not len(self.replicates) or len({*self.replicates}) < len(self.replicates):
            raise UserError(f"replicates={[*self.replicates]}: give different ones, such as [1, 2, 3]")
        _ = self.ladder  # a wrong one is an error before anything is trained
        if accuracy_drop in [unbound(rule)[0] for rule in self.stops.values()]:
            _check_accuracy_drop(self)
        if not 0 <= self.train_from <= rungs(self.levels)[-1]:
            raise UserError(f"train_from={self.train_from}: the first trained level, one of levels={self.levels}")
        if self.start is not None:
            start.check(self, self.start)
        rules.check(settings(self))
        retraining.check(self)
        for name, branch in self.branches.items():
            inverted.check(name, branch, self)
            drawn.check(name, branch, self)
            if branch.compare and self.recipe.task.metric != "accuracy":
                raise UserError(f"branch.{name}.compare: task={self.recipe.task.name} gives no classes; set it to null")

    @cached_property
    def ladder(self) -> Ladder:
        """Levels, the level each is pruned from, and their densities."""
        return self.schedule(self.levels if self.start is None else self.start.levels)

    @property
    def begin(self) -> int:
        """The step at which a rewound ticket begins; 0 if a rewinding of the user's own does not say."""
        return retraining.begin(self.recipe, self.rewind)

    @cached_property
    def retrained(self) -> Recipe:
        """The recipe of rewound tickets: `recipe` itself, unless they go on after its end."""
        return retraining.retrained(self.recipe, self.rewind)

    def recipe_of(self, ticket: Ticket) -> Recipe:
        """The recipe that a ticket of the main line is trained with."""
        return self.recipe if ticket.step < self.recipe.steps else self.retrained

    @property
    def path(self) -> list[int]:
        """Levels that are climbed to from one another, if they were given as a list."""
        levels = self.levels if self.start is None else self.start.levels
        return [] if isinstance(levels, int) else list(levels)

    def steps(self, place: Place) -> int:
        """Optimizer steps of the training of one of its places; 0 if it is only evaluated or quantized."""
        begin, end = (self.start or self).begin, self.retrained.steps
        if self.is_untrained(place.level):
            begin, end = 0, self.recipe.steps
        if place.branch not in self.branches:
            return end - begin
        function, given = arguments(self.branches[place.branch].transform)
        return steps_of(function, begin if place.bits is None else end, end, {**given, "draw": place.draw})

    def is_untrained(self, level: int) -> bool:
        """True of a level that starts as the dense net does, whatever the rewinding: nothing is trained before it."""
        return level == 0 or self.ladder.parents[level] < self.train_from

    def is_early(self, ticket: Ticket) -> bool:
        """True if a ticket is pruned without being trained."""
        return ticket.level < self.train_from

    @cached_property
    def columns(self) -> dict[str, Any]:
        """Columns that all rows of the job share."""
        return columns.shared(self)

    @cached_property
    def description(self) -> list[Any]:
        """Everything that decides the results, as JSON; not how many levels, replicates or branches were asked for."""
        science = [self.recipe, self.init, self.criterion, self.distribution, self.structure, self.schedule]
        more: list[Any] = [self.train_from] if self.train_from else []
        more += [] if self.start is None else [{"start": self.start.description}]
        return [*map(describe, [*science, self.rewind]), self.path or None, *more]

    @property
    def identity(self) -> str:
        """A name that does not change when the job is asked for more levels, replicates or branches."""
        return short(self.description)

    def record(self, store: Store, replicate: int) -> Record:
        """The file that lists the trainings of a replicate."""
        description, shared = self.description, {**self.columns, "replicate": replicate}
        both = [self] if self.start is None else [self, self.start]
        given = {job.data_call: {RETURNED: short(describe(job.recipe.data))} for job in both if job.data_call}
        code = {"science": short(sourceless(description)), "sources": {**dict(sources(description)), **given}}
        if own := columns.defaults(self):
            code["defaults"] = own
        code["branches"] = {name: branch.code for name, branch in self.branches.items()}
        steps = [self.steps(place) for place in self.places() if place.replicate == replicate]
        planned = {"trainings": len(steps), "steps": math.ceil(sum(steps) / len(steps))}
        name = f"{self.identity}-{replicate}"
        return Record(store.root, self.name, name, shared, code, planned, self.overrides, lambda: store.wait())

    def places(self) -> list[Place]:
        """Everything that the job trains, in about the order of work."""
        return [
            place
            for level in rungs(self.levels)
            if level >= self.train_from
            for places in [
                [Place(replicate, level) for replicate in self.replicates],
                *([p for r in self.replicates for p in b.places(name, r, level)] for name, b in self.branches.items()),
            ]
            for place in places
        ]


def _check_accuracy_drop(job: Job) -> None:
    """Raise UserError if a job has no accuracy to compare, or no dense net to compare it with."""
    if job.recipe.task.metric != "accuracy":
        raise UserError(f"stop=accuracy_drop: task={job.recipe.task.name} has no accuracy; choose density or size")
    if job.train_from:
        raise UserError(f"stop=accuracy_drop compares with the dense net, and train_from={job.train_from} trains none; "
                        "choose density or size")  # fmt: skip
