"""Jobs handed to a launcher. Those that fail, and workers that are killed, take no other job with them."""

import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from omegaconf.errors import OmegaConfBaseException

from lth import UserError
from lth.cli import ending, failure
from lth.cli.config.task import Task
from lth.cli.ending import FAILED, Ending

RESTARTS = 3  # of a round whose launcher lost its workers


def launched(launcher: Launcher, task: Task, turns: Sequence[tuple[int, float]]) -> dict[int, Ending]:
    """Launch jobs, and again if the launcher gave up since one of its workers was killed: what is stored is not
    redone, what was begun goes on.
    """
    for _ in range(RESTARTS):
        try:
            return _once(launcher, task, turns)
        except BrokenProcessPool:
            print("lth run: a worker of the launcher was killed; restarting the unfinished jobs", file=sys.stderr)
    return _once(launcher, task, turns)


def _once(launcher: Launcher, task: Task, turns: Sequence[tuple[int, float]]) -> dict[int, Ending]:
    jobs = dict.fromkeys(job for job, _ in turns)
    for job in jobs:
        if ending.read(task.file(job)) is None:
            task.file(job).unlink(missing_ok=True)
    known = {job: found for job in jobs if (found := ending.read(task.file(job))) and not found.waiting}
    left = [(job, patience) for job, patience in turns if job not in known]
    return known | _asked(launcher, task, left) if left else known


def _asked(launcher: Launcher, task: Task, turns: Sequence[tuple[int, float]]) -> dict[int, Ending]:
    """Endings that the launcher returns; if it raises instead, those that the jobs have noted."""
    task.turns, task.first = turns, task.first + len(task.turns)
    try:
        done = launcher.launch([task.words[job] for job, _ in turns], initial_job_idx=task.first)
    except (HydraException, OmegaConfBaseException, BrokenProcessPool):
        raise
    except Exception as error:
        if not any(task.file(job).exists() for job, _ in turns):
            raise  # the launcher did not get so far
        why = Ending(FAILED, f"it did not end in the launcher's sight: {failure.named(error)}")
        return {job: ending.read(task.file(job)) or why for job, _ in turns}
    ended: dict[int, Ending] = {}
    for (job, _), each in zip(turns, map(_returned, done), strict=True):
        if job not in ended or ended[job].waiting:
            before = ended[job].trained if job in ended else 0
            ended[job] = replace(each, trained=before + each.trained)
    return ended


def _returned(job: JobReturn) -> Ending:
    """Ending of a job. (Its `return_value` would print and raise what it raised.)"""
    found = job._return_value
    if isinstance(found, Ending):
        return found
    return Ending(FAILED, failure.words(found) if isinstance(found, UserError) else failure.named(found))
