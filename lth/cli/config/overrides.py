"""Normalizes `lth run` overrides into the order Hydra's parser accepts."""

import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser

from lth.cli.config.conf import CONF


def is_group(override: str) -> bool:
    """Test whether an override chooses an option of a config group, such as model=mlp."""
    key = override.split("=", 1)[0].lstrip("+~").split("@")[0]
    return key.startswith("hydra/") or (re.fullmatch(r"\w[\w/]*", key) is not None and (CONF / key).is_dir())


def swept_with_groups(overrides: Sequence[str]) -> list[str]:
    """Turn overrides into sweeps of one value where a config group is swept.

    Hydra first composes what is not swept, without the swept group, so that a key of its options would be unknown.
    """
    values = [a for a in overrides if "=" in a and not a.startswith(("~", "hydra"))]
    if not any(is_group(override) and is_swept(override) for override in values):
        return [*overrides]
    single = {a: "{}=choice({})".format(*a.split("=", 1)) for a in values if not is_group(a) and not is_swept(a)}
    return [single.get(override, override) for override in overrides]


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """List the values of every override of a sweep: ["a=1", "b=2,3"] -> [["a=1"], ["b=2", "b=3"]]."""
    parsed = OverridesParser.create().parse_overrides([*overrides])
    return [
        [f"{o.get_key_element()}={value}" for value in o.sweep_string_iterator()]
        if o.is_sweep_override()
        else [str(o.input_line)]
        for o in parsed
    ]


def is_swept(override: str) -> bool:
    """Test whether an override gives several values, such as replicate=1,2."""
    return bool(OverridesParser.create().parse_override(override).is_sweep_override())
