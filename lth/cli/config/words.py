"""The words on the command line of `lth run`, put so that Hydra takes them as they are meant."""

from collections.abc import Sequence
from itertools import pairwise

from hydra.core.override_parser.overrides_parser import OverridesParser

from lth.cli.config.conf import CONF

VALUED_FLAGS = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--package", "-p", "--cfg", "-c")


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Hydra's parser wants all overrides in one place; a person puts flags anywhere."""
    overrides = [a for a in arguments if not a.startswith("-") and a not in flag_values(arguments)]
    return [*(a for a in arguments if a not in overrides), *overrides]


def after_groups(arguments: Sequence[str]) -> list[str]:
    """Where a group is swept, Hydra first composes what is not swept without it, and finds no data.root in the usual
    data; so the rest of the overrides become sweeps of a single value.
    """

    def swept(argument: str) -> bool:
        return bool(OverridesParser.create().parse_override(argument).is_sweep_override())

    given = [a for a in arguments if a not in flag_values(arguments)]
    words = [a for a in given if "=" in a and not a.startswith(("-", "~", "hydra"))]
    if not any(is_group(word) and swept(word) for word in words):
        return [*arguments]
    single = {w: "{}=choice({})".format(*w.split("=", 1)) for w in words if not is_group(w) and not swept(w)}
    return [single.get(argument, argument) for argument in arguments]


def flag_values(arguments: Sequence[str]) -> list[str]:
    """The words that belong to the flag before them."""
    return [value for flag, value in pairwise(arguments) if flag in VALUED_FLAGS]


def is_group(override: str) -> bool:
    """Whether an override chooses an option of a group, such as model=mlp."""
    key = override.split("=", 1)[0].lstrip("+~").split("@")[0]
    return (CONF / key).is_dir() or key.startswith("hydra/")
