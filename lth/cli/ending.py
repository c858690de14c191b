"""The end of a job of a sweep, as its process tells the one that launched it. Imports nothing heavy."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lth.file import write_text

FAILED, INTERRUPTED = 1, 130  # exit codes
Objective = float | Sequence[float] | None


def objectives(names: str | Sequence[str] | None) -> list[str]:
    """The columns that `objective` names: one, several or none."""
    if names is None or (isinstance(names, Sequence) and not isinstance(names, str)):
        return [*(names or ())]
    return [names]


@dataclass(frozen=True)
class Ending:
    """The end of a job.

    code: its exit code.
    error: why it failed, in a line.
    waiting: it was put off, since another process trains what it needs.
    trained: trainings that it did itself.
    objective: what a sweeper optimizes.
    planned: name -> steps of the trainings of a plan.
    """

    code: int = 0
    error: str = ""
    waiting: bool = False
    trained: int = 0
    objective: Objective = None
    planned: Mapping[str, int] = field(default_factory=dict)


def write(file: Path, ending: Ending | None) -> None:
    """Note an ending, or None for a job that has begun, for whoever launched the job. It may have left meanwhile."""
    with suppress(OSError):
        write_text(file, json.dumps(ending and asdict(ending)))


def read(file: Path) -> Ending | None:
    """An ending that was noted; None if the job has not ended or can't be asked."""
    with suppress(OSError, ValueError, TypeError):
        return Ending(**json.loads(file.read_text(encoding="utf-8")))
    return None
