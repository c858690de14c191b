"""Settings of a job that do nothing, since it has no such level or step. They are said, and change no result: an
experiment that is run with fewer levels or steps has some.
"""

from collections.abc import Iterator

from lth.job.values import Job
from lth.store.digest import unbound


def idle(job: Job) -> Iterator[str]:
    """A sentence for each setting that does nothing."""
    levels = {place.level for place in job.places()}
    for name, branch in job.branches.items():
        if branch.levels and not levels.intersection(branch.levels):
            there = f"{min(levels)} to {max(levels)}"
            yield f"{name} trains nothing: its levels={[*branch.levels]} are none of those of the job, {there}"
    _, bound = unbound(job.recipe.lr)
    steps, warmup = job.recipe.steps, bound.get("warmup", 0)
    if late := [step for step in bound.get("at", ()) if step >= steps]:
        yield f"lr.at: training ends at step {steps}, before the rate drops at {', '.join(map(str, late))}"
    if warmup > steps:
        yield f"lr.warmup={warmup}: training ends at step {steps}, before the rate has its full value"
