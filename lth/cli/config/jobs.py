"""`lth run` overrides -> jobs, for commands that read what such jobs have stored."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lth import UserError
from lth.cli.config.compose import compositions

if TYPE_CHECKING:
    from lth.job import Job


def jobs(arguments: Sequence[str]) -> "list[tuple[Job, Path]]":
    """The jobs of a sweep, each with the folder of its store; raises UserError."""
    configurations = compositions(arguments)
    sys.path.insert(0, str(Path.cwd()))  # as `lth run` does, for the user's own functions
    from lth.cli.config.values import values

    try:
        return [(values(cfg), Path(str(cfg.root))) for cfg in configurations]
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error
