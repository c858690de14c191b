"""The terminal: printed results, log messages and errors."""

import csv
import io
import logging
import math
import sys
from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console

from lth import UserError
from lth.cli import print_anything
from lth.cli.handlers import give_to_nobody


class ReaderLeft(BrokenPipeError):
    """Nobody reads any more what is printed."""


class Terminal(Console):
    """A console whose reader may go away, as `head` does once it has read enough. left: called then."""

    left: Callable[[], None] | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(emoji=False, **options)  # what users write, such as :x:, is text

    def on_broken_pipe(self) -> None:
        """Print nothing more. Raises ReaderLeft if there is nothing to call."""
        self.quiet = True
        give_to_nobody(self.file.fileno())
        if self.left is None:
            raise ReaderLeft
        self.left()


console = Terminal(highlight=False, soft_wrap=True)


def log_to_console(*, stderr: bool = False) -> None:
    """Print log messages of lth on the terminal; on stderr, if stdout is the command's output."""
    print_anything()
    logger = logging.getLogger("lth")
    to = Terminal(stderr=True, soft_wrap=True) if stderr else console
    logger.handlers, logger.propagate = [_ToConsole(to)], False
    logger.setLevel(logging.INFO)


class _ToConsole(logging.Handler):
    """Prints messages; a warning once, though a command may read the same file several times."""

    def __init__(self, to: Console) -> None:
        super().__init__()
        self.to, self.warned = to, set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        message, warns = record.getMessage(), record.levelno >= logging.WARNING
        if message not in self.warned:
            self.to.print(message, style="yellow" if warns else "dim", markup=False)
        if warns:
            self.warned.add(message)


def number_of(count: int, noun: str) -> str:
    """1 training, 2 trainings."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def duration(seconds: float) -> str:
    """A time to wait for, rounded up: "40 s", "12 min", "3 h 05 min"."""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = -(-whole // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60:02d} min"


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Rows, the header first, as CSV, without the last line break."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().rstrip("\n")


def offer(listing: str, command: str, does: str) -> int:
    """Print what a command that was given no name can take, and on stderr how; returns the exit code."""
    print(listing)
    print(f"\nlth {command} NAME {does} one of them, lth {command} all {does} all that come with lth", file=sys.stderr)
    return 0


def for_each(command: str, names: Iterable[str], action: Callable[[str], int]) -> int:
    """Run the action on every name; an error of one is printed and the others go on. Returns the highest exit code."""
    codes = [0]
    for name in names:
        try:
            codes.append(action(name))
        except UserError as error:
            print(f"lth {command}: {error}", file=sys.stderr)
            codes.append(error.code)
    return max(codes)
