"""A sweep: its jobs, in rounds.

A job that needs what another process trains is put off while there are others, so that the same command on several
machines shares a sweep by the store alone.
"""

import math
import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper as Plugin
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lth.cli.config import order
from lth.cli.config.launch import launched
from lth.cli.config.machine import cores
from lth.cli.config.overrides import expand, is_group
from lth.cli.config.plugins import register
from lth.cli.config.task import Task
from lth.cli.config.trial import trial
from lth.cli.console import console
from lth.cli.ending import Ending
from lth.store.file import make_folder

PATIENCE = 60.0  # seconds that a job waits when it is taken up a second time in a round
SHORTEST, LONGEST = 15.0, 240.0  # seconds that jobs wait in a round, once one has brought nothing


class Sweeper(Plugin):
    """The product of all values, in rounds; a job that is put off is in the next one. max_batch_size: jobs that the
    launcher gets at a time, at most. params, of hydra.sweeper.params, are among the overrides already.
    """

    hydra_context: HydraContext
    config: DictConfig
    launcher: Launcher
    task: Task

    def __init__(self, max_batch_size: int | None = None, params: Mapping[str, str] | None = None) -> None:
        self.size = max_batch_size
        self.composed: dict[tuple[str, ...], DictConfig] = {}

    def setup(self, *, hydra_context: HydraContext, task_function: Any, config: DictConfig) -> None:
        """Take what Hydra hands over."""
        self.hydra_context, self.config, self.task = hydra_context, config, task_function
        given: Any = {"hydra_context": hydra_context, "task_function": task_function, "config": config}
        self.launcher = Plugins.instance().instantiate_launcher(**given)

    def sweep(self, arguments: list[str]) -> None:
        """Run all jobs; how they ended is then in the task."""
        last = {word.partition("=")[0]: word for word in arguments}  # as everywhere, the last value of a key holds
        with self._folder():
            self.run([*last.values()])

    def run(self, arguments: Sequence[str]) -> None:
        """Run the jobs that these overrides stand for."""
        jobs = [*product(*expand(arguments))]
        if len(jobs) > 1 and not self.config.get("plan"):
            console.print(f"{len(jobs)} jobs", style="dim")
        self.finish(jobs)

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
        """Configuration that decides the order of a job: its dense net and where it rewinds to. Raises Hydra's
        error if it has no configuration.
        """
        values = [word for word in words if re.match(r"\w[\w.]*=", word) and not is_group(word)]
        cfg = self._of_groups(tuple(word for word in words if word not in values)).copy()
        for each in OverridesParser.create().parse_overrides(values):
            OmegaConf.update(cfg, each.key_or_group, each.value(), merge=True)
        small = trial(cfg)
        return {key: _resolved(small, key) for key in (*order.TRAINING, "rewind")}

    def _of_groups(self, words: tuple[str, ...]) -> DictConfig:
        """The configuration of some groups, composed once: it takes Hydra a quarter of a second."""
        if words not in self.composed:
            self.composed[words] = self.hydra_context.config_loader.load_sweep_config(self.config, [*words])
        return self.composed[words]

    def _round(self, jobs: Sequence[int], patience: float, *, few: int) -> dict[int, Ending]:
        """Launch these jobs; returns how each ended. few: the number that can begin side by side."""
        again = patience == 0 and few < min(self._workers(), len(jobs))
        ended: dict[int, Ending] = {}
        size = self.size or len(jobs)
        for batch in (jobs[begin : begin + size] for begin in range(0, len(jobs), size)):
            turns = [(job, patience) for job in batch] + [(job, PATIENCE) for job in batch] * again
            ended |= launched(self.launcher, self.task, turns)
        return ended

    def _target(self) -> str:
        return str(self.config.hydra.launcher.get("_target_"))

    def _shares(self) -> bool:
        """True if a job that is put off leaves its place to another: not where each has a machine of its own."""
        return "joblib" in self._target() or "basic" in self._target()

    def _workers(self) -> int:
        """Jobs that run side by side on this machine."""
        wanted = int(self.config.hydra.launcher.get("n_jobs") or -1) if "joblib" in self._target() else 1
        return wanted if wanted > 0 else cores()

    @contextmanager
    def _folder(self) -> Iterator[None]:
        """The folder in which jobs of this sweep note how they ended, while it lasts."""
        place = Path(str(self.config.hydra.sweep.dir)) / f"endings-{platform.node()}-{os.getpid()}"
        make_folder(place)
        OmegaConf.save(self.config, place.parent / "multirun.yaml")  # as Hydra's own sweeper does
        self.task.folder = str(place.resolve())
        try:
            yield
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _resolved(cfg: DictConfig, key: str) -> Any:
    """The value of a key; as it is written, if it depends on the job itself, as ${hydra:job.num} does."""
    node = cfg._get_node(key)
    try:
        return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else cfg[key]
    except OmegaConfBaseException:
        return str(node)


register(Sweeper)
