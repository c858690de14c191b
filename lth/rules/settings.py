"""A configuration or a job as the rules see it: functions by their names, and values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lth import keywords
from lth.schedule import Ladder, rungs


@dataclass(frozen=True)
class Function:
    """A function of a setting. name: "magnitude" for `lth.criterion.magnitude`, and with its module for one of the
    user's own, which no rule knows. arguments: bound ones, or else defaults.
    """

    name: str
    arguments: Mapping[str, Any]

    def __getitem__(self, argument: str) -> Any:
        return self.arguments.get(argument)


def of_function(function: Callable[..., Any]) -> Function:
    """The name and the arguments of a function."""
    function, arguments = keywords.arguments(function)
    nested = {name: of_function(value) if callable(value) else value for name, value in arguments.items()}
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", type(function).__name__)
    return Function(name if module.startswith("lth.") else f"{module}.{name}", nested)


@dataclass(frozen=True)
class Branching:
    """A branch off the main line, as in `lth.job.Branch`. compared: True if its draws are compared."""

    transform: Function
    levels: Sequence[int] | None
    draws: int
    compared: bool


@dataclass(frozen=True)
class Settings:
    """Settings of a job, as in `lth.job.Job`. ladder: that of the schedule; None if the schedule is the user's own, and
    not imported yet. starts: True if tickets are taken from another run.
    """

    steps: int
    levels: int | Sequence[int]
    train_from: int
    starts: bool
    ladder: Ladder | None
    model: Function
    init: Function
    criterion: Function
    distribution: Function
    structure: Function
    schedule: Function
    rewind: Function
    updater: Function
    stops: Mapping[str, Function]
    branches: Mapping[str, Branching]

    @property
    def last_level(self) -> int:
        """The last level that is asked for."""
        return rungs(self.levels)[-1]

    @property
    def last_from_dense(self) -> int:
        """The last level whose tickets are pruned from the dense net, or from an untrained one: no training was of a
        pruned net before. Of an unknown ladder, the last of all.
        """
        if self.ladder is None:
            return self.last_level
        parents = self.ladder.parents.items()
        return max((level for level, parent in parents if parent == 0 or parent < self.train_from), default=0)

    @property
    def gradual_begins(self) -> int | None:
        """The first step by which updater=gradual has removed weights; None with another updater."""
        if self.updater.name != "gradual":
            return None
        return int(self.updater["begin"] + self.updater["every"])  # at `begin` itself it removes none

    @property
    def start(self) -> int | None:
        """The step from which on all tickets begin, if it is known: some begin at 0 that are pruned untrained, and
        those of another run where that one rewinds to.
        """
        if self.train_from > 0 or self.starts or self.rewind.name not in ("weights", "learning_rate", "fine_tune"):
            return None
        return self.steps - int(self.rewind["steps"]) if self.rewind.name == "fine_tune" else int(self.rewind["step"])
