"""Outcomes of a job of `lth run`: what its records say then, what is printed, and the exit code."""

import contextlib
import shlex
import sys
from pathlib import Path

from lth import UserError
from lth import job as jobs
from lth.cli import failure, objective
from lth.cli.console import console
from lth.cli.ending import FAILED, INTERRUPTED, Ending
from lth.cli.setting import Setting
from lth.cli.signals import Ended
from lth.engine import Interrupted
from lth.job import Job
from lth.store import Store
from lth.store.locks import until
from lth.store.store import Busy

PATIENCE = 0.5  # seconds that the end of a run waits for a record that another process writes


def name(job: Job) -> str:
    """Prefix of a message: the job and its replicates."""
    return f"{job.name}, replicate {', '.join(map(str, job.replicates))}: "


def put_off(job: Job, setting: Setting, store: Store, error: Busy) -> Ending:
    """Leave a job to be taken up again."""
    end(job, store, "waiting")
    console.print(f"put off {shlex.join(setting.identifying)}: {error}", style="dim", markup=False)
    return Ending(waiting=True, trained=error.trained)


def interrupted(job: Job, setting: Setting, store: Store, error: BaseException) -> Ending:
    """The ending of a job that Ctrl-C or a signal stopped."""
    end(job, store, "interrupted")
    if isinstance(error, Ended):
        return handed_on(name(job), error, setting)
    at_once = "stopped at once; the same command continues from what was saved last"
    said = name(job) + (f"stopped. {_saved(store.root)}" if isinstance(error, Interrupted) else at_once)
    console.print(said, markup=False)
    if console.quiet:  # nobody reads it
        print(said, file=sys.stderr)
    return Ending(INTERRUPTED)


def end(job: Job, store: Store, status: str, error: str = "") -> None:
    """Write how a job ended to its records, if they can be written."""
    store.wait = until(PATIENCE, Interrupted())
    # The disk may be what failed, another process may hold the record, or a newer version may have written it.
    with contextlib.suppress(OSError, Interrupted, UserError):
        jobs.status(job, store, status, error)


def handed_on(label: str, error: Ended, setting: Setting) -> Ending:
    """The ending after a signal was handed on: the process ends as its handler wants, such as submitit's that has
    requeued the job, or the job fails with the handler's words.
    """
    if not isinstance(error.how, Exception):
        raise error.how
    line = f"stopped: {failure.words(error.how)} {_saved(setting.root)}"
    _say(f"{label}{line}", setting)
    return Ending(FAILED, line)


def failed(label: str, error: BaseException, setting: Setting) -> Ending:
    """Print why a job failed."""
    trace, line = failure.report(error, debug=setting.debug)
    _say(f"{label}failed: {line}", setting, trace)
    return Ending(FAILED, failure.explain(error), objective=objective.undefined(setting.objective))


def _saved(root: Path) -> str:
    return f"All progress is saved under {root}; the same command continues from here."


def _say(line: str, setting: Setting, trace: str = "") -> None:
    """Print the line of a failure, behind its traceback, and in a sweep behind the overrides of the job."""
    job = f"job {shlex.join(setting.overrides)}\n" if setting.sweeping else ""
    console.print(f"{trace}{job}{line}", style="red", markup=False)
