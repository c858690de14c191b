"""Runs one job for `lth run` and reports its outcome."""

import contextlib
import logging
import math
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lth import UserError
from lth import job as jobs
from lth.cli import failure, objective, plan, results, tracked
from lth.cli.console import console, log_to_console
from lth.cli.display import Display, interruptible
from lth.cli.ending import Ending
from lth.cli.lenient import Lenient
from lth.cli.results import Results
from lth.cli.signals import Ended
from lth.cli.tracking import Silent
from lth.engine import Interrupted
from lth.job import Job
from lth.store import Store
from lth.store.environment import peak_memory
from lth.store.store import Busy, Keep
from lth.ticket import Trained

log = logging.getLogger("lth")
FINISHED, FAILED, INTERRUPTED = 0, 1, 130
PATIENCE = 0.5  # seconds that the end of a run waits for a record that another process writes


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


def run(build: Callable[[], Job], setting: Setting) -> Ending:
    """Build a job, run it and print its outcome; returns it, with the exit code 0, 1 (failed) or 130 (interrupted)."""
    torch.set_num_threads(setting.threads)
    log_to_console()
    store = Store(setting.root, keep=setting.keep, patience=setting.patience)
    try:
        job = build()
        job.record(store, job.replicates[0])  # describes the job, so that what has no description is an error at once
        objective.check(setting.objective, job)
        if setting.plan:
            return Ending(planned=plan.show(job, store, " ".join(_told_apart(setting))))
        if store.patience < math.inf:
            jobs.wait(job, store)
        tracker = _tracker(job, setting)
    except Busy as error:
        return _put_off(job, setting, store, error)
    except (Exception, SystemExit) as error:
        return _failed("", error, setting)
    try:
        return _recorded(job, setting, store, Lenient(tracker))
    except Busy as error:
        return _put_off(job, setting, store, error)


def _put_off(job: Job, setting: Setting, store: Store, error: Busy) -> Ending:
    """Leave a job to be taken up again."""
    _end(job, store, "waiting")
    words = shlex.join(tracked.told_apart(setting.overrides, setting.swept))
    console.print(f"put off {words}: {error}", style="dim", markup=False)
    return Ending(waiting=True, trained=error.trained)


def _tracker(job: Job, setting: Setting) -> Silent:
    """The tracker of a job; none if its process on this machine is killed while it starts, as in a preemption."""
    try:
        return _new_tracker(job, setting, setting.tracking)
    except ConnectionError as error:
        log.warning("tracking: %s; the training goes on without", failure.explain(error))
        return _new_tracker(job, setting, Silent)


def _new_tracker(job: Job, setting: Setting, tracking: Callable[..., Silent]) -> Silent:
    """A tracker with the id, name and tags of the job's run."""
    words = tracked.told_apart(setting.overrides, setting.swept)
    return tracking(
        group=job.name,
        name=tracked.title(job, words if setting.sweeping else ()),
        folder=setting.root,
        config=setting.config,
        identity=tracked.run_id(job, setting.root, words if setting.sweeping else ()),
        tags=tracked.tags(words),
    )


def _told_apart(setting: Setting) -> list[str]:
    """The overrides that tell a job of a sweep apart; none of a single job."""
    return tracked.told_apart(setting.overrides, setting.swept) if setting.swept else []


def _swept(setting: Setting) -> str:
    """The overrides that tell a job of a sweep apart, beside its replicate, which every line names."""
    return " ".join(tracked.beside_replicate(_told_apart(setting)))


class Diverged(Exception):
    """Trainings of some replicates diverged (replicate -> error); everything else is finished."""

    def __init__(self, failures: Mapping[int, str]) -> None:
        super().__init__(failures)
        self.failures = failures


