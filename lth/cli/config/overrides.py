"""Normalizes `lth run` overrides into the order Hydra's parser accepts."""

from collections.abc import Sequence
from itertools import pairwise

from hydra.core.override_parser.overrides_parser import OverridesParser

from lth.cli.config.conf import CONF

VALUED_FLAGS = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--package", "-p", "--cfg", "-c")


def split_flags(arguments: Sequence[str]) -> list[str]:
    """Split --flag=value into two arguments, as all other functions here expect them."""
    parts = (a.split("=", 1) if a.startswith("--") else [a] for a in arguments)
    return [part for each in parts for part in each]


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Move flags to the front: Hydra accepts overrides in one place only."""
    overrides = overrides_of(arguments)
    return [*(a for a in arguments if a not in overrides), *overrides]


def overrides_of(arguments: Sequence[str]) -> list[str]:
    """Arguments that are neither flags nor values of flags."""
    return [a for a in arguments if not a.startswith("-") and a not in flag_values(arguments)]


def flag_values(arguments: Sequence[str]) -> list[str]:
    """Values that follow flags taking an argument."""
    return [value for flag, value in pairwise(arguments) if flag in VALUED_FLAGS]


def is_group(override: str) -> bool:
    """Test whether an override chooses an option of a config group, such as model=mlp."""
    key = override.split("=", 1)[0].lstrip("+~").split("@")[0]
    return (CONF / key).is_dir() or key.startswith("hydra/")


def swept_with_groups(arguments: Sequence[str]) -> list[str]:
    """Turn overrides into sweeps of one value where a config group is swept.

    Hydra first composes what is not swept, without the swept group, so that a key of its options would be unknown.
    """
    values = [a for a in overrides_of(arguments) if "=" in a and not a.startswith(("~", "hydra"))]
    if not any(is_group(override) and _is_swept(override) for override in values):
        return [*arguments]
    single = {a: "{}=choice({})".format(*a.split("=", 1)) for a in values if not is_group(a) and not _is_swept(a)}
    return [single.get(argument, argument) for argument in arguments]


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """List the values of every override of a sweep: ["a=1", "b=2,3"] -> [["a=1"], ["b=2", "b=3"]]."""
    parsed = OverridesParser.create().parse_overrides([*overrides])
    return [
        [f"{o.get_key_element()}={value}" for value in o.sweep_string_iterator()]
        if o.is_sweep_override()
        else [str(o.input_line)]
        for o in parsed
    ]


def _is_swept(override: str) -> bool:
    return bool(OverridesParser.create().parse_override(override).is_sweep_override())
