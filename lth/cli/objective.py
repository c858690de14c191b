"""`objective`: the columns of a job's table that a sweeper optimizes."""

from collections.abc import Sequence

from lth import UserError
from lth.cli.ending import Objective, objectives
from lth.job import Job
from lth.store.table import row
from lth.ticket import Trained


def check(names: str | Sequence[str] | None, job: Job) -> None:
    """Raise UserError if the task of the job has another metric."""
    metric = f"early_stop_val_{job.recipe.task.metric}"
    for name in objectives(names):
        if name.startswith("early_stop_val_") and name not in (metric, "early_stop_val_loss"):
            raise UserError(f"objective={name}: the metric of task={job.recipe.task.name} is {metric}")


def value(names: str | Sequence[str] | None, done: Sequence[Trained]) -> Objective:
    """The columns of the tickets of the main line, of each replicate the sparsest, mean over the replicates."""
    line = [each for each in done if each.ticket.branch == "ticket" and each.ticket.bits is None]
    if names is None or not line:
        return None
    sparsest = {each.ticket.replicate: row(each) for each in sorted(line, key=lambda each: each.ticket.level)}
    means = [float(sum(cells[name] for cells in sparsest.values()) / len(sparsest)) for name in objectives(names)]
    return means[0] if isinstance(names, str) else means


def undefined(names: str | Sequence[str] | None) -> Objective:
    """The objective of a job that failed: not a number."""
    return None if names is None else float("nan") if isinstance(names, str) else [float("nan")] * len(names)
