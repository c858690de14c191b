"""A sweep: its jobs, in rounds, and how each of them ended, wherever a launcher ran them.

A job that needs what another process trains is put off while there are others, so that the same command on several
machines shares a sweep by the store alone. Jobs that fail, and workers that are killed, take no other job with them.
"""

import math
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper as Plugin
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lth.cli import ending, failure
from lth.cli.config import order
from lth.cli.config.overrides import expand
from lth.cli.config.trial import trial
from lth.cli.ending import Ending, Objective

# The launcher of the plugin for Slurm, in whose place `lth.cli.config.slurm.Launcher` is used.
SLURM = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
REGISTERED: list[type[Any]] = []
INTERRUPTED = 130
RESTARTS = 3  # of a round whose launcher lost its workers
PATIENCE = 60.0  # seconds that a job waits when it is taken up a second time in a round
SHORTEST, LONGEST = 15.0, 240.0  # seconds that jobs wait in a round, once one has brought nothing


class JobFailed(Exception):
    """Tells a sweeper that is not one of lth's that a job failed; the job has printed why."""


@dataclass
class Task:
    """What Hydra calls with the configuration of each job. run: runs one. folder: endings of jobs, "" if the sweeper is
    not one of lth's. turns: job and patience of each number that the launcher counts up from `first`. steps: those that
    jobs of the sweep rewind to. words: the overrides of each job. tolerant: all is well if one job is. said: what the
    sweeper has found.
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
        """What goes to other processes."""
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
        """Where the ending of a job is noted."""
        return Path(self.folder) / f"{job}.json"


def _raise_if_interrupted(found: Ending, *, sweeping: bool) -> None:
    if sweeping and found.code == INTERRUPTED and os.environ.get("SUBMITIT_EXECUTOR"):
        raise SystemExit(found.code)  # of a process of its own, which has said why
    if sweeping and found.code == INTERRUPTED:
        raise KeyboardInterrupt


class Sweeper(Plugin):
    """The product of all values, in rounds; a job that is put off is in the next one. params: key -> values of a sweep,
    beside those of the command line. max_batch_size: jobs that the launcher gets at a time, at most.
    """

    hydra_context: HydraContext
    config: DictConfig
    launcher: Launcher
    task: Task

    def __init__(self, max_batch_size: int | None = None, params: Mapping[str, str] | None = None) -> None:
        self.size, self.params, self.number = max_batch_size, params or {}, 0

    def setup(self, *, hydra_context: HydraContext, task_function: Any, config: DictConfig) -> None:
        """Take what Hydra hands over."""
        self.hydra_context, self.config, self.task = hydra_context, config, task_function
        given: Any = {"hydra_context": hydra_context, "task_function": task_function, "config": config}
        self.launcher = Plugins.instance().instantiate_launcher(**given)

    def sweep(self, arguments: list[str]) -> None:
        """Run all jobs; how they ended is then in the task."""
        words = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        last = {word.partition("=")[0]: word for word in words}  # as everywhere, the last value of a key holds
        with self._folder():
            self.run([*last.values()])

    def run(self, arguments: Sequence[str]) -> None:
        """Run the jobs that these overrides stand for."""
        self.finish([*product(*expand(arguments))])

    def finish(self, jobs: Sequence[Sequence[str]]) -> list[Ending]:
        """Run these jobs until none is put off any more; returns how each ended."""
        begun = len(self.task.words)
        self.task.words |= {begun + number: words for number, words in enumerate(jobs)}
        configs = [self._composed(words) for words in jobs]
        rewinds = [config["rewind"] for config in configs if isinstance(config["rewind"], dict)]
        steps = {step for rewind in rewinds if isinstance(step := rewind.get("step"), int)}
        self.task.steps = sorted(steps.union(self.task.steps))
        names = [order.shared(config) for config in configs]
        left, patience = order.round_robin(range(begun, len(self.task.words)), names), 0.0
        while left:
            ended = self._round(left, patience if self._shares() else math.inf, few=len({*names}))
            self.task.endings |= ended
            left = [job for job in left if ended[job].waiting]
            idle = all(each.waiting and not each.trained for each in ended.values())
            patience = min(max(2 * patience, SHORTEST), LONGEST) if idle else 0.0
        return [self.task.endings[begun + number] for number in range(len(jobs))]

    def _composed(self, words: Sequence[str]) -> dict[str, Any]:
        """What decides the order of a job: its dense net and where it rewinds to. Raises Hydra's error if it has no
        configuration.
        """
        cfg = trial(self.hydra_context.config_loader.load_sweep_config(self.config, [*words]))
        return {key: _resolved(cfg, key) for key in (*order.TRAINING, "rewind")}

    def _round(self, jobs: Sequence[int], patience: float, *, few: int) -> dict[int, Ending]:
        """Launch these jobs; returns how each ended. few: so many of them can begin side by side."""
        again = patience == 0 and few < min(self._workers(), len(jobs))
        ended: dict[int, Ending] = {}
        size = self.size or len(jobs)
        for batch in (jobs[begin : begin + size] for begin in range(0, len(jobs), size)):
            ended |= self._launched([(job, patience) for job in batch] + [(job, PATIENCE) for job in batch] * again)
        return ended

    def _launched(self, turns: Sequence[tuple[int, float]]) -> dict[int, Ending]:
        """Launch jobs, and again if the launcher gave up since one of its workers was killed: what is stored is not
        redone, what was begun goes on.
        """
        for _ in range(RESTARTS):
            try:
                return self._once(turns)
            except BrokenProcessPool:
                self.task.endings[-1] = Ending(1)
                print("lth run: a worker of the launcher was killed; starting the other jobs again", file=sys.stderr)
        return self._once(turns)

    def _once(self, turns: Sequence[tuple[int, float]]) -> dict[int, Ending]:
        jobs = dict.fromkeys(job for job, _ in turns)
        for job in jobs:
            if ending.read(self.task.file(job)) is None:
                self.task.file(job).unlink(missing_ok=True)
        known = {job: found for job in jobs if (found := ending.read(self.task.file(job))) and not found.waiting}
        left = [(job, patience) for job, patience in turns if job not in known]
        return known | self._asked(left) if left else known

    def _asked(self, turns: Sequence[tuple[int, float]]) -> dict[int, Ending]:
        """What the launcher returns; if it raises instead, what the jobs have noted."""
        self.task.turns, self.task.first = turns, self.number
        self.number += len(turns)
        try:
            done = self.launcher.launch([self.task.words[job] for job, _ in turns], initial_job_idx=self.task.first)
        except (HydraException, OmegaConfBaseException, BrokenProcessPool):
            raise
        except Exception as error:
            if not any(self.task.file(job).exists() for job, _ in turns):
                raise  # the launcher did not get so far
            why = Ending(1, f"it did not end in the launcher's sight: {failure.named(error)}")
            return {job: ending.read(self.task.file(job)) or why for job, _ in turns}
        ended: dict[int, Ending] = {}
        for (job, _), each in zip(turns, map(_returned, done), strict=True):
            if job not in ended or ended[job].waiting:
                ended[job] = replace(each, trained=each.trained + ended.get(job, each).trained * (job in ended))
        return ended

    def _target(self) -> str:
        return str(self.config.hydra.launcher.get("_target_"))

    def _shares(self) -> bool:
        """True if a job that is put off leaves its place to another: not where each has a machine of its own."""
        return "joblib" in self._target() or "basic" in self._target()

    def _workers(self) -> int:
        """Jobs that run side by side on this machine."""
        wanted = int(self.config.hydra.launcher.get("n_jobs") or -1) if "joblib" in self._target() else 1
        return wanted if wanted > 0 else (os.cpu_count() or 1)

    @contextmanager
    def _folder(self) -> Iterator[None]:
        """The folder in which jobs of this sweep note how they ended, while it lasts."""
        place = Path(str(self.config.hydra.sweep.dir)) / f"endings-{platform.node()}-{os.getpid()}"
        place.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, place.parent / "multirun.yaml")  # as Hydra's own sweeper does
        self.task.folder = str(place.resolve())
        try:
            yield
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _returned(job: JobReturn) -> Ending:
    """How a job ended. (Its `return_value` would print and raise what it raised.)"""
    found = job._return_value
    return found if isinstance(found, Ending) else Ending(1, failure.named(found))


def _resolved(cfg: DictConfig, key: str) -> Any:
    """The value of a key; as it is written, if it depends on the job itself, as ${hydra:job.num} does."""
    node = cfg._get_node(key)
    try:
        return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else cfg[key]
    except OmegaConfBaseException:
        return str(node)


def wait_in_slurm() -> None:
    """Let the launcher of Slurm, if it is installed, wait for all jobs."""
    known = Plugins.instance().class_name_to_class
    if SLURM in known:
        from lth.cli.config.slurm import Launcher

        known[SLURM] = Launcher


def register(plugin: type[Any]) -> None:
    """Let Hydra find a plugin of lth's: it takes those of a package hydra_plugins alone."""
    name = f"hydra_plugins.lth_{plugin.__module__.rpartition('.')[2]}"
    sys.modules[name], plugin.__module__ = sys.modules[plugin.__module__], name
    REGISTERED.append(plugin)
    register_again()


