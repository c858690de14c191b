"""Trainings of a job, named so that those of several jobs that are the same one have the same name."""

from collections.abc import Sequence
from typing import Any

from lth.branch.steps import Bound, bound_of
from lth.job.branch import Place
from lth.job.masks import densities
from lth.job.source import origin, origin_places
from lth.job.values import Job
from lth.keywords import arguments
from lth.store.digest import describe, short


def trainings(job: Job) -> dict[str, int]:
    """Name -> optimizer steps of everything that the job trains; what is only quantized is left out. Equal names are
    the same training. (Different names may be the same training too, where a branch forgets its ticket or gives it.)
    """
    run = origin(job)
    return {**({} if run is None else _named(run, origin_places(job))), **_named(job, job.places())}


def planned(job: Job) -> dict[Place, int]:
    """Optimizer steps of everything that the job trains: of the run that it starts from first, then of its tickets; 0
    of what is only evaluated or quantized.
    """
    run = origin(job)
    there = {} if run is None else {place: run.steps(place) for place in origin_places(job)}
    return {**there, **{place: job.steps(place) for place in job.places()}}


def _named(job: Job, places: Sequence[Place]) -> dict[str, int]:
    line = _Line(job)
    return {line.name(place): steps for place in places if (steps := job.steps(place)) or place.bits is None}


class _Line:
    """Names of the trained tickets of a job, each by what it was made from."""

    def __init__(self, job: Job) -> None:
        self.job, (recipe, init, *science, _, rewind) = job, job.description[:7]
        self.dense, self.science, self.rewind = [recipe, init], science, rewind
        self.origin = None if job.start is None else _Line(job.start)
        self.climbed: dict[int, dict[int, list[Any]]] = {}

    def name(self, place: Place) -> str:
        branch = self.job.branches.get(place.branch)
        own = [] if branch is None else [describe(branch.transform), place.draw]
        bits = [] if place.bits is None else [place.bits]
        return short([*self._main(place.replicate, place.level), *own, *bits])

    def _main(self, replicate: int, level: int) -> list[Any]:
        """The ticket of the main line."""
        if self.origin is not None and not (level == 0 and self._starts_alike(self.origin.job)):
            return [self.dense, self.origin._main(replicate, level)]
        if replicate not in self.climbed:
            self.climbed[replicate] = self._climb(replicate)
        return self.climbed[replicate][level]

    def _climb(self, replicate: int) -> dict[int, list[Any]]:
        """Level -> the ticket of the main line, each made from the one that it is pruned from."""
        names: dict[int, list[Any]] = {0: [self.dense, replicate]}
        rounds = [self.job.ladder.rounds] if self.job.ladder.rounds > 1 else []
        for level, parent in sorted(self.job.ladder.parents.items()):
            rewind = None if self.job.is_untrained(level) else self.rewind
            pruned = [self.science, densities(self.job.ladder, level), rewind, *rounds]
            names[level] = [short(names[parent]), pruned]
        return names

    def _starts_alike(self, other: Job) -> bool:
        """True if dense nets of both jobs are drawn alike."""
        own, there = (
            describe([job.recipe.model, job.init, job.recipe.data.shape, job.recipe.data.outputs])
            for job in (self.job, other)
        )
        return bool(own == there)


def bound(job: Job, place: Place) -> Bound:
    """Kind of number that `planned` gives for a training: exact ("") or a bound."""
    branch = job.branches.get(place.branch)
    return "" if branch is None else bound_of(*arguments(branch.transform))
