"""A job -> what the rules see of it (`lth.rules`)."""

from typing import TYPE_CHECKING

from lth.rules import Branching, Settings, of_function
from lth.store.columns import SCIENCE

if TYPE_CHECKING:
    from lth.job.values import Job


def settings(job: "Job") -> Settings:
    """The settings of a job that rules know."""
    functions = {name: of_function(getattr(job, name)) for name in SCIENCE}
    return Settings(
        steps=job.recipe.steps,
        levels=job.levels,
        train_from=job.train_from,
        starts=job.start is not None,
        ladder=job.ladder,
        model=of_function(job.recipe.model),
        updater=of_function(job.recipe.updater),
        **functions,
        stops={name: of_function(rule) for name, rule in job.stops.items()},
        branches={
            name: Branching(of_function(each.transform), each.levels, each.draws, each.compare is not None)
            for name, each in job.branches.items()
            if each.bits is None
        },
    )
