"""Runs one job for `lth run` and reports its outcome."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lth import UserError
from lth import job as jobs
from lth.cli import plan, results
from lth.cli.console import console, log_to_console
from lth.cli.display import Display, interruptible
from lth.cli.results import Results
from lth.cli.tracking import Silent
from lth.engine import Interrupted
from lth.job import Job
from lth.store import Store
from lth.store.environment import peak_memory
from lth.store.store import Keep
from lth.ticket import Trained

FINISHED, FAILED, INTERRUPTED = 0, 1, 130
PATIENCE = 0.5  # seconds that the end of a run waits for a record that another process writes


@dataclass(frozen=True)
class Setting:
    """Settings of a run that change no result. tracking: makes the job's tracker. sweeping: one of several jobs."""

    root: Path
    tracking: Callable[..., Silent]
    config: Mapping[str, Any]
    keep: Keep = "all"
    threads: int = 1
    plan: bool = False
    sweeping: bool = False


def run(build: Callable[[], Job], setting: Setting) -> int:
    """Build a job, run it and print its outcome; returns the exit code: 0, 1 (failed) or 130 (interrupted)."""
    torch.set_num_threads(setting.threads)
    log_to_console()
    store = Store(setting.root, keep=setting.keep)
    try:
        job = build()
        job.record(store, job.replicates[0])  # describes the job, so that what has no description is an error at once
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        console.print(f"failed: {error}", style="red", markup=False)
        return FAILED
    if setting.plan:
        plan.show(job, store)
        return FINISHED
    return _recorded(job, setting, store)


class Diverged(Exception):
    """Trainings of some replicates diverged (replicate -> error); everything else is finished."""

    def __init__(self, failures: Mapping[int, str]) -> None:
        super().__init__(failures)
        self.failures = failures


def _recorded(job: Job, setting: Setting, store: Store) -> int:
    """Run a job; its outcome is written to its records and printed."""
    found, failures = Results(setting.root, job.name), dict[int, str]()
    try:
        jobs.status(job, store, "running")
        _train(job, setting, store, found)
    except Diverged as error:
        failures |= error.failures
    except Interrupted:
        _end(job, store, "interrupted")
        _print(job, f"stopped. All progress is saved under {store.root}; the same command continues from here.")
        return INTERRUPTED
    except (ValueError, OSError, RuntimeError) as error:
        _end(job, store, "failed", f"{type(error).__name__}: {error}")
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", []))
        _print(job, f"failed: {error}{notes}", style="red")
        return FAILED
    except KeyboardInterrupt:
        _end(job, store, "interrupted")
        return INTERRUPTED
    except BaseException as error:
        _end(job, store, "failed", f"{type(error).__name__}: {error}")
        raise
    for replicate in job.replicates:
        outcome = "failed" if replicate in failures else "finished"
        jobs.status(replace(job, replicates=[replicate]), store, outcome, failures.get(replicate, ""))
    if not setting.sweeping:
        results.show(found)
        console.print(f"memory  {peak_memory():.2f} GB at most")
    return FAILED if failures else FINISHED


def _train(job: Job, setting: Setting, store: Store, found: Results) -> None:
    """Train all tickets of a job under its tracker; raises Diverged once everything that can be is finished."""
    name = f"{job.name}-{','.join(map(str, job.replicates))}"
    with setting.tracking(group=job.name, name=name, folder=setting.root, config=setting.config) as tracker:
        live = console.is_terminal and not setting.sweeping
        display = Display(console, len(job.places()), job.recipe.steps, live=live, evaluated=tracker.evaluated)

        def trained(result: Trained) -> None:
            tracker.trained(result)
            display.trained(result)

        store.wait = display.check
        with interruptible(display), display, _last_step_noted(display):
            jobs.run(job, store, display, trained)
        tracker.figures(lambda: found.images)
        if display.failures:
            raise Diverged(display.failures)


@contextlib.contextmanager
def _last_step_noted(display: Display) -> Iterator[None]:
    """Add the last step reached to errors that don't name one."""
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        error.add_note(f"after {display.reached()}")
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


def _print(job: Job, message: str, style: str | None = None) -> None:
    replicates = ", ".join(map(str, job.replicates))
    console.print(f"{job.name}, replicate {replicates}: {message}", style=style, markup=False)
