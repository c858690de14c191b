"""The jobs of a command: how each of them ended, wherever a launcher ran it, and what is said of them."""

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from lth.cli import ending
from lth.cli.ending import INTERRUPTED, Ending, Objective


class JobFailed(Exception):
    """Tells a sweeper that is not one of lth's that a job failed; the job has printed why."""


@dataclass
class Task:
    """Function that Hydra calls with the configuration of each job. run: runs one. folder: endings of jobs, "" if the
    sweeper is not one of lth's. turns: job and patience of each number that the launcher counts up from `first`. steps:
    those that jobs of the sweep rewind to. words: the overrides of each job. tolerant: all is well if one job is. said:
    text on what a search has found.
    """

    run: Callable[..., Ending]
    folder: str = ""
    first: int = 0
    turns: Sequence[tuple[int, float]] = ()
    steps: Sequence[int] = ()
    endings: dict[int, Ending] = field(default_factory=dict)
    words: dict[int, Sequence[str]] = field(default_factory=dict)
    tolerant: bool = False
    said: str = ""

    @property
    def code(self) -> int:
        """The exit code of the command."""
        codes = [each.code for each in self.endings.values()]
        return (min if self.tolerant else max)(codes, default=0)

    def __call__(self, cfg: DictConfig) -> Ending | Objective:
        """Run a job, in this process or in one of a launcher. Raises KeyboardInterrupt, or JobFailed in a sweep of
        another sweeper.
        """
        sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
        if self.folder:
            return self._turn(cfg, HydraConfig.get().job.num - self.first)
        self.endings[0] = found = self.run(cfg)
        _raise_if_interrupted(found, sweeping=sweeping)
        if sweeping and found.code and found.objective is None:
            raise JobFailed(f"replicate {cfg.replicate} of {cfg.name}: {found.error}")
        return found.objective

    def __getstate__(self) -> dict[str, Any]:
        """State for other processes."""
        return {**vars(self), "endings": {}, "words": {}}

    def _turn(self, cfg: DictConfig, turn: int) -> Ending:
        job, patience = self.turns[turn]
        file = self.file(job)
        if job in [other for other, _ in self.turns[:turn]]:
            before = ending.read(file)
            if before is None or not before.waiting:  # another worker is at it
                return before or Ending(waiting=True)
        ending.write(file, None)
        found = self.run(cfg, patience=patience, steps=self.steps)
        ending.write(file, found)
        _raise_if_interrupted(found, sweeping=True)
        return found

    def file(self, job: int) -> Path:
        """File in which the ending of a job is noted."""
        return Path(self.folder) / f"{job}.json"


def _raise_if_interrupted(found: Ending, *, sweeping: bool) -> None:
    if sweeping and found.code == INTERRUPTED and os.environ.get("SUBMITIT_EXECUTOR"):
        raise SystemExit(found.code)  # of a process of its own, which has said why
    if sweeping and found.code == INTERRUPTED:
        raise KeyboardInterrupt


def failures(task: Task) -> str:
    """The jobs that failed, by their overrides, and why, those with the same error together, below a line that counts
    them; else empty.
    """
    failed = {job: each.error for job, each in sorted(task.endings.items()) if each.code and job in task.words}
    lines = list[str]()
    for error in dict.fromkeys(failed.values()):
        same = [shlex.join(task.words[job]) for job in failed if failed[job] == error]
        several = [f"{len(same)} jobs: {error}", *(f"  {words}" for words in same)]
        lines += several if len(same) > 1 else [f"job {same[0]}: {error}"]
    counted = f"{len(failed)} of {len(task.words)} failed{'; the others are stored' * (len(failed) < len(task.words))}"
    return "\n".join([f"lth run: not all jobs of the sweep finished: {counted}", *lines, ""]) if lines else ""


def summary(task: Task) -> str:
    """A line on what sharing saves, if the jobs were planned, and the text of a search on its trials."""
    plans = [each.planned for each in task.endings.values() if each.planned]
    distinct = {name: steps for plan in plans for name, steps in plan.items()}
    alone = sum(sum(plan.values()) for plan in plans)
    if len(plans) < 2:
        return task.said
    return (f"sweep of {len(plans):,} jobs: {sum(map(len, plans)):,} trainings, {len(distinct):,} of them distinct; "
            f"{sum(distinct.values()):,} steps in place of {alone:,}, stored ones included\n{task.said}")  # fmt: skip
