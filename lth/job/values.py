"""The values that a configuration stands for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from lth import augment, regularization
from lth.imp import Criterion, Rewind, Scope
from lth.recipe import Recipe, describe, short
from lth.schedule import Ladder, rungs
from lth.store import Record, Store
from lth.ticket import Ticket, Trained, Weights


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


def _flat(name: str, function: Any) -> dict[str, Any]:
    """A function as columns: {"rewind": "weights", "rewind.step": 100}."""
    described = describe(function)
    short_name = described.pop("function").rpartition(".")[2]
    return {name: short_name} | {f"{name}.{key}": value if isinstance(value, str | int | float) else str(value)
                                 for key, value in described.items()}  # fmt: skip
