"""`lth status`: what is running, waiting, dead, failed, stopped and done, of each experiment in a store."""

import argparse
import contextlib
import json
import shutil
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from itertools import groupby

from rich.live import Live
from rich.text import Text

from lth.cli.console import Terminal, csv_text, duration, log_to_console, number_of
from lth.cli.ending import INTERRUPTED
from lth.store.every import unknown
from lth.store.names import shown as printable
from lth.store.status import STATES, JobStatus, status
from lth.store.watch import Watch

WIDTH = 100  # characters, of which a narrower terminal shows fewer
EVERY = 2.0  # seconds between two looks


def main(arguments: argparse.Namespace) -> int:
    """Print the state of every job, or of those of some experiments; returns the exit code."""
    log_to_console(stderr=True)
    if arguments.watch:
        with contextlib.suppress(KeyboardInterrupt):  # which is its end
            _watch(arguments)
        return INTERRUPTED
    jobs, problems = _look(arguments, Watch())
    print(_printed(arguments, jobs, problems))
    print(end="".join(f"{problem}\n" for problem in problems), file=sys.stderr)
    return 0


def _watch(arguments: argparse.Namespace) -> None:
    """Look again and again, until Ctrl-C. On a terminal the text is drawn anew, else printed when it changes."""
    watch, before, console = Watch(), "", Terminal(highlight=False)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            jobs, problems = _look(arguments, watch)
            shown = "\n".join([_printed(arguments, jobs, problems), *problems])
            if console.is_terminal:
                live.update(Text(shown), refresh=True)
            elif shown != before:
                print(shown, flush=True)
            before = shown
            time.sleep(EVERY)


def _look(arguments: argparse.Namespace, watch: Watch) -> tuple[list[JobStatus], list[str]]:
    """The jobs that are asked for; raises UserError for an experiment that is not stored."""
    jobs, problems = status(arguments.runs, watch)
    known = dict.fromkeys(job.experiment for job in jobs)
    for name in arguments.name:
        if name not in known:
            raise unknown(arguments.runs, name, known)
    return [job for job in jobs if not arguments.name or job.experiment in arguments.name], problems


def _printed(arguments: argparse.Namespace, jobs: Sequence[JobStatus], problems: Sequence[str]) -> str:
    if arguments.format == "json":
        return json.dumps([asdict(job) for job in jobs], indent=1)
    if arguments.format == "csv":
        return csv_text([[field.name for field in fields(JobStatus)], *(asdict(job).values() for job in jobs)])
    nothing = f"no job is stored under {arguments.runs}; lth run trains, --runs names another folder"
    if problems:
        nothing = f"no job under {arguments.runs} can be read"
    width = min(WIDTH, shutil.get_terminal_size().columns) if sys.stdout.isatty() else WIDTH
    return "\n".join(text(jobs, width)) or nothing


def text(jobs: Sequence[JobStatus], width: int = WIDTH) -> Iterator[str]:
    """A block for each experiment: how many jobs are in which state, and a line for each that is not done."""
    for number, (experiment, group) in enumerate(groupby(jobs, key=lambda job: job.experiment)):
        own = [*group]
        if number:
            yield ""
        yield from _wrapped(f"{experiment}: {_counts(own)}", width, "", "  ")
        yield from (line for job in own if job.state != "done" for line in _lines(job, width))


def _counts(jobs: Sequence[JobStatus]) -> str:
    counted = Counter(job.state for job in jobs)
    found = [f"{counted[state]} {state}" for state in reversed(STATES) if counted[state]]
    return f"{number_of(len(jobs), 'job')}, {', '.join(found)}"


def _lines(job: JobStatus, width: int) -> Iterator[str]:
    """The line of a job; if it is too long, what it does stands below what it is."""
    front, what = f"  {job.state:<8} {printable(job.words)}", printable("; ".join(_parts(job)))
    if len(front) + 2 + len(what) <= width:
        yield f"{front}  {what}"
    else:
        yield from _wrapped(front.lstrip(), width, "  ", " " * 11)
        yield from _wrapped(what, width, " " * 11, " " * 11)


def _parts(job: JobStatus) -> Iterator[str]:
    if job.state == "failed":
        yield (job.error.splitlines() or ["no reason was recorded"])[0]
        return
    most = max(job.planned, job.trainings)
    yield (f"{job.trainings} of " if job.planned else "") + number_of(most, "training")
    if job.step is not None:
        yield f"step {job.step:,}" + (f" of {job.steps:,}" if job.steps else "")
    if job.left is not None:
        yield f"about {duration(job.left)} left"
    if job.state == "waiting":
        yield "waits for a training that another job holds"
    if job.state == "dead":
        yield "no process is known to run it" if job.silent is None else f"no sign of life for {_ago(job.silent)}"
        yield from [] if job.saved is None else [f"saved {_ago(job.saved)} ago"]
    if job.host:
        yield f"{job.host}:{job.pid} since {_when(job.since)}"


def _ago(seconds: float) -> str:
    """A time in its largest unit: "40 s", "5 min", "3 h", "2 days"."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _when(since: str) -> str:
    """A time of this machine's zone: "14:02", or "Nov 26, 14:02" on another day."""
    try:
        at = datetime.fromisoformat(since).astimezone()
    except ValueError:
        return since
    return f"{at:%H:%M}" if at.date() == datetime.now().astimezone().date() else f"{at:%b %d, %H:%M}"


def _wrapped(text: str, width: int, first: str, rest: str) -> list[str]:
    """Lines of at most `width` characters, with these indents."""
    return textwrap.wrap(text, max(width, 40), initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
