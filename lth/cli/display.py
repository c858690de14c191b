"""Progress display: a live line on a TTY, log lines otherwise."""

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn

from lth.analysis.metric import shown
from lth.cli.console import Terminal, duration
from lth.cli.signals import Ended, Signals
from lth.cli.steps import Steps
from lth.engine import Callback, Interrupted
from lth.job import Job, Place, place, trainer
from lth.recipe import Recipe
from lth.store.columns import metric_name
from lth.store.table import row
from lth.ticket import Ticket, Trained

LIVE_EVERY, LINE_EVERY = 0.2, 30.0


class Display(Callback):
    """Progress of trainings, several of which may run at once. planned: their places, with the steps of each.

    live: a moving line, else a log line now and then. evaluated: called with every evaluation, too. label: tells the
    job from others of its sweep, in front of every line. clock: in seconds.
    """

    def __init__(
        self,
        console: Terminal,
        planned: Mapping[Place, int],
        *,
        live: bool,
        evaluated: Callable[[Ticket, Mapping[str, float]], None],
        label: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.console, self.live, self.clock, self.tracked = console, live, clock, evaluated
        self.every = LIVE_EVERY if live else LINE_EVERY
        self.steps = Steps(planned)
        self.label = f"{label}: " if label else ""
        self.shown = clock()
        self.begun: tuple[float, int] | None = None  # when and after how many steps; the first one includes set-up
        self.metrics: dict[str, str] = {}
        self.at: tuple[Ticket, int] | None = None
        self.signals = Signals()
        self.failures: dict[int, str] = {}
        columns = BarColumn(12), TextColumn("{task.description}")
        self.progress = Progress(*columns, console=console, transient=True, disable=not live)
        self.bar = self.progress.add_task("starting", total=self.steps.total)

    def __enter__(self) -> "Display":
        self.console.left = self._left  # afterwards too: the end of a job is no error, whoever reads it
        if self.console.quiet:  # its reader went away before
            self._left()
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.progress.stop()

    def _left(self) -> None:
        """Save and stop, as with Ctrl-C."""
        self.signals.interrupted = True

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        """Count a step, and show it if it is time to. Raises Interrupted if the job is to stop."""
        self.signals.check()
        self.steps.reach(place(ticket), step, steps)
        now = self.clock()
        if self.begun is None and self.steps.taken:
            self.begun = now, self.steps.taken
        self.at = ticket, step
        if now - self.shown > self.every:
            self.shown = now
            self._show(ticket, now)

    def scored(self, ticket: Ticket, level: int, done: int, rounds: int) -> None:
        """Show a round of scoring, if it is time to. Raises Interrupted or Ended if the job is to stop."""
        self._beside(f"{ticket}: scored for level {level} · round {done:,}/{rounds:,}")

    def compared(self, ticket: Ticket, nets: int, done: int) -> None:
        """Show that nets are compared, if it is time to. Raises Interrupted or Ended if the job is to stop."""
        beside = f" and {nets - 1} more" if nets > 1 else ""
        self._beside(f"{ticket}{beside}: compared · part {done:,}")

    def _beside(self, text: str) -> None:
        self.check()
        now = self.clock()
        if now - self.shown > self.every:
            self.shown = now
            self._print(f"{self.label}{text}")

    def check(self) -> None:
        """Deal with signals while nothing is trained: raises Interrupted or Ended if the job is to stop."""
        self.signals.check()
        self.signals.hand_on()

    def save_due(self) -> bool:
        """True after a signal before which everything is to be saved."""
        return bool(self.signals.waiting)

    def saved(self) -> None:
        """Hand the signal on, and say that the training goes on. Raises Ended."""
        for name in self.signals.hand_on():
            self.console.print(f"{self.label}{name}: all progress is saved; the training goes on", markup=False)

    def reached(self, ticket: Ticket | None = None) -> str:
        """The last step of a ticket, or of the last ticket, for an error that doesn't name them."""
        if self.at is None and ticket is None:
            return "before the first step"
        if self.at is None or (ticket is not None and str(ticket) != str(self.at[0])):
            return f"at the beginning of {ticket}"
        return f"after step {self.at[1]} of {self.at[0]}"

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        """Remember the validation metric for the next line, and pass the evaluation on."""
        name = metric_name(row)
        self.metrics[str(ticket)] = shown(name, row[f"validation_{name}"], 1).removeprefix("accuracy ")
        self.tracked(ticket, row)

    def failed(self, ticket: Ticket, error: ArithmeticError) -> None:
        """Print the error, and let the other tickets go on."""
        self.steps.finish(place(ticket))
        self.failures.setdefault(ticket.replicate, f"{type(error).__name__}: {error}")
        self.console.print(f"{self.label}failed: {error}", style="red", markup=False)

    def trained(self, trained: Trained) -> None:
        """Print a line that stays."""
        self.steps.finish(place(trained.ticket))
        self.at = trained.ticket, trained.steps
        facts, count, name = row(trained), str(self.steps.trainings), metric_name(trained.evaluations)
        took = "stored" if trained.facts.get("stored") else f"{facts['seconds']:.1f} s"
        self.console.print(
            f"[{self.steps.finished:>{len(count)}}/{count}] {self.label}{trained.ticket}: "
            f"{100 * facts['density']:.2f}% of weights, early stop at step {facts['early_stop_step']}, "
            f"test {shown(name, facts[f'early_stop_test_{name}'])}, {took}",
            highlight=False,
            markup=False,
        )

    def _show(self, ticket: Ticket, now: float) -> None:
        begun, before = self.begun or (now, 0)
        self._print(self._text(ticket, (self.steps.taken - before) / (now - begun) if now > begun else 0.0))

    def _print(self, text: str) -> None:
        if self.live:
            self.progress.update(self.bar, description=text, completed=max(0, self.steps.total - self.steps.left))
        else:
            self.console.print(text, highlight=False, markup=False)

    def _text(self, ticket: Ticket, rate: float) -> str:
        step, steps = self.steps.running[place(ticket)]
        others = self.steps.beside(place(ticket))
        found = self.metrics.get(str(ticket))
        pace = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
        return " · ".join(
            [
                self.label + (f"{ticket} and {others} more" if others else str(ticket)),
                f"step {step:,}/{steps:,}",
                *([f"{duration(self.steps.left / rate)} left", f"{pace} steps/s"] if rate else []),
                *([] if found is None else [f"validation {found}"]),
            ]
        )


def on_stderr(job: Job, recipe: Recipe) -> Callable[..., list[Trained]]:
    """A function that trains tickets of a job which another command needs (see `lth.job.trainer`), with log lines on
    stderr. It raises KeyboardInterrupt once it has saved, if it is to stop.
    """
    display = Display(Terminal(stderr=True, soft_wrap=True), {}, live=False, evaluated=lambda *_: None)
    trains = trainer(job, recipe, display)

    def train(tickets: list[Ticket], **given: Any) -> list[Trained]:
        with display.signals.handled():
            try:
                return trains(tickets, **given)
            except Interrupted:
                display.console.print("stopped. All progress is saved; the same command continues from here.")
                raise KeyboardInterrupt from None
            except Ended as error:
                raise error.how from None

    return train