def _recorded(job: Job, setting: Setting, store: Store, tracker: Silent) -> Ending:
    """Run a job; its outcome is written to its records and printed. Raises Busy."""
    found, failures, label, done = Results(setting.root, job.name), dict[int, str](), _label(job), list[Trained]()
    try:
        jobs.status(job, store, "running")
        done = _train(job, setting, store, tracker, found)
    except Busy:
        raise
    except Diverged as error:
        failures |= error.failures  # which the display has printed
    except Interrupted:
        _end(job, store, "interrupted")
        stopped = f"stopped. All progress is saved under {store.root}; the same command continues from here."
        console.print(f"{label}{stopped}", markup=False)
        return Ending(INTERRUPTED)
    except KeyboardInterrupt:
        _end(job, store, "interrupted")
        return Ending(INTERRUPTED)
    except Ended as error:
        _end(job, store, "interrupted")
        return _handed_on(label, error, setting)
    except (Exception, SystemExit) as error:
        _end(job, store, "failed", failure.named(error))
        return _failed(label, error, setting)
    for replicate in job.replicates:
        outcome = "failed" if replicate in failures else "finished"
        jobs.status(replace(job, replicates=[replicate]), store, outcome, failures.get(replicate, ""))
    if not setting.sweeping:
        results.show(found, setting.typed)
        console.print(f"memory  {peak_memory():.2f} GB at most")
    if failures:
        return Ending(FAILED, "; ".join(failures.values()), objective=objective.undefined(setting.objective))
    return Ending(trained=_count(done), objective=objective.value(setting.objective, done))


def _train(job: Job, setting: Setting, store: Store, tracker: Silent, found: Results) -> list[Trained]:
    """Train all tickets of a job under its tracker; raises Diverged once everything that can be is finished."""
    done, busy = list[Trained](), None
    with tracker:
        live = console.is_terminal and not setting.sweeping
        given: Any = {"live": live, "evaluated": tracker.evaluated, "label": _swept(setting)}
        display = Display(console, len(job.places()) + len(jobs.origin_places(job)), job.recipe.steps, **given)

        def trained(result: Trained) -> None:
            done.append(result)
            tracker.trained(result)
            display.trained(result)

        store.wait = display.check
        with interruptible(display), display, _last_step_noted(display):
            try:
                jobs.run(job, store, display, trained, setting.steps, display.trained)
            except Busy as error:  # nothing for a tracker to know
                busy = error
        if not setting.sweeping:  # the command that launched a sweep draws once, in the end
            tracker.figures(lambda: found.images)
        if display.failures and not busy:
            raise Diverged(display.failures)
    if busy:
        busy.trained = _count(done)
        raise busy
    return done


def _count(done: Sequence[Trained]) -> int:
    """Number of those that were trained here."""
    return sum(not each.facts.get("stored") for each in done)


@contextlib.contextmanager
def _last_step_noted(display: Display) -> Iterator[None]:
    """Add the last step reached, and its ticket, to errors."""
    try:
        yield
    except (Exception, SystemExit) as error:
        error.add_note(display.reached(failure.ticket(error)))
        raise


def _end(job: Job, store: Store, status: str, error: str = "") -> None:
    begun = time.monotonic()

    def wait() -> None:
        if time.monotonic() - begun > PATIENCE:
            raise Interrupted

    store.wait = wait
    # The disk may be what failed, another process may hold the record, or a newer version may have written it.
    with contextlib.suppress(OSError, Interrupted, UserError):
        jobs.status(job, store, status, error)


def _handed_on(label: str, error: Ended, setting: Setting) -> Ending:
    """The ending after a signal was handed on: the process ends as its handler wants, such as submitit's that has
    requeued the job, or the job fails with the handler's words.
    """
    if not isinstance(error.how, Exception):
        raise error.how
    saved = f"All progress is saved under {setting.root}; the same command continues from here."
    line = f"stopped: {failure.words(error.how)} {saved}"
    _say(f"{label}{line}", setting)
    return Ending(FAILED, line)


def _label(job: Job) -> str:
    return f"{job.name}, replicate {', '.join(map(str, job.replicates))}: "


def _failed(label: str, error: BaseException, setting: Setting) -> Ending:
    """Print why a job failed."""
    trace, line = failure.report(error, debug=setting.debug)
    _say(f"{label}failed: {line}", setting, trace)
    return Ending(FAILED, failure.explain(error), objective=objective.undefined(setting.objective))


def _say(line: str, setting: Setting, trace: str = "") -> None:
    """Print the line of a failure, behind its traceback, and in a sweep behind the overrides of the job."""
    job = f"job {shlex.join(setting.overrides)}\n" if setting.sweeping else ""
    console.print(f"{trace}{job}{line}", style="red", markup=False)