def register_again() -> None:
    """Register the plugins of lth's once more: a launcher that ran a job in this process made Hydra forget them."""
    for plugin in REGISTERED:
        Plugins.instance().register(plugin)


def failures(task: Task) -> str:
    """A line for each job that failed, with its overrides and why, below a line that counts them; else empty."""
    failed = {job: each for job, each in task.endings.items() if each.code and job in task.words}
    lines = [f"job {shlex.join(task.words[job])}: {each.error}" for job, each in sorted(failed.items())]
    counted = f"{len(failed)} of {len(task.words)} failed; the others are stored"
    return "\n".join([f"lth run: not all jobs of the sweep finished: {counted}", *lines, ""]) if lines else ""


def summary(task: Task) -> str:
    """What the sweeper has found, and a line on what sharing saves, if the jobs were planned."""
    plans = [each.planned for each in task.endings.values() if each.planned]
    distinct = {name: steps for plan in plans for name, steps in plan.items()}
    alone = sum(sum(plan.values()) for plan in plans)
    if len(plans) < 2:
        return task.said
    return (f"sweep of {len(plans):,} jobs: {sum(map(len, plans)):,} trainings, {len(distinct):,} of them distinct; "
            f"{sum(distinct.values()):,} steps in place of {alone:,}\n")  # fmt: skip


register(Sweeper)
