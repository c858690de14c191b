"""Signals of a job that trains, each dealt with between two steps.

- Ctrl-C saves and stops; a second one stops at once.
- SIGTERM saves and stops, as Kubernetes, systemd and `kill` mean it.
- SIGHUP, of a terminal that is closed, saves and stops, unless it is ignored (nohup).
- SIGTERM in a job of Slurm saves and trains on: a job that ends within the grace time of its preemption has failed to
  Slurm, and is not requeued. Another one, at the end of that time, saves and stops.
- SIGUSR1 and SIGUSR2 save, then call the handler that was there before (submitit's requeues the job). Without one, the
  training goes on. Before and after the trainings there is nothing to save.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lth.cli.handlers import NOTICES, handlers, hangups, in_slurm, leave_terminal
from lth.engine import Interrupted

# Seconds within which SIGTERM counts once: schedulers send it to all processes of a job, and some of these pass it on.
AT_ONCE = 2.0
# The same of Ctrl-C, which a terminal sends to all processes, and some, such as timeout, pass on.
TWICE = 0.5


class Ended(BaseException):
    """A signal was handed on to a handler that ended the job by this exception."""

    def __init__(self, how: BaseException) -> None:
        super().__init__(how)
        self.how = how


class Signals:
    """Signals that came and were not dealt with yet. clock: in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.interrupted = clock, False
        self.pressed: float | None = None
        self.terminated: float | None = None
        self.waiting: list[int] = []
        self.before: dict[int, Any] = {}

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Take note of signals in this block."""
        own = {signal.SIGINT: self._interrupt, signal.SIGTERM: self._terminate, **dict.fromkeys(NOTICES, self._notice)}
        with handlers(own | dict.fromkeys(hangups(), self._hang_up)) as self.before:
            yield

    def check(self) -> None:
        """Raise Interrupted if the job is to stop."""
        if self.interrupted:
            raise Interrupted

    def hand_on(self) -> list[str]:
        """Call the handlers that were there before, once everything is saved; returns the names of the signals that
        the training goes on after. Raises Ended.
        """
        numbers, self.waiting = [*dict.fromkeys(self.waiting)], []
        for number in numbers:
            if number in NOTICES:
                _call(self.before.get(number), number)
        return [signal.Signals(number).name for number in numbers]

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted and (self.pressed is None or self.clock() - self.pressed > TWICE):
            raise KeyboardInterrupt
        if self.pressed is None:
            self.pressed = self.clock()
        self.interrupted = True

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        before, self.terminated = self.terminated, self.clock()
        if before is None and in_slurm():
            self.waiting.append(number)
        elif before is None or self.terminated - before > AT_ONCE:
            self.interrupted = True

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        leave_terminal()
        self.interrupted = True

    def _notice(self, number: int, frame: FrameType | None) -> None:
        self.waiting.append(number)


@contextmanager
def handed_on() -> Iterator[None]:
    """Call the handler of SIGUSR1 and SIGUSR2 that was there before as soon as one comes, while there is nothing to
    save yet. Raises Ended.
    """

    def notice(number: int, frame: FrameType | None) -> None:
        _call(before.get(number), number)

    with handlers(dict.fromkeys(NOTICES, notice)) as before:
        yield


def _call(handler: Any, number: int) -> None:
    try:
        if callable(handler):
            handler(number, None)
    except Ended:
        raise
    except BaseException as error:
        raise Ended(error) from error
