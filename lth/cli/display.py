"""What a person sees of a run: a live line on a terminal, plain lines elsewhere; and Ctrl-C, between two steps."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType, TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from lth.engine import Callback, Interrupted
from lth.store.table import row
from lth.ticket import Ticket, Trained

LINE_EVERY = 30.0


class Display(Callback):
    """`trainings` in all, of `steps` each at most. live: a moving line, else plain lines."""

    def __init__(
        self,
        console: Console,
        trainings: int,
        steps: int,
        *,
        live: bool,
        tell: Callable[[Ticket, Mapping[str, float]], None],
    ) -> None:
        self.tell = tell
        self.console, self.trainings, self.steps, self.live = console, trainings, steps, live
        self.interrupted = False
        self.failures: dict[int, str] = {}
        self.where: Ticket | None = None
        self.done = self.seen = self.trained_steps = 0
        self.begun = self.shown = time.monotonic()
        self.accuracy = float("nan")
        self.progress = Progress(TextColumn("{task.description}"), BarColumn(12), transient=True, disable=not live)
        self.task = self.progress.add_task("starting", total=trainings * steps)

    def __enter__(self) -> "Display":
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.progress.stop()

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        """Raises Interrupted after Ctrl-C."""
        self.check()
        self.trained_steps += step != self.seen
        self.seen, self.where = step, ticket
        now = time.monotonic()
        if now - self.shown > (0.2 if self.live else LINE_EVERY):
            self.shown = now
            self._show(ticket, step, steps, now)

    def check(self) -> None:
        """Raises Interrupted after Ctrl-C."""
        if self.interrupted:
            raise Interrupted

    def reached(self) -> str:
        """Which step of which ticket was the last, for an error that doesn't know."""
        return f"step {self.seen} of {self.where}" if self.where else "the beginning"

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        """Remembers the validation accuracy for the next line, and tells the tracker."""
        self.accuracy = row["validation_accuracy"]
        self.tell(ticket, row)

    def failed(self, ticket: Ticket, error: ArithmeticError) -> None:
        """Print the error and let the other tickets go on."""
        self.failures.setdefault(ticket.replicate, f"{type(error).__name__}: {error}")
        self.console.print(f"failed: {error}", style="red", markup=False)

    def trained(self, trained: Trained) -> None:
        """A plain line that stays."""
        self.done += 1
        facts = row(trained)
        self.console.print(
            f"[{self.done:>{len(str(self.trainings))}}/{self.trainings}] {trained.ticket}: "
            f"{100 * facts['density']:.2f}% of weights, early stop at step {facts['early_stop_step']}, "
            f"test accuracy {100 * facts['early_stop_test_accuracy']:.2f}%, {facts['seconds']:.1f} s",
            highlight=False,
            markup=False,
        )

    def _show(self, ticket: Ticket, step: int, steps: int, now: float) -> None:
        rate = self.trained_steps / (now - self.begun)
        left = (self.trainings - self.done) * self.steps - step
        text = (
            f"{ticket.branch} level {ticket.level} · step {step:,}/{steps:,} · {rate:,.0f} steps/s · "
            f"validation {100 * self.accuracy:.1f}% · {_clock(left / rate) if rate else '?'} left"
        )
        if self.live:
            done = self.done * self.steps + step
            self.progress.update(self.task, description=text, completed=done)
        else:
            self.console.print(f"replicate {ticket.replicate}: {text}", highlight=False, markup=False)


@contextmanager
def interruptible(display: Display) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the training at the next step; a second Ctrl-C stops at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if display.interrupted:
            raise KeyboardInterrupt
        display.interrupted = True

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
