"""The words of `lth run` -> the jobs they stand for, for commands that look at what such jobs have stored."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lth.run.compose import compositions

if TYPE_CHECKING:
    from lth.job import Job


def jobs(arguments: Sequence[str]) -> "list[tuple[Job, Path]]":
    """Each job with the folder of its store; raises ConfigError or, where a value is wrong, ValueError."""
    configurations = compositions(arguments)
    sys.path.insert(0, str(Path.cwd()))  # as `lth run` does, for a user's own functions
    from lth.run.values import values

    return [(values(cfg), Path(str(cfg.root))) for cfg in configurations]
