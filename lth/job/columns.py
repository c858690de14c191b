"""Columns that all rows of a job share."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lth import augment, regularization
from lth.job import start
from lth.keywords import unbound
from lth.store.digest import describe, described_defaults
from lth.task import CLASSIFICATION

if TYPE_CHECKING:
    from lth.job.values import Job

OF_FUNCTION = ("function", "source", "version")  # what describes a function beside its arguments


def shared(job: "Job") -> dict[str, Any]:
    """Functions of a job by name, and their arguments that aren't defaults."""
    recipe, path = job.recipe, job.path
    described = {name: _flat(name, function) for name, function in _functions(job).items()}
    own = {
        **described.pop("model"),
        "data": recipe.data.name,
        **({} if recipe.task == CLASSIFICATION else {"task": recipe.task.name}),
        "scaling": recipe.data.scaling,
        "batch_size": recipe.batch_size,
        "evaluate_every": recipe.evaluate_every,
        **{key: value for each in described.values() for key, value in each.items()},
        **({} if recipe.precision == "fp32" else {"precision": recipe.precision}),
        **({} if recipe.kernel == "auto" else {"kernel": recipe.kernel}),
        **({} if recipe.threads == 1 else {"threads": recipe.threads}),
        **({} if recipe.batch_norm_parts == 1 else {"batch_norm_parts": recipe.batch_norm_parts}),
        **({"output": recipe.output} if recipe.output else {}),
        **({"levels": str(path)} if path else {}),
        **({"train_from": job.train_from} if job.train_from else {}),
        **({"reduced": job.reduced} if job.reduced else {}),
        "config": job.identity[:8],
    }
    return own if job.start is None else {**own, **start.columns(job, own, job.start)}


def defaults(job: "Job") -> dict[str, Any]:
    """Defaults of the functions of the user's own that a job has, by column: they may be others later."""
    return {
        f"{name}.{key}": cell(value)
        for name, function in _functions(job).items()
        if "source" in describe(function)
        for key, value in described_defaults(function).items()
    }


def _functions(job: "Job") -> dict[str, Any]:
    """The functions of a job by the names of their columns."""
    recipe = job.recipe
    science = {"model": recipe.model, "optimizer": recipe.optimizer, "lr": recipe.lr, "init": job.init}
    science |= {name: getattr(job, name) for name in ("criterion", "distribution", "structure", "schedule")}
    science |= {"rewind": job.rewind}
    usual = {"augment": augment.none, "regularization": regularization.none}
    science |= {name: f for name, none in usual.items() if unbound(f := getattr(recipe, name))[0] is not none}
    science |= {"updater": recipe.updater} if recipe.moves_mask else {}
    return science


def _flat(name: str, function: Any) -> dict[str, Any]:
    """A function as columns: {"rewind": "weights", "rewind.step": 100}."""
    described = describe(function)
    short_name = described.pop("function").rpartition(".")[2]
    described.pop("source", None)
    return {name: short_name} | {f"{name}.{key}": cell(value) for key, value in described.items()}


def cell(described: Any) -> Any:
    """A described value as a column has it; of a function its name, and its arguments in brackets."""
    if isinstance(described, Mapping) and "function" in described:
        given = [f"{key}={cell(each)}" for key, each in described.items() if key not in OF_FUNCTION]
        return described["function"].rpartition(".")[2] + (f"({', '.join(given)})" if given else "")
    return described if isinstance(described, str | int | float) else str(described)
