"""Overrides as they are typed, such as +branch@b.mine=shuffle. Imports no Hydra."""

from collections.abc import Sequence

PATHS = ("root", "data.root", "data.cache")  # keys whose values are folders

# Overrides that decide no result, or that say where a run is.
PLACES = (
    "name",
    *PATHS,
    "device",
    "width",
    "devices",
    "workers",
    "meter",
    "save_every",
    "plan",
    "objective",
    "debug",
    "traceback",
    "store.",
    "tracking",
    "hydra",
)
REPEATED = {"data.root", "debug", "devices"}  # of these, what a job needs that is made again in its store


def key_of(override: str) -> str:
    """The key or group of an override, without its sign, package and value."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def repeated(overrides: Sequence[str]) -> list[str]:
    """The overrides that make a job again in its store."""
    return [word for word in overrides if key_of(word) in REPEATED or not key_of(word).startswith(PLACES)]
