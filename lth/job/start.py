"""The run that another takes its tickets from: what it must be like, and the columns that tell it apart."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lth import UserError, transfer
from lth.job.branch import Past
from lth.schedule import rungs
from lth.store.defaults import completed
from lth.store.digest import describe
from lth.store.labels import UNTOLD

if TYPE_CHECKING:
    from lth.job.values import Job

BRANCH = "source"  # what tickets of the other run are called where progress is shown


def check(job: "Job", start: "Job") -> None:
    """Raise UserError, before anything is trained, if tickets of `start` can't be trained by this job."""
    if start.start is not None:
        raise UserError("start: the source run takes its own tickets from a third run; name that run instead")
    if [describe(each) for each in (start.recipe, start.init)] == [describe(each) for each in (job.recipe, job.init)]:
        raise UserError("start: the source run trains as this one does, so its tickets are trained already; name what "
                        "differs in training, such as start=data=mnist; criterion, schedule and the like need no "
                        "start")  # fmt: skip
    if beyond := sorted({*rungs(job.levels)} - {*rungs(start.levels)}):
        raise UserError(f"levels={job.levels}: the run that tickets are taken from has levels={start.levels} and no "
                        f"level {beyond[0]}; give fewer here, or levels= in start as well")  # fmt: skip
    if lines := [name for name, branch in job.branches.items() if any(map(branch.takes, Past._fields))]:
        raise UserError(f"branch={lines[0]} looks at the trainings in which a ticket was pruned, and with start= they "
                        "are those of another run: leave one of the two out")  # fmt: skip
    if BRANCH in job.branches:
        raise UserError(f"branch.{BRANCH}: with start= this is the name of the other run's trainings; give it another")
    transfer.head(start.recipe, job.recipe)
    transfer.check_step(start.begin, job.recipe)


def columns(job: "Job", own: Mapping[str, Any], start: "Job") -> dict[str, Any]:
    """Columns of a job that say in what the run differs that its tickets are taken from; own: those that it has."""
    here, there = ({**table, "steps": each.recipe.steps} for table, each in ((own, job), (start.columns, start)))
    reduced = {"reduced": job.reduced or start.reduced} if start.reduced else {}
    return {**differences(here, there, start.identity[:8]), **reduced}


def differences(own: Mapping[str, Any], start: Mapping[str, Any], identity: str) -> dict[str, Any]:
    """Columns of the run that tickets are taken from which are not those of the job, such as start.data; `start`, its
    identity, if none tells them apart.
    """
    here, there = completed(own, start), completed(start, own)
    different = {f"start.{key}": value for key, value in there.items() if key not in UNTOLD and here.get(key) != value}
    return different or {"start": identity}
