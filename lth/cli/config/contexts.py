"""Contexts in which Hydra runs: its errors, its lines and files, signals, and what is shown meanwhile."""

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from lth.cli.config import apart
from lth.cli.handlers import handlers, outlived, variable


@contextmanager
def announced(what: str) -> Iterator[None]:
    """Show a message on a terminal while the block runs."""
    shown = what if sys.stderr.isatty() else ""
    print(shown, end="\r" * bool(shown), file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print(" " * len(shown), end="\r" * bool(shown), file=sys.stderr, flush=True)


@contextmanager
def signals_handled(sweeping: bool) -> Iterator[None]:
    """Deal with signals while no job of this process trains."""
    with _delayed_interrupt(sweeping), apart.passed_on() if sweeping else outlived():
        yield


def hydra_raises() -> AbstractContextManager[None]:
    """Let Hydra pass exceptions on; otherwise it prints their tracebacks and exits."""
    return variable("HYDRA_FULL_ERROR", "1")


@contextmanager
def hydra_quiet() -> Iterator[None]:
    """Drop the line in which Hydra names the first job that failed: each has named itself."""
    stream, write = sys.stderr, sys.stderr.write
    named = "Error executing job with overrides"
    vars(stream)["write"] = lambda text: len(text) if text.startswith(named) else write(text)
    try:
        yield
    finally:
        del vars(stream)["write"]


@contextmanager
def hydra_folder_overrides(*, planning: bool) -> Iterator[list[str]]:
    """Overrides that keep the files of Hydra out of the store while a plan is made, which only looks."""
    if not planning:
        yield []
        return
    with tempfile.TemporaryDirectory() as folder:
        yield [f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}"]


@contextmanager
def _delayed_interrupt(sweeping: bool) -> Iterator[None]:
    """Give the jobs of a sweep, which Ctrl-C reaches too, time to end a step and save before their launcher kills
    them.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        apart.wait_for_jobs(apart.SAVING)
        raise KeyboardInterrupt

    with handlers({signal.SIGINT: interrupt} if sweeping else {}):
        yield
