"""The values that a configuration stands for."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from torch import nn

from lth import UserError, augment, early_bird, regularization, rewind
from lth.branch import invert
from lth.imp import Criterion, Distribution, Rewind, Structure
from lth.job import start
from lth.job.drawn import check as check_drawn
from lth.job.guard import guarded, guarded_recipe
from lth.recipe import Recipe
from lth.schedule import Ladder, rungs
from lth.stop import accuracy_drop
from lth.store import Record, Store
from lth.store.digest import describe, short, sourceless, sources, unbound
from lth.task import CLASSIFICATION
from lth.ticket import Ticket, Trained, Weights

# Functions of a job, beside those of its recipe, that decide what is pruned and where it starts again.
SCIENCE = ("init", "criterion", "distribution", "structure", "schedule", "rewind")
# What a job has from the one that it starts from, which has pruned its tickets.
PRUNES = ("criterion", "distribution", "structure", "schedule", "rewind", "stops", "train_from")


class Place(NamedTuple):
    """The place of a ticket in a job."""

    replicate: int
    level: int
    branch: str = "ticket"
    draw: int = 0
    bits: int | str | None = None


@dataclass(frozen=True)
class Branch:
    """A branch off the main line: transform: Trained -> (Recipe, Ticket), called with `draw`, `recipe` and `init`, and
    with `line` and `inverse` if it takes them, or, for a quantization, with `bits` and `recipe`.

    levels: None for all levels, of controls all but the dense one. draws: independent draws per level. bits: widths
    that weights are quantized to; None for a control. compare: measures the nets of the draws beside each other, such
    as `lth.connectivity.compare`; None: they are not compared.
    """

    transform: Callable[..., tuple[Recipe, Ticket]]
    levels: Sequence[int] | None = None
    draws: int = 1
    bits: Sequence[int | str] | None = None
    compare: Callable[..., list[dict[str, Any]]] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "transform", guarded("branch", self.transform))

    def at(self, level: int) -> bool:
        """True if tickets of this level branch off."""
        return level in self.levels if self.levels is not None else level > 0 or self.bits is not None

    def takes(self, keyword: str) -> bool:
        """True if the transform has this keyword, which the job gives it."""
        return keyword in inspect.signature(self.transform).parameters

    def argument(self, name: str) -> Any:
        """An argument of the transform: as it is bound, or its default; None if it has neither."""
        parameter = inspect.signature(self.transform).parameters.get(name)
        return None if parameter is None or parameter.default is parameter.empty else parameter.default

    def epochs(self, recipe: Recipe) -> list[int]:
        """Steps of the training before at which epochs end that the transform looks at; none if it looks at none."""
        if not self.takes("drawn"):
            return []
        epoch = -(-len(recipe.data.train) // recipe.batch_size)
        return early_bird.epochs(recipe.steps, self.argument("every") or epoch)

    def tickets(
        self,
        name: str,
        line: Sequence[Trained],
        job: "Job",
        inverse: Callable[[Trained, int], Ticket],
        drawn: Callable[[], early_bird.Drawn],
    ) -> Iterator[tuple[Recipe, Ticket]]:
        """The tickets that branch off the last of a line of trained ones, each with its recipe. For transforms that
        take them: inverse makes the ticket of a level by the opposite criterion, of the one that it is pruned from;
        drawn gives masks of the training before.
        """
        trained = line[-1]
        offered: dict[str, Callable[[], Any]] = {"line": lambda: line, "inverse": lambda: inverse, "drawn": drawn}
        given = {keyword: give() for keyword, give in offered.items() if self.takes(keyword)}
        for bits in self.bits or ():
            recipe, ticket = self.transform(trained, bits=bits, recipe=job.recipe)
            yield recipe, replace(ticket, branch=name, bits=bits)
        for draw in range(self.draws if self.bits is None else 0):
            recipe, ticket = self.transform(trained, draw=draw, recipe=job.recipe, init=job.init, **given)
            yield recipe, replace(ticket, branch=name, draw=draw)

    def places(self, name: str, replicate: int, level: int) -> list[Place]:
        """The places of its tickets beside one of the main line."""
        if not self.at(level):
            return []
        if self.bits is not None:
            return [Place(replicate, level, name, bits=bits) for bits in self.bits]
        return [Place(replicate, level, name, draw) for draw in range(self.draws)]


@dataclass(frozen=True)
class Job:
    """One configuration with all its replicates. train_from: first level that is trained; those before it are pruned
    untrained, where they start. save_every: seconds between saves of a running training. `reduced` names what is
    smaller than in the paper, for the tables. start: the job whose tickets are trained here, each at its level, and
    pruned no further; replicate r takes those of replicate r. What prunes is then that of `start`.
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
    device: str = "auto"
    width: int | str = "auto"
    devices: int = 1
    workers: int = 0
    meter: str = "auto"
    save_every: float | None = None
    reduced: str = ""
    train_from: int = 0
    start: "Job | None" = None

    def __post_init__(self) -> None:
        for name in PRUNES if self.start is not None else ():
            object.__setattr__(self, name, getattr(self.start, name))
        for name in SCIENCE:
            object.__setattr__(self, name, guarded(name, getattr(self, name)))
        stops = {name: guarded("stop", rule) for name, rule in self.stops.items()}
        own = {"recipe": guarded_recipe(self.recipe), "stops": stops}
        for name, value in own.items():
            object.__setattr__(self, name, value)
        _ = self.ladder  # a wrong one is an error before anything is trained
        if self.recipe.task.metric != "accuracy" and (accuracy_drop in [unbound(f)[0] for f in self.stops.values()]):
            raise UserError(f"stop=accuracy_drop: task={self.recipe.task.name} has no accuracy; choose density or size")
        if self.train_from and accuracy_drop in [unbound(f)[0] for f in self.stops.values()]:
            raise UserError(f"stop=accuracy_drop compares with the dense net, and train_from={self.train_from} trains "
                            "none; choose density or size")  # fmt: skip
        if not 0 <= self.train_from <= rungs(self.levels)[-1]:
            raise UserError(f"train_from={self.train_from}: the first trained level, one of levels={self.levels}")
        for name, branch in self.branches.items():
            if unbound(branch.transform)[0] is invert and branch.at(0):
                raise UserError(f"branch.{name}.levels={branch.levels}: level 0 is not pruned, so there is no mask to "
                                "invert; give levels from 1 on")  # fmt: skip
            check_drawn(name, branch, self)
            if branch.compare and self.recipe.task.metric != "accuracy":
                raise UserError(f"branch.{name}.compare: task={self.recipe.task.name} gives no classes; set it to null")
        if self.start is not None:
            start.check(self, self.start)

    @property
    def ladder(self) -> Ladder:
        """Levels, the level each is pruned from, and their densities."""
        return self.schedule(self.levels if self.start is None else self.start.levels)

    @property
    def begin(self) -> int:
        """The step at which a rewound ticket begins; 0 if a rewinding of the user's own does not say."""
        function, given = unbound(self.rewind)
        if function is rewind.fine_tune:
            return int(self.recipe.steps - given.get("steps", 500))
        return int(given.get("step", 0))

    @property
    def path(self) -> list[int]:
        """Levels that are climbed to from one another, if they were given as a list."""
        levels = self.levels if self.start is None else self.start.levels
        return [] if isinstance(levels, int) else list(levels)

    def is_early(self, ticket: Ticket) -> bool:
        """True if a ticket is pruned without being trained."""
        return ticket.level < self.train_from

    @cached_property
    def columns(self) -> dict[str, Any]:
        """Columns that all rows of the job share: functions by name, and their arguments that aren't defaults."""
        recipe, path = self.recipe, self.path
        science = {"model": recipe.model, "optimizer": recipe.optimizer, "lr": recipe.lr, "init": self.init}
        science |= {name: getattr(self, name) for name in ("criterion", "distribution", "structure", "schedule")}
        science |= {"rewind": self.rewind}
        usual = {"augment": augment.none, "regularization": regularization.none}
        science |= {name: f for name, none in usual.items() if unbound(f := getattr(recipe, name))[0] is not none}
        science |= {"updater": recipe.updater} if recipe.moves_mask else {}
        described = {name: _flat(name, function) for name, function in science.items()}
        own = {
            **described.pop("model"),
            "data": recipe.data.name,
            **({} if recipe.task == CLASSIFICATION else {"task": recipe.task.name}),
            "scaling": recipe.data.scaling,
            "batch_size": recipe.batch_size,
            "evaluate_every": recipe.evaluate_every,
            **{key: value for columns in described.values() for key, value in columns.items()},
            **({} if recipe.precision == "fp32" else {"precision": recipe.precision}),
            **({} if recipe.kernel == "auto" else {"kernel": recipe.kernel}),
            **({} if recipe.threads == 1 else {"threads": recipe.threads}),
            **({} if recipe.batch_norm_parts == 1 else {"batch_norm_parts": recipe.batch_norm_parts}),
            **({"output": recipe.output} if recipe.output else {}),
            **({"levels": str(path)} if path else {}),
            **({"train_from": self.train_from} if self.train_from else {}),
            **({"reduced": self.reduced} if self.reduced else {}),
            "config": self.identity[:8],
        }
        return own if self.start is None else {**own, **start.columns(self, own, self.start)}

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
        description, columns = self.description, {**self.columns, "replicate": replicate}
        code = {"science": short(sourceless(description)), "sources": dict(sources(description))}
        planned = {"trainings": sum(p.replicate == replicate for p in self.places()), "steps": self.recipe.steps}
        return Record(
            store.root, self.name, f"{self.identity}-{replicate}", columns, code, planned, lambda: store.wait()
        )

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


def place(ticket: Ticket) -> Place:
    """The place of a ticket in its job."""
    return Place(ticket.replicate, ticket.level, ticket.branch, ticket.draw, ticket.bits)


def _flat(name: str, function: Any) -> dict[str, Any]:
    """A function as columns: {"rewind": "weights", "rewind.step": 100}."""
    described = describe(function)
    short_name = described.pop("function").rpartition(".")[2]
    described.pop("source", None)
    return {name: short_name} | {f"{name}.{key}": value if isinstance(value, str | int | float) else str(value)
                                 for key, value in described.items()}  # fmt: skip
