"""The overrides of the run that another takes its tickets from: the same as those, but for the ones in `start`."""

import shlex
from collections.abc import Sequence

from lth import UserError
from lth.cli.config.literal import literal
from lth.cli.override import key_of

SHARED = ("root", "replicate", "start", "plan", "debug", "hydra")  # both runs have these in common


def beside(start: object, overrides: Sequence[str]) -> list[str]:
    """The overrides of the run that `start` stands for, beside those of the run that takes its tickets."""
    own = words(start)
    given = {key_of(word) for word in own}
    return [*(word for word in overrides if key_of(word) not in {*given, "start"}), *own, "start=null"]


def words(start: object) -> list[str]:
    """The overrides that `start` consists of; raises UserError."""
    try:
        parts = shlex.split(start) if isinstance(start, str) else []
    except ValueError as error:
        raise UserError(f"start={start}: {error}") from error
    if not parts or not all("=" in part.strip("=") for part in parts):
        raise UserError(f"start={start}: give the overrides in which the source run of the tickets differs, such as "
                        "start=data=mnist or start='optimizer=sgd optimizer.lr=0.1'")  # fmt: skip
    for word in parts:
        if (group := key_of(word).partition(".")[0].partition("/")[0]) in SHARED:
            raise UserError(f"start={start}: both runs have {group} in common; leave {word} out")
    return literal(parts, sweeping=False)
