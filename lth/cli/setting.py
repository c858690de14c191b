"""Settings of a run that change no result, and its tracker."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lth.cli import failure, tracked
from lth.cli.tracking import Silent
from lth.job import Job
from lth.store.store import Keep

log = logging.getLogger("lth")


@dataclass(frozen=True)
class Setting:
    """Settings of a run that change no result. tracking: makes the job's tracker. sweeping: one of several jobs.
    overrides: those of the job, for its messages in a sweep. swept: keys of which the sweep has several values. typed:
    what the user gave. debug: show tracebacks. objective: columns that a sweeper optimizes. patience: seconds that a
    training of another process is waited for before the job is put off. steps: those that other jobs of the sweep
    rewind to.
    """

    root: Path
    tracking: Callable[..., Silent]
    config: Mapping[str, Any]
    keep: Keep = "all"
    threads: int = 1
    plan: bool = False
    sweeping: bool = False
    overrides: Sequence[str] = ()
    swept: Sequence[str] = ()
    typed: Sequence[str] = ()
    debug: bool = False
    objective: str | Sequence[str] | None = None
    patience: float = math.inf
    steps: Sequence[int] = ()

    @property
    def told_apart(self) -> list[str]:
        """The overrides that tell a job of a sweep apart; none of a single job."""
        return self.identifying if self.swept else []

    @property
    def identifying(self) -> list[str]:
        """The overrides that identify a job: in a sweep those of the swept keys, else those that decide its result."""
        return tracked.told_apart(self.overrides, self.swept)

    def tracker(self, job: Job) -> Silent:
        """The tracker of a job; none if its process on this machine is killed while it starts, as in a preemption."""
        try:
            return self._new_tracker(job, self.tracking)
        except ConnectionError as error:
            log.warning("tracking: %s; the training goes on without", failure.explain(error))
            return self._new_tracker(job, Silent)

    def _new_tracker(self, job: Job, tracking: Callable[..., Silent]) -> Silent:
        """A tracker with the id, name and tags of the job's run."""
        words = self.identifying if self.sweeping else ()
        return tracking(
            group=job.name,
            name=tracked.title(job, words),
            folder=self.root,
            config=self.config,
            identity=tracked.run_id(job, self.root, words),
            tags=tracked.tags(self.identifying),
        )
