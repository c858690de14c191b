"""`lth run` overrides -> jobs, for commands that read what such jobs have stored."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lth.cli.config.compose import compositions
from lth.cli.config.flags import check_folder
from lth.cli.config.literal import literal
from lth.cli.config.own import see_own_modules

if TYPE_CHECKING:
    from lth.job import Job


def jobs(overrides: Sequence[str], folder: Path | None = None) -> "list[tuple[Job, Path]]":
    """The jobs of a sweep, each with the folder of its store; raises UserError. folder: the value of --config-dir."""
    folder = None if folder is None else check_folder(str(folder))
    configurations = compositions(literal(overrides, sweeping=True, folder=folder), folder)
    see_own_modules()
    from lth.cli.config.values import started

    return [(started(cfg, given, folder), Path(str(cfg.root))) for cfg, given in configurations]
