"""Dotted keys of a configuration, and its nodes that name functions of lth."""

from collections.abc import Iterator, Mapping
from typing import Any

Config = Mapping[str, Any]


def leaves(config: Config, prefix: str = "") -> dict[str, Any]:
    """Dotted keys and their values; a list is a value."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def nodes(config: Config, *, own: bool = False, prefix: str = "") -> Iterator[tuple[str, Config]]:
    """Yield (dotted prefix, node) for every node that names a function of lth; own: of the user's instead."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            if "_target_" in value and str(value["_target_"]).startswith("lth.") is not own:
                yield f"{prefix}{key}.", value
            yield from nodes(value, own=own, prefix=f"{prefix}{key}.")
