"""Handlers of signals for a while. Imports nothing heavy; see `signals` for what a job does with them."""

import os
import signal
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

# What schedulers send before they end a job.
NOTICES = (signal.SIGUSR1, signal.SIGUSR2)


def hangups() -> list[int]:
    """SIGHUP, which a terminal sends that is closed, unless it is ignored (nohup)."""
    return [] if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [signal.SIGHUP]


def in_slurm() -> bool:
    """True in a job of Slurm."""
    return bool(os.environ.get("SLURM_JOB_ID"))


@contextmanager
def handlers(own: Mapping[int, Any]) -> Iterator[dict[int, Any]]:
    """Set handlers by signal; gives those that were there before, which come back in the end. Signals reach the main
    thread alone: in another one nothing is set.
    """
    if threading.current_thread() is not threading.main_thread():
        yield {}
        return
    before = {number: signal.signal(number, handler) for number, handler in own.items()}
    try:
        yield before
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable in this block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def outlived() -> Iterator[None]:
    """Keep signals from killing the process while there is nothing to save: SIGHUP ends it as Ctrl-C does, and so does
    SIGTERM outside Slurm; the others do nothing. Only where no handler is set.
    """
    own = {
        signal.SIGTERM: ignore if in_slurm() else stop,
        signal.SIGHUP: hang_up,
        **dict.fromkeys(NOTICES, ignore),
    }
    with handlers({number: each for number, each in own.items() if signal.getsignal(number) == signal.SIG_DFL}):
        yield


def ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing. Processes that are started meanwhile don't inherit it, as they do SIG_IGN."""


def hang_up(number: int, frame: FrameType | None) -> None:
    """End as with Ctrl-C, without a word to the terminal that is gone."""
    leave_terminal()
    raise KeyboardInterrupt


def leave_terminal() -> None:
    """Give what is printed to nobody, where it went to a terminal: to write to one that is closed is an error."""
    for stream in (1, 2):
        with suppress(OSError):  # of a process without such a stream
            if stat.S_ISCHR(os.fstat(stream).st_mode):
                give_to_nobody(stream)


def give_to_nobody(stream: int) -> None:
    """Drop what is printed to a stream from now on."""
    nobody = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nobody, stream)
    os.close(nobody)


def stop(number: int, frame: FrameType | None) -> None:
    """End as with Ctrl-C."""
    raise KeyboardInterrupt
