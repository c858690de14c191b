"""Masks of a job: their names in its store, where each is computed once."""

from collections.abc import Callable

from lth.job.values import Job
from lth.schedule import KINDS, Ladder
from lth.store import Store
from lth.store.digest import describe, short
from lth.ticket import Mask, Trained


def mask_key(job: Job, level: int, scored: int) -> str:
    """The name of the mask of a level, made from a training of the level `scored`."""
    science = [describe(function) for function in (job.criterion, job.distribution, job.structure)]
    rounds = [job.ladder.rounds] if job.ladder.rounds > 1 else []
    return short([science, densities(job.ladder, level), scored, *_traced(job), *rounds])


def _traced(job: Job) -> list[dict[str, str]]:
    """Kinds of the layers, if they are not what older versions took for them (the last linear layer for the output):
    masks that those made of such a net are not read again, and all other masks are.
    """
    kinds, older = dict(job.recipe.layers.kinds), job.recipe.kinds_by_type
    linear = [name for name, kind in older.items() if kind == "linear"]
    return [] if kinds == older | dict.fromkeys(linear[-1:], "output") else [kinds]


def densities(ladder: Ladder, level: int) -> dict[str, float]:
    """Kind of layer -> share that remains, of the kinds that are pruned."""
    return {kind: share for kind in KINDS if (share := ladder.density(level, kind)) < 1}


def masks(job: Job, store: Store) -> Callable[[Trained, int, Callable[[], Mask]], Mask]:
    """Masks from the store, each computed once; of a training as far as it is given."""

    def find(trained: Trained, level: int, make: Callable[[], Mask]) -> Mask:
        key = mask_key(job, level, trained.ticket.level)
        return store.mask(trained, key if trained.steps == job.recipe.steps else short([key, trained.steps]), make)

    return find
