"""Runs one job for `lth run` and reports its outcome."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from lth import job as jobs
from lth.cli import failure, objective, outcome, plan, results, tracked
from lth.cli.console import ReaderLeft, console, log_to_console
from lth.cli.display import Display
from lth.cli.ending import FAILED, Ending
from lth.cli.lenient import Lenient
from lth.cli.results import Results
from lth.cli.setting import Setting
from lth.cli.signals import Ended, handed_on
from lth.cli.tracking import Silent
from lth.engine import Interrupted
from lth.job import Job
from lth.store import Store
from lth.store.environment import peak_memory
from lth.store.store import Busy
from lth.ticket import Trained


def run(build: Callable[[], Job], setting: Setting) -> Ending:
    """Build a job, run it and print its outcome; returns it, with the exit code 0, 1 (failed) or 130 (interrupted)."""
    torch.set_flush_denormal(True)  # before PyTorch starts threads of its own, which take it from this one
    torch.set_num_threads(setting.threads)
    log_to_console()
    store = Store(setting.root, keep=setting.keep, patience=setting.patience)
    try:
        with handed_on():
            return _run(build, setting, store)
    except Ended as error:
        return outcome.handed_on("", error, setting)


def _run(build: Callable[[], Job], setting: Setting, store: Store) -> Ending:
    try:
        job = build()
        job.record(store, job.replicates[0])  # describes the job, so that what has no description is an error at once
        objective.check(setting.objective, job)
        if setting.plan:
            planned, found = plan.show(job, store, " ".join(setting.told_apart))
            return Ending(planned=planned, objective=objective.value(setting.objective, found))
        if store.patience < math.inf:
            jobs.wait(job, store)
        tracker = setting.tracker(job)
    except Busy as error:
        return outcome.put_off(job, setting, store, error)
    except ReaderLeft:
        raise
    except (Exception, SystemExit) as error:
        return outcome.failed("", error, setting)
    try:
        return _recorded(job, setting, store, Lenient(tracker))
    except Busy as error:
        return outcome.put_off(job, setting, store, error)


class Diverged(Exception):
    """Trainings of some replicates diverged (replicate -> error); everything else is finished."""

    def __init__(self, failures: Mapping[int, str]) -> None:
        super().__init__(failures)
        self.failures = failures


def _recorded(job: Job, setting: Setting, store: Store, tracker: Silent) -> Ending:
    """Run a job; its outcome is written to its records and printed. Raises Busy."""
    found, failures, done = Results(setting.root, job.name), dict[int, str](), list[Trained]()
    try:
        jobs.status(job, store, "running")
        done = _train(job, setting, store, tracker, found)
    except Busy:
        raise
    except Diverged as error:
        failures |= error.failures  # which the display has printed
    except (Interrupted, KeyboardInterrupt, Ended) as error:
        return outcome.interrupted(job, setting, store, error)
    except (Exception, SystemExit) as error:
        outcome.end(job, store, "failed", failure.named(error))
        return outcome.failed(outcome.name(job), error, setting)
    for replicate in job.replicates:
        status = "failed" if replicate in failures else "finished"
        jobs.status(replace(job, replicates=[replicate]), store, status, failures.get(replicate, ""))
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
        words = tracked.beside_replicate(setting.told_apart)  # every line names the replicate
        live = console.is_terminal and not setting.sweeping
        given: Any = {"live": live, "evaluated": tracker.evaluated, "label": " ".join(words)}
        display = Display(console, jobs.planned(job), **given)

        def trained(result: Trained) -> None:
            done.append(result)
            tracker.trained(result)
            display.trained(result)

        store.wait = display.check
        with display.signals.handled(), display, _last_step_noted(display):
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
