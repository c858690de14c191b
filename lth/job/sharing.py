"""Trainings of a job, named so that those of several jobs that are the same one have the same name."""

import inspect
from collections.abc import Callable
from typing import Any

from lth import branch as branches
from lth.job.levels import densities
from lth.job.values import Job, Place
from lth.store.digest import describe, short, unbound


def trainings(job: Job) -> dict[str, int]:
    """Name -> optimizer steps of everything that the job trains; what is only quantized is left out. Equal names are
    the same training. (Two names may be, where a branch forgets what decided its ticket.)
    """
    line = _Line(job)
    return {line.name(place): steps for place, steps in planned(job).items() if place.bits is None}


def planned(job: Job) -> dict[Place, int]:
    """Optimizer steps of every ticket of the job, 0 of what is only evaluated; of what is quantized, those of the
    ticket beside it.
    """
    line = _Line(job)
    return {place: line.steps(place) for place in job.places()}


class _Line:
    """Names of the trained tickets of a job, each by what it was made from."""

    def __init__(self, job: Job) -> None:
        self.job, (recipe, init, *science, _, rewind) = job, job.description[:7]
        self.dense, self.science, self.rewind = [recipe, init], science, rewind
        self.parents = job.ladder.parents

    def name(self, place: Place) -> str:
        branch = self.job.branches.get(place.branch)
        own = [] if branch is None else [describe(branch.transform), place.draw]
        return short([*self._main(place.replicate, place.level), *own])

    def steps(self, place: Place) -> int:
        """Steps from where the ticket starts to T."""
        function, given = unbound(self.job.rewind)
        end, name = self.job.recipe.steps, function.__name__
        start = end - given.get("steps", 500) if name == "fine_tune" else given.get("step", 0)
        start = 0 if self._is_untrained(place.level) else start
        branch = self.job.branches.get(place.branch)
        return int(end - start if branch is None else _steps_of(branch.transform, start, end))

    def _main(self, replicate: int, level: int) -> list[Any]:
        """The ticket of the main line."""
        if level == 0:
            return [self.dense, replicate]
        rewind = None if self._is_untrained(level) else self.rewind
        pruned = [self.science, densities(self.job.ladder, level), rewind]
        return [short(self._main(replicate, self.parents[level])), pruned]

    def _is_untrained(self, level: int) -> bool:
        """True of a level that starts as the dense net does, whatever the rewinding: nothing is trained before it."""
        return level == 0 or self.parents[level] < self.job.train_from


def _steps_of(transform: Callable[..., Any], start: int, end: int) -> int:
    """Steps of a training that branches off a ticket which is trained from step `start` to `end`."""
    function, given = unbound(transform)
    given = {name: p.default for name, p in inspect.signature(function).parameters.items()} | given
    if function in (branches.supermask, branches.supermask_constant):
        return 0
    if function is branches.learned_supermask:
        return int(given["steps"])
    if function is branches.connect and given["of"] == "ticket":
        return end - max(start, int(given["step"]))
    return end - int(given.get("step") or 0) if function is branches.reset else end - start
