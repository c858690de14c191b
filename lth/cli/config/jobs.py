"""`lth run` overrides, or the name of an experiment -> jobs, for commands that read what such jobs have stored."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lth import UserError
from lth.analysis.registry import names
from lth.cli.config.compose import compositions
from lth.cli.config.flags import check_folder
from lth.cli.config.literal import literal
from lth.cli.config.own import see_own_modules
from lth.cli.override import key_of
from lth.store.names import check_name
from lth.store.record import records

if TYPE_CHECKING:
    from lth.job import Job


def jobs(words: Sequence[str], folder: Path | None = None) -> "list[tuple[Job, Path]]":
    """The jobs of a sweep, or of a stored experiment, each with the folder of its store; raises UserError. words:
    overrides, or the name of the experiment and those that choose among its jobs. folder: the value of --config-dir.
    """
    folder = None if folder is None else check_folder(str(folder))
    configurations = [
        each
        for overrides in _stored(words)
        for each in compositions(literal(overrides, sweeping=True, folder=folder), folder)
    ]
    see_own_modules()
    from lth.cli.config.values import started

    return [(started(cfg, given, folder), Path(str(cfg.root))) for cfg, given in configurations]


def _stored(words: Sequence[str]) -> list[list[str]]:
    """The overrides of each job of the experiment that is named among these words; the words, if none is."""
    given = [word for word in words if "=" in word or word.startswith("~")]
    if not (named := [word for word in words if word not in given]):
        return [given]
    if len(named) > 1:
        raise UserError(f"{' '.join(named)}: give the name of one stored experiment, and key=value to choose its jobs")
    (name,), root = named, next((word[5:] for word in reversed(given) if word.startswith("root=")), "runs")
    check_name(name)
    if not (found := [*records(Path(root), name)]):
        known = f"experiment={name}" if name in names() else "steps=1000"
        raise UserError(f"{name}: there is no experiment of this name under {root} (root=DIR names another folder); "
                        f"else write key=value, such as {known}")  # fmt: skip
    if not all("overrides" in record for record in found):
        raise UserError(f"{name} was stored by an older version, or from Python, without the overrides that made it: "
                        "write those of its lth run")  # fmt: skip
    keys, own = {key_of(word) for word in given}, f"name={name.removesuffix('-debug')}"
    kept = [[word for word in record["overrides"] if key_of(word) not in keys] for record in found]
    return [*map(list, dict.fromkeys((*each, *given, own) for each in kept))]
